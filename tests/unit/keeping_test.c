/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/keeping.h"

#include "storage/fleetdb_room.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_pass_removes_what_is_old_in_small_steps),
        TEST(the_next_pass_waits_for_its_time),
        TEST(for_ever_is_for_ever),
        TEST(a_slow_disk_makes_steps_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
