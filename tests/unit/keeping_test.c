/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/keeping.h"

#include "storage/fleetdb_erase.h"
#include "storage/fleetdb_places.h"
#include "storage/fleetdb_room.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>

static const int64_t day_ms = 24 * 3600 * 1000;

static struct keeping keeping_of(struct world *world)
{
    struct keeping keeping = {.settings = {.db = world->fleet->db,
                                           .clock = &world->clock,
                                           .metrics = &world->metrics,
                                           .open_age_ms = 500 * day_ms,
                                           .every_ms = 60000}};
    keeping.settings.age_ms[FLEETDB_KEPT_RESULTS] = 30 * day_ms;
    keeping.settings.age_ms[FLEETDB_KEPT_FEED] = 30 * day_ms;
    return keeping;
}

static void send(struct world *world, uint64_t first)
{
    for (uint64_t i = 0; i < 10; i++)
        world_send_results(world, 5, first + i * 100, first + i * 100 + 99, 0);
    (void)collector_turn(world->collector);
}

static int64_t rows_of(struct world *world)
{
    struct fleetdb_kept_view view;
    assert_true(fleetdb_kept_look(world->fleet->db, FLEETDB_KEPT_RESULTS, &view, NULL));
    return view.rows;
}

/* Until the pass is over; returns how many steps it had. */
static unsigned pass(struct world *world, struct keeping *keeping)
{
    unsigned steps = 0;
    do {
        const int64_t wait_ms = keeping_step(keeping);
        assert_true(wait_ms > 0);
        world->now_ms += wait_ms;
        steps++;
        assert_true(steps < 1000);
    } while (keeping->phase != KEEPING_RESTS);
    return steps;
}

static void a_pass_removes_what_is_old_in_small_steps(void **state)
{
    struct world *world = *state;
    struct fleetdb_room room;
    struct keeping keeping = keeping_of(world);
    send(world, 1);
    world->now_ms += 100 * day_ms;
    send(world, 1001);
    assert_true(pass(world, &keeping) > 8);
    assert_int_equal(rows_of(world), 1000);
    assert_int_equal(world->metrics.values[METRIC_AGED_RESULTS], 1000);
    assert_true(world->metrics.values[METRIC_AGED_FEED] >= 1000);
    assert_true(world->metrics.values[METRIC_GIVEN_BACK] > 0);
    assert_true(fleetdb_room_look(world->fleet->db, &room, NULL));
    assert_int_equal(room.free_bytes, 0);
    assert_string_equal(keeping.trouble, "");
}

static void the_next_pass_waits_for_its_time(void **state)
{
    struct world *world = *state;
    struct keeping keeping = keeping_of(world);
    send(world, 1);
    (void)pass(world, &keeping);
    assert_int_equal(rows_of(world), 1000);
    world->now_ms -= 30000;
    assert_int_equal(keeping_step(&keeping), 30000);
    assert_int_equal(keeping.phase, KEEPING_RESTS);
    world->now_ms += 100 * day_ms;
    (void)pass(world, &keeping);
    assert_int_equal(rows_of(world), 0);
}

static void for_ever_is_for_ever(void **state)
{
    struct world *world = *state;
    struct keeping keeping = keeping_of(world);
    keeping.settings.age_ms[FLEETDB_KEPT_RESULTS] = 0;
    send(world, 1);
    world->now_ms += 100000 * day_ms;
    (void)pass(world, &keeping);
    assert_int_equal(rows_of(world), 1000);
    assert_int_equal(keeping_from_ms(&keeping, FLEETDB_KEPT_RESULTS), 0);
}

struct slow {
    struct world *world;
    int64_t boot_ms, step_ms;
};

static int64_t slow_boot(void *ctx)
{
    struct slow *slow = ctx;
    slow->boot_ms += slow->step_ms; /* each look at the clock: half a step */
    return slow->boot_ms;
}

static int64_t slow_wall(void *ctx)
{
    const struct slow *slow = ctx;
    return world_wall(slow->world);
}

/* Between two steps others have the loop for longer than a step takes. */
static void a_slow_disk_makes_steps_small(void **state)
{
    struct world *world = *state;
    struct slow slow = {.world = world, .step_ms = 20};
    const struct clock clock = {slow_wall, slow_boot, &slow};
    struct keeping keeping = keeping_of(world);
    keeping.settings.clock = &clock;
    send(world, 1);
    world->now_ms += 100 * day_ms;
    for (int i = 0; i < 6; i++) {
        const int64_t wait_ms = keeping_step(&keeping);
        assert_true(wait_ms >= 4 * slow.step_ms);
        slow.boot_ms += wait_ms;
    }
    assert_int_equal(keeping.rows, 8);
}

/* ---- a clock that is wrong ---- */

struct wrong {
    struct world *world;
    int64_t off_ms;
};

static int64_t wrong_wall(void *ctx)
{
    const struct wrong *wrong = ctx;
    return world_wall(wrong->world) + wrong->off_ms;
}

static int64_t wrong_boot(void *ctx)
{
    const struct wrong *wrong = ctx;
    return clock_boot_ms(&wrong->world->clock);
}

static struct clock wrong_clock(struct wrong *wrong)
{
    return (struct clock){wrong_wall, wrong_boot, wrong};
}

/* By the hour. */
static void time_passes(struct world *world, struct keeping *keeping, int64_t for_ms)
{
    for (int64_t passed_ms = 0; passed_ms < for_ms; passed_ms += 3600000) {
        world->now_ms += 3600000;
        (void)pass(world, keeping);
    }
}

static void a_clock_that_jumps_ahead_removes_nothing(void **state)
{
    struct world *world = *state;
    struct wrong wrong = {.world = world};
    const struct clock clock = wrong_clock(&wrong);
    struct keeping keeping = keeping_of(world);
    keeping.settings.clock = &clock;
    send(world, 1);
    (void)pass(world, &keeping);
    const uint64_t aged = world->metrics.values[METRIC_AGED_FEED];
    wrong.off_ms = 3650 * day_ms;
    time_passes(world, &keeping, day_ms / 2);
    assert_int_equal(rows_of(world), 1000);
    assert_int_equal(world->metrics.values[METRIC_RETENTION_HELD], 1);
    assert_int_equal(world->metrics.values[METRIC_AGED_FEED], aged);
    assert_true(keeping.time.note.doubted_ms > 0);
    assert_true(keeping_from_ms(&keeping, FLEETDB_KEPT_RESULTS) < world_wall(world));
    wrong.off_ms = 0;
    time_passes(world, &keeping, 2 * day_ms);
    assert_int_equal(rows_of(world), 1000);
    assert_int_equal(world->metrics.values[METRIC_RETENTION_HELD], 0);
}

/* In the middle of a pass. */
static void a_jump_ends_a_pass(void **state)
{
    struct world *world = *state;
    struct wrong wrong = {.world = world};
    const struct clock clock = wrong_clock(&wrong);
    struct keeping keeping = keeping_of(world);
    keeping.settings.clock = &clock;
    send(world, 1);
    world->now_ms += keeping_step(&keeping);
    assert_int_equal(keeping.phase, KEEPING_AGES);
    wrong.off_ms = 3650 * day_ms;
    (void)pass(world, &keeping);
    assert_int_equal(rows_of(world), 1000);
}

static void a_time_that_holds_is_gone_by(void **state)
{
    struct world *world = *state;
    struct wrong wrong = {.world = world};
    const struct clock clock = wrong_clock(&wrong);
    struct keeping keeping = keeping_of(world);
    keeping.settings.clock = &clock;
    send(world, 1);
    (void)pass(world, &keeping);
    wrong.off_ms = 100 * day_ms;
    time_passes(world, &keeping, day_ms - 3600000);
    assert_int_equal(rows_of(world), 1000);
    time_passes(world, &keeping, 2 * 3600000);
    assert_int_equal(rows_of(world), 0);
}

/* As one that was off for long; the next one reads the note. */
static void a_start_ahead_of_the_note_waits(void **state)
{
    struct world *world = *state;
    struct keeping keeping = keeping_of(world);
    send(world, 1);
    (void)pass(world, &keeping);
    world->now_ms += 100 * day_ms;
    keeping = keeping_of(world);
    (void)pass(world, &keeping);
    assert_int_equal(rows_of(world), 1000);
    time_passes(world, &keeping, day_ms / 2);
    keeping = keeping_of(world); /* once more, on the way */
    time_passes(world, &keeping, day_ms / 2 + 2 * 3600000);
    assert_int_equal(rows_of(world), 0);
}

/* However seldom it passes, what it notes is not old. */
static void the_note_is_kept_up_between_passes(void **state)
{
    struct world *world = *state;
    struct fleetdb_kept_clock note;
    struct keeping keeping = keeping_of(world);
    keeping.settings.every_ms = day_ms;
    (void)pass(world, &keeping);
    const int64_t passed_ms = keeping.passed_ms;
    for (int i = 0; i < 20; i++) {
        const int64_t wait_ms = keeping_step(&keeping);
        assert_in_range(wait_ms, 1, 3600000);
        world->now_ms += wait_ms;
    }
    assert_int_equal(keeping.passed_ms, passed_ms);
    assert_true(fleetdb_kept_clock_read(world->fleet->db, &note, NULL));
    assert_in_range(world_wall(world) - note.believed_ms, 0, 2 * 3600000);
}

static void a_clock_that_went_back_removes_nothing(void **state)
{
    struct world *world = *state;
    struct wrong wrong = {.world = world};
    const struct clock clock = wrong_clock(&wrong);
    struct keeping keeping = keeping_of(world);
    keeping.settings.clock = &clock;
    send(world, 1);
    world->now_ms += 29 * day_ms;
    (void)pass(world, &keeping);
    wrong.off_ms = -3650 * day_ms;
    time_passes(world, &keeping, 2 * day_ms);
    assert_int_equal(rows_of(world), 1000);
    wrong.off_ms = 0; /* set right: from there that is a jump ahead */
    time_passes(world, &keeping, day_ms / 2);
    assert_int_equal(rows_of(world), 1000);
    time_passes(world, &keeping, day_ms);
    assert_int_equal(rows_of(world), 0);
}

static sqlite3 *reader_of(struct world *world)
{
    char path[160];
    sqlite3 *reader = NULL;
    (void)snprintf(path, sizeof path, "%s/fleet.db", world->fleet->dir);
    assert_int_equal(sqlite3_open(path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM merchant", NULL, NULL, NULL),
                     SQLITE_OK);
    return reader;
}

/* Returns when the pass was over, with the rest after it still to come. */
static int64_t pass_but_its_rest(struct world *world, struct keeping *keeping)
{
    int64_t wait_ms = 0;
    for (int steps = 0; keeping->phase != KEEPING_RESTS; steps++) {
        assert_true(steps < 1000);
        world->now_ms += wait_ms;
        wait_ms = keeping_step(keeping);
    }
    return world->now_ms;
}

/* Somebody reads for days, and the file may not be shrunk. */
static void what_waits_for_a_reader_keeps_nothing(void **state)
{
    struct world *world = *state;
    struct keeping keeping = keeping_of(world);
    struct fleetdb_erasure erasure;
    const struct fleetdb_store gone = {.merchant = "gone", .store = "g-1"};
    const struct fleetdb_change change = {.who = "uid 0", .why = "", .now_ms = 5};
    const struct fleetdb_erase_order order = {.merchant = "gone", .who = "uid 0"};
    int64_t store = 0;
    assert_true(fleetdb_store_put(world->fleet->db, &gone, &change, &store, NULL));
    send(world, 1);
    sqlite3 *reader = reader_of(world);
    assert_true(fleetdb_erase_begin(world->fleet->db, &order, 6, &erasure, NULL));
    keeping_wake(&keeping);
    for (int steps = 0; keeping.erasing_trouble[0] == '\0'; steps++) {
        assert_true(steps < 1000);
        world->now_ms += keeping_step(&keeping);
    }
    assert_int_equal(rows_of(world), 1000);
    for (int steps = 0; rows_of(world) > 0; steps++) {
        assert_true(steps < 1000);
        world->now_ms += day_ms / 4;
        (void)keeping_step(&keeping);
    }
    assert_true(fleetdb_erasing(world->fleet->db));
    const int64_t over_ms = pass_but_its_rest(world, &keeping);
    (void)sqlite3_close(reader);
    for (int64_t wait_ms = 0; fleetdb_erasing(world->fleet->db);) {
        world->now_ms += wait_ms;
        wait_ms = keeping_step(&keeping);
        assert_true(world->now_ms - over_ms <= 10000);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_pass_removes_what_is_old_in_small_steps),
        TEST(the_next_pass_waits_for_its_time),
        TEST(for_ever_is_for_ever),
        TEST(a_slow_disk_makes_steps_small),
        TEST(what_waits_for_a_reader_keeps_nothing),
        TEST(a_clock_that_jumps_ahead_removes_nothing),
        TEST(a_jump_ends_a_pass),
        TEST(a_time_that_holds_is_gone_by),
        TEST(a_start_ahead_of_the_note_waits),
        TEST(the_note_is_kept_up_between_passes),
        TEST(a_clock_that_went_back_removes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
