/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/unpack.h"
#include "storage/fleetdb_clock.h"
#include "storage/fleetdb_rollups.h"
#include "storage/fleetdb_unsure.h"
#include "storage/fleetdb_views.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)

/* A terminal whose clock is `wrong_ms` off and that boots as the tests say. */
struct till {
    struct world *world;
    const char *device; /* NULL: t1 */
    uint64_t incarnation, seq;
    char boot[17], before[17];
    int64_t booted_ms; /* world time */
    int64_t wrong_ms;
};

static ProtobufCBinaryData id_of(const char *boot)
{
    return (ProtobufCBinaryData){strlen(boot), (uint8_t *)(uintptr_t)boot};
}

static uint64_t boot_ms(const struct till *till)
{
    return (uint64_t)(till->world->now_ms - till->booted_ms);
}

static void till_boots(struct till *till, const char *boot, int64_t wrong_ms)
{
    memcpy(till->before, till->boot, sizeof till->before);
    (void)snprintf(till->boot, sizeof till->boot, "%-16.16s", boot);
    till->booted_ms = till->world->now_ms - 1;
    till->incarnation++;
    till->seq = 0;
    till->wrong_ms = wrong_ms;
}

static const char *name_of(const struct till *till)
{
    return till->device != NULL ? till->device : "t1";
}

struct kept { /* an event that waits in the spool */
    uint64_t incarnation, seq, boot_ms;
    int64_t really_ms;
    struct buf batch;
};

static struct kept make(struct till *till, int kind, const ProtobufCMessage *detail)
{
    struct buf packed = {0};
    Muster__Event event = MUSTER__EVENT__INIT;
    ProtobufCMessage *row = &event.base;
    event.kind = (Muster__EventKind)kind;
    event.wall_ms = world_wall(till->world) + till->wrong_ms;
    event.boot_ms = boot_ms(till);
    event.text = (char *)"said";
    if (detail != NULL) {
        assert_true(pack(detail, &packed, NULL));
        event.detail = (ProtobufCBinaryData){packed.length, packed.data};
    }
    struct kept kept = {
        till->incarnation, ++till->seq, event.boot_ms, world_wall(till->world), {0}};
    struct lane_rows lane = {.lane = MUSTER__LANE__LANE_EVENT,
                             .incarnation = kept.incarnation,
                             .first_seq = kept.seq,
                             .count = 1,
                             .rows = &row};
    kept.batch = world_seal_lanes(till->world, name_of(till), &lane, 1);
    buf_done(&packed);
    return kept;
}

static struct kept make_open(struct till *till)
{
    Muster__Open open = MUSTER__OPEN__INIT;
    open.boot_id = id_of(till->boot);
    open.boot_before = id_of(till->before);
    return make(till, MUSTER__EVENT_KIND__EVENT_OPEN, &open.base);
}

static void deliver(struct till *till, struct kept *kept)
{
    world_deliver(till->world, TOPIC_UP_BATCH, name_of(till), buf_bytes(&kept->batch));
    buf_done(&kept->batch);
    world_settle(till->world);
    world_forget_sent(till->world);
}

/* Says hello, `delay_ms` under way, and tells of the welcome to it by an event. */
static void till_sees(struct till *till, int64_t delay_ms)
{
    Muster__Hello hello = MUSTER__HELLO__INIT;
    Muster__ClockSight sight = MUSTER__CLOCK_SIGHT__INIT;
    hello.nonce = id_of("0123456789abcdef");
    hello.incarnation = till->incarnation;
    hello.boot_id = id_of(till->boot);
    hello.boot_ms = sight.asked_ms = boot_ms(till);
    hello.wall_ms = world_wall(till->world) + till->wrong_ms;
    till->world->now_ms += delay_ms;
    world_send_hello(till->world, "t1", &hello);
    sight.fleet_ms = world_wall(till->world);
    world_settle(till->world);
    world_forget_sent(till->world);
    till->world->now_ms += delay_ms;
    sight.came_ms = boot_ms(till);
    struct kept event = make(till, MUSTER__EVENT_KIND__EVENT_CLOCK, &sight.base);
    deliver(till, &event);
}

/* ---- what the fleet makes of it ---- */

struct times {
    size_t count;
    struct {
        int64_t at_ms, bound_ms, wall_ms;
    } list[64];
};

static bool add_time(void *ctx, const struct fleetdb_event_view *view, struct err *err)
{
    struct times *times = ctx;
    (void)err;
    times->list[times->count].at_ms = view->at_ms;
    times->list[times->count].bound_ms = view->bound_ms;
    times->list[times->count++].wall_ms = view->wall_ms;
    return true;
}

static int64_t t1(const struct world *world)
{
    struct fleetdb_device device;
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    return device.device;
}

/* Of the event that really was at that time, after checking that its bound holds: the bound. */
static int64_t bound_at(struct world *world, int64_t really_ms, int64_t wrong_ms)
{
    struct times times = {0};
    assert_true(fleetdb_view_events(world->fleet->db, t1(world), 64, add_time, &times, NULL));
    for (size_t i = 0; i < times.count; i++) {
        if (times.list[i].wall_ms != really_ms + wrong_ms)
            continue;
        if (times.list[i].bound_ms >= 0)
            assert_in_range(times.list[i].at_ms, really_ms - times.list[i].bound_ms,
                            really_ms + times.list[i].bound_ms);
        return times.list[i].bound_ms;
    }
    fail_msg("no such event");
    return 0;
}

static void a_clock_ten_years_on_is_corrected(void **state)
{
    struct till till = {.world = *state};
    struct fleetdb_device_clock clock;
    till_boots(&till, "one", 3650 * DAY);
    struct kept open = make_open(&till);
    till.world->now_ms += HOUR;
    struct kept one = make(&till, MUSTER__EVENT_KIND__EVENT_SPOOL, NULL);
    till_sees(&till, 100);
    deliver(&till, &one);
    deliver(&till, &open);
    /* Asked an hour later: 100 ppm of it, and the way. */
    assert_in_range(bound_at(till.world, open.really_ms, 3650 * DAY), 300, 600);
    assert_in_range(bound_at(till.world, one.really_ms, 3650 * DAY), 90, 200);
    assert_true(fleetdb_clock_read(till.world->fleet->db, t1(till.world), &clock, NULL));
    assert_in_range(clock.offset_ms, 3650 * DAY - 200, 3650 * DAY + 200);
    assert_in_range(clock.width_ms, 150, 300);
    assert_int_equal(clock.jumps, 0);
}

/* What was judged before more was known is judged again, also after a restart. */
static void times_become_known_later(void **state)
{
    struct till till = {.world = *state};
    till_boots(&till, "one", -WORLD_WALL_MS); /* 1970 */
    struct kept events[30];
    events[0] = make_open(&till);
    for (size_t i = 1; i < 30; i++) {
        till.world->now_ms += 1000;
        events[i] = make(&till, MUSTER__EVENT_KIND__EVENT_SPOOL, NULL);
    }
    for (size_t i = 0; i < 30; i++)
        deliver(&till, &events[i]);
    for (size_t i = 0; i < 30; i++)
        assert_int_equal(bound_at(till.world, events[i].really_ms, -WORLD_WALL_MS),
                         FLEETDB_BOUND_UNKNOWN);
    till_sees(&till, 50);
    collector_close(till.world->collector);
    world_start(till.world);
    world_settle(till.world);
    for (size_t i = 0; i < 30; i++)
        assert_in_range(bound_at(till.world, events[i].really_ms, -WORLD_WALL_MS), 40, 120);
}

/* Three boots without a word to the fleet between two that have one; the records come last. */
static void boots_that_were_never_online(void **state)
{
    struct till till = {.world = *state};
    struct kept waiting[6], last_opened;
    int64_t wrong[6];
    till_boots(&till, "one", 0);
    last_opened = make_open(&till);
    till_sees(&till, 100);
    deliver(&till, &last_opened);
    for (size_t i = 0; i < 6; i += 2) {
        static const char *const names[] = {"two", "", "three", "", "four"};
        till.world->now_ms += 60000; /* off */
        till_boots(&till, names[i], i == 2 ? -WORLD_WALL_MS : 3650 * DAY);
        waiting[i] = make_open(&till);
        till.world->now_ms += 5 * HOUR;
        waiting[i + 1] = make(&till, MUSTER__EVENT_KIND__EVENT_SPOOL, NULL);
        wrong[i] = wrong[i + 1] = till.wrong_ms;
    }
    till.world->now_ms += 60000;
    till_boots(&till, "five", DAY);
    last_opened = make_open(&till);
    till_sees(&till, 100);
    for (size_t i = 0; i < 6; i++)
        deliver(&till, &waiting[i]);
    deliver(&till, &last_opened);
    /* Off for four minutes in all; and 15 hours of drift. */
    for (size_t i = 0; i < 6; i++)
        assert_in_range(bound_at(till.world, waiting[i].really_ms, wrong[i]), 1000, 130000);
}

/* A hello that is played back in another boot, and one that was held back: nothing changes. */
static void old_hellos_change_nothing(void **state)
{
    struct till till = {.world = *state};
    Muster__Hello hello = MUSTER__HELLO__INIT;
    till_boots(&till, "one", DAY);
    struct kept open = make_open(&till);
    till.world->now_ms += HOUR;
    till_sees(&till, 100);
    deliver(&till, &open);
    int64_t bound_ms = bound_at(till.world, open.really_ms, DAY);
    hello.nonce = id_of("0123456789abcdef");
    hello.incarnation = till.incarnation;
    hello.boot_id = id_of(till.boot);
    hello.boot_ms = boot_ms(&till) - 5000;
    for (int i = 0; i < 5; i++) {
        till.world->now_ms += 3 * DAY;
        world_send_hello(till.world, "t1", &hello);
        world_settle(till.world);
        world_forget_sent(till.world);
    }
    struct kept again = make(&till, MUSTER__EVENT_KIND__EVENT_SPOOL, NULL);
    deliver(&till, &again);
    assert_int_equal(bound_at(till.world, open.really_ms, DAY), bound_ms);
    assert_in_range(bound_at(till.world, again.really_ms, DAY), 60000, 140000); /* of 15 days */
}

static void jumps_are_told(void **state)
{
    struct till till = {.world = *state};
    struct fleetdb_device_clock clock;
    Muster__ClockSight sight = MUSTER__CLOCK_SIGHT__INIT;
    till_boots(&till, "one", -WORLD_WALL_MS);
    struct kept open = make_open(&till);
    deliver(&till, &open);
    sight.jump_ms = WORLD_WALL_MS;
    till.wrong_ms = 0;
    struct kept jump = make(&till, MUSTER__EVENT_KIND__EVENT_CLOCK, &sight.base);
    deliver(&till, &jump);
    assert_true(fleetdb_clock_read(till.world->fleet->db, t1(till.world), &clock, NULL));
    assert_int_equal(clock.jumps, 1);
    assert_int_equal(clock.jump_ms, WORLD_WALL_MS);
    assert_int_equal(clock.checked_ms, 0);
    till_sees(&till, 10);
    assert_in_range(bound_at(till.world, open.really_ms, -WORLD_WALL_MS), 5, 40);
}

static int64_t unsure(struct world *world, int64_t since_ms)
{
    static const struct fleetdb_choice device = {FLEETDB_DIM_DEVICE, "t1", 0};
    const struct fleetdb_question question = {
        .choices = &device, .choice_count = 1, .from_ms = since_ms, .to_ms = INT64_MAX / 2};
    struct fleetdb_unsure *unsure = NULL;
    assert_true(fleetdb_unsure_open(world->fleet->db, &question, &unsure, NULL));
    for (bool done = false; !done;)
        assert_true(fleetdb_unsure_step(unsure, &done, NULL));
    int64_t results = fleetdb_unsure_count(unsure);
    fleetdb_unsure_close(unsure);
    return results;
}

static void what_may_be_in_a_window_is_counted(void **state)
{
    struct till till = {.world = *state};
    struct fleetdb_device_clock clock;
    world_send_results(till.world, 7, 1, 4, 0);
    world_settle(till.world);
    assert_int_equal(unsure(till.world, 0), 4);
    assert_int_equal(unsure(till.world, world_wall(till.world) - HOUR), 4);
    assert_int_equal(unsure(till.world, world_wall(till.world) + HOUR), 0);
    assert_true(fleetdb_clock_read(till.world->fleet->db, t1(till.world), &clock, NULL));
    assert_int_equal(clock.checked_ms, 0);
}

/* A device that does nothing but boot leaves a bounded trace. */
static void boots_are_forgotten(void **state)
{
    struct till till = {.world = *state};
    int64_t boot = 0, last = 0;
    for (int i = 0; i < FLEETDB_BOOTS_MAX + 20; i++) {
        char name[17];
        (void)snprintf(name, sizeof name, "boot-%d", i);
        till.world->now_ms += 60000;
        till_boots(&till, name, 0);
        struct kept open = make_open(&till);
        world_deliver(till.world, TOPIC_UP_BATCH, "t1", buf_bytes(&open.batch));
        buf_done(&open.batch);
        if (i == 100)
            world_settle(till.world);
        if (i == 100)
            assert_true(fleetdb_boot_of(till.world->fleet->db, t1(till.world), 1, &boot, NULL));
    }
    assert_true(boot > 0);
    world_settle(till.world);
    assert_true(fleetdb_boot_of(till.world->fleet->db, t1(till.world), 1, &boot, NULL));
    assert_int_equal(boot, 0);
    assert_true(
        fleetdb_boot_of(till.world->fleet->db, t1(till.world), till.incarnation, &last, NULL));
    assert_true(last > 0);
}

/* As one that is there names it, but older than all that are kept: nothing more is learnt of it. */
static void a_boot_before_may_be_forgotten(void **state)
{
    struct till till = {.world = *state};
    struct till second;
    for (int i = 0; i <= FLEETDB_BOOTS_MAX; i++) {
        char name[17];
        (void)snprintf(name, sizeof name, "boot-%d", i);
        till.world->now_ms += 60000;
        till_boots(&till, name, 0);
        struct kept open = make_open(&till);
        deliver(&till, &open);
        if (i == 1)
            second = till;
    }
    uint64_t failures = till.world->metrics.values[METRIC_COMMIT_FAILURES];
    till_sees(&second, 100);
    assert_int_equal(till.world->metrics.values[METRIC_COMMIT_FAILURES], failures);
    assert_int_equal(world_refused(till.world, REFUSED_HELLO, REASON_DATABASE), 0);
}

/* Times since boot that no clock can show. */
static void impossible_times_are_borne(void **state)
{
    struct till till = {.world = *state};
    struct fleetdb_device_clock clock;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    till_boots(&till, "one", 0);
    struct kept open = make_open(&till);
    till_sees(&till, 100);
    deliver(&till, &open);
    till.booted_ms = INT64_MIN / 2; /* an event of a boot as old */
    struct kept event = make(&till, MUSTER__EVENT_KIND__EVENT_SPOOL, NULL);
    deliver(&till, &event);
    hello.nonce = id_of("0123456789abcdef");
    hello.incarnation = till.incarnation;
    hello.boot_id = id_of(till.boot);
    hello.boot_ms = hello.sight_asked_ms = hello.sight_came_ms = UINT64_MAX;
    hello.sight_fleet_ms = world_wall(till.world);
    world_send_hello(till.world, "t1", &hello);
    world_settle(till.world);
    world_forget_sent(till.world);
    till.booted_ms = till.world->now_ms - 5000;
    till_boots(&till, "two", 0);
    open = make_open(&till);
    till_sees(&till, 100);
    deliver(&till, &open);
    assert_true(fleetdb_clock_read(till.world->fleet->db, t1(till.world), &clock, NULL));
    assert_in_range(clock.width_ms, 150, 300);
}

/* Sums are of whole buckets from 1970 on. */
static void what_says_it_was_made_before_1970_is_counted_now(void **state)
{
    static const int64_t walls[] = {-1, -59999, -3599999};
    struct world *world = *state;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    Muster__TxnResult results[3];
    ProtobufCMessage *rows[3];
    const uint64_t now = (uint64_t)world_wall(world);
    uint64_t wrong = 0;
    char text[200] = "";
    hello.nonce = hello.boot_id = id_of("0123456789abcdef");
    hello.incarnation = 5;
    hello.boot_ms = hello.sight_asked_ms = hello.sight_came_ms = now;
    hello.sight_fleet_ms = (int64_t)now;
    world_send_hello(world, "t1", &hello);
    for (size_t i = 0; i < 3; i++) {
        muster__txn_result__init(&results[i]);
        results[i].boot_ms = 1;
        results[i].wall_ms = walls[i];
        rows[i] = &results[i].base;
    }
    const struct lane_rows lane = {
        .lane = MUSTER__LANE__LANE_TXN, .incarnation = 5, .first_seq = 1, .count = 3, .rows = rows};
    struct buf batch = world_seal_lanes(world, "t1", &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
    world_settle(world);
    assert_int_equal(temp_fleet_number(world->fleet, "SELECT min(at_ms) FROM result"), now);
    assert_true(fleetdb_rollups_check(world->fleet->db, &wrong, text, sizeof text, NULL));
    assert_int_equal(wrong, 0);
}

/* Says hello as one agent of a boot after the other, and each time knows better when that was. */
static void hostile_hellos(struct world *world, const char *device, uint64_t count)
{
    static uint64_t old_ms = 0;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    hello.nonce = hello.boot_id = id_of("0123456789abcdef");
    for (uint64_t i = 1; i <= count; i++) {
        hello.incarnation = i;
        hello.boot_ms = old_ms += 60000;
        world_send_hello(world, device, &hello);
    }
    collector_flush(world->collector);
    world_forget_sent(world);
}

/* One makes more work before each turn than a turn does. */
static void one_waits_for_another(struct world *world, const char *hostile, const char *honest)
{
    enum { CLAIMS = 70, TURNS = 5 };
    struct till till = {.world = world, .device = honest};
    char sql[200];
    Muster__ClockSight sight = MUSTER__CLOCK_SIGHT__INIT;
    hostile_hellos(world, hostile, CLAIMS);
    till_boots(&till, "one", DAY);
    struct kept open = make_open(&till);
    deliver(&till, &open);
    sight.asked_ms = boot_ms(&till);
    sight.fleet_ms = world_wall(world) + 50;
    world->now_ms += 100;
    sight.came_ms = boot_ms(&till);
    struct kept seen = make(&till, MUSTER__EVENT_KIND__EVENT_CLOCK, &sight.base);
    world_deliver(world, TOPIC_UP_BATCH, honest, buf_bytes(&seen.batch));
    buf_done(&seen.batch);
    for (int turn = 0; turn < TURNS; turn++) {
        hostile_hellos(world, hostile, 1);
        world->now_ms += 20;
        (void)collector_turn(world->collector);
        world_forget_sent(world);
    }
    (void)snprintf(sql, sizeof sql,
                   "SELECT bound_ms FROM event JOIN device d ON d.id = device"
                   " WHERE d.name = '%s' AND seq = 1",
                   honest);
    assert_in_range(temp_fleet_number(world->fleet, sql), 20, 120);
    assert_true(temp_fleet_number(world->fleet, "SELECT count(*) FROM clock_incarnation"
                                                " WHERE redo_lane <> 0") >= CLAIMS - TURNS);
}

static void no_device_waits_for_all_work_of_another(void **state)
{
    one_waits_for_another(*state, "t1", "t2");
}

static void nor_does_an_older_one(void **state)
{
    one_waits_for_another(*state, "t2", "t1");
}

/* Between two turns of it, the rest of the work goes first. */
static void times_are_not_corrected_in_each_turn(void **state)
{
    struct world *world = *state;
    static const char left[] = "SELECT count(*) FROM clock_incarnation WHERE redo_lane <> 0";
    hostile_hellos(world, "t2", 3);
    (void)collector_turn(world->collector);
    assert_int_equal(temp_fleet_number(world->fleet, left), 2);
    (void)collector_turn(world->collector);
    assert_int_equal(temp_fleet_number(world->fleet, left), 2);
    world_settle(world);
    assert_int_equal(temp_fleet_number(world->fleet, left), 0);
}

/* A boot costs much more than the event that names it. */
static void an_agent_runs_in_one_boot(void **state)
{
    static const char boots[] = "SELECT count(*) FROM clock_boot";
    struct till till = {.world = *state};
    till_boots(&till, "one", 0);
    struct kept open = make_open(&till);
    deliver(&till, &open);
    const int64_t known = temp_fleet_number(till.world->fleet, boots);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(till.boot, sizeof till.boot, "other-%-10d", i);
        (void)snprintf(till.before, sizeof till.before, "older-%-10d", i);
        open = make_open(&till);
        deliver(&till, &open);
    }
    till_sees(&till, 100);
    assert_int_equal(temp_fleet_number(till.world->fleet, boots), known);
    assert_int_equal(world_refused(till.world, REFUSED_EVENT_DETAIL, REASON_TOO_MANY), 3);
    assert_int_equal(world_refused(till.world, REFUSED_HELLO, REASON_TOO_MANY), 1);
}

int main(void)
{
#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_clock_ten_years_on_is_corrected),
        IN_WORLD(times_become_known_later),
        IN_WORLD(boots_that_were_never_online),
        IN_WORLD(old_hellos_change_nothing),
        IN_WORLD(jumps_are_told),
        IN_WORLD(what_may_be_in_a_window_is_counted),
        IN_WORLD(boots_are_forgotten),
        IN_WORLD(a_boot_before_may_be_forgotten),
        IN_WORLD(impossible_times_are_borne),
        IN_WORLD(what_says_it_was_made_before_1970_is_counted_now),
        IN_WORLD(no_device_waits_for_all_work_of_another),
        IN_WORLD(nor_does_an_older_one),
        IN_WORLD(times_are_not_corrected_in_each_turn),
        IN_WORLD(an_agent_runs_in_one_boot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
