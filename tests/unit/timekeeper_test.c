/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/timekeeper.h"
#include "tests/unit/testing.h"

#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define NOW INT64_C(1790000000000)

static void jumps_are_seen(void **state)
{
    struct timekeeper keeper = {0};
    (void)state;
    assert_int_equal(timekeeper_look(&keeper, 17, 5 * SECOND), 0); /* the first look */
    assert_int_equal(timekeeper_look(&keeper, 17 + 10 * SECOND, 15 * SECOND), 0);
    /* Slewed, suspended: no jump. */
    assert_int_equal(timekeeper_look(&keeper, 18 + 21 * SECOND + 900, 25 * SECOND), 0);
    assert_int_equal(timekeeper_look(&keeper, 18 + 21 * SECOND + 900 + DAY, 25 * SECOND + DAY), 0);
    assert_int_equal(timekeeper_look(&keeper, NOW, 26 * SECOND + DAY),
                     NOW - (18 + 21 * SECOND + 900 + DAY + SECOND));
    assert_int_equal(timekeeper_look(&keeper, NOW + SECOND, 27 * SECOND + DAY), 0);
    assert_int_equal(timekeeper_look(&keeper, NOW - 2 * SECOND, 28 * SECOND + DAY), -4 * SECOND);
    /* Beyond all calendars. */
    assert_int_equal(timekeeper_look(&keeper, INT64_MAX, 29 * SECOND + DAY) > 0, 1);
    assert_int_equal(timekeeper_look(&keeper, INT64_MIN, 30 * SECOND + DAY), INT64_MIN);
}

static void welcome(struct timekeeper *keeper, int64_t fleet_ms, int64_t boot_ms, int64_t wall_ms)
{
    timekeeper_welcomed(keeper, &(struct timekeeper_sight){fleet_ms, boot_ms - 200, boot_ms},
                        wall_ms);
}

static void what_is_proved_rises_in_steps(void **state)
{
    struct timekeeper keeper = {0};
    (void)state;
    assert_int_equal(timekeeper_offset(&keeper, 17, HOUR), 0);
    welcome(&keeper, NOW, HOUR, 17);
    assert_true(keeper.exact && keeper.unsaved);
    assert_int_equal(timekeeper_at_least(&keeper, HOUR), NOW);
    assert_int_equal(timekeeper_at_least(&keeper, 3 * HOUR), NOW + 2 * HOUR);
    assert_int_equal(timekeeper_at_least(&keeper, 0), NOW);
    assert_in_range(timekeeper_offset(&keeper, 17 + HOUR, 2 * HOUR), NOW - 17 + 90, NOW - 17 + 110);
    /* Lower than what is proved: a fleet whose clock went back, or an old one. */
    welcome(&keeper, NOW - DAY, 2 * HOUR, 17);
    assert_int_equal(timekeeper_at_least(&keeper, 2 * HOUR), NOW + HOUR);
    /* Whoever holds the director's key says 2100. */
    for (int i = 1; i <= 3; i++) {
        welcome(&keeper, NOW + 27000 * DAY, 2 * HOUR, 17);
        assert_false(keeper.exact);
        assert_int_equal(timekeeper_at_least(&keeper, 2 * HOUR), NOW + HOUR + i * 30 * DAY);
    }
    /* A terminal that was in stock for two years, and its clock says the same. */
    welcome(&keeper, NOW + 730 * DAY, 2 * HOUR, NOW + 730 * DAY - HOUR);
    assert_true(keeper.exact);
    assert_int_equal(timekeeper_at_least(&keeper, 2 * HOUR), NOW + 730 * DAY);
    welcome(&keeper, INT64_MIN, 3 * HOUR, 17);
    welcome(&keeper, 0, 3 * HOUR, 17);
    assert_int_equal(keeper.sight.fleet_ms, NOW + 730 * DAY);
}

/* A fleet that says the last time that there is: nothing is beyond it. */
static void the_ends_of_time_are_borne(void **state)
{
    struct timekeeper keeper = {0};
    (void)state;
    welcome(&keeper, INT64_MAX, HOUR, 17);
    assert_true(timekeeper_at_least(&keeper, 2 * HOUR) == INT64_MAX);
    assert_true(timekeeper_offset(&keeper, INT64_MIN, 2 * HOUR) == INT64_MAX);
    welcome(&keeper, NOW, 3 * HOUR, 17);
    assert_true(timekeeper_at_least(&keeper, 4 * HOUR) == INT64_MAX);
}

static void results_are_placed(void **state)
{
    struct timekeeper keeper = {0};
    int64_t boot = 5 * HOUR;
    (void)state;
    (void)timekeeper_look(&keeper, NOW, boot);
    assert_int_equal(timekeeper_place(&keeper, NOW, NOW, boot), boot);
    assert_int_equal(timekeeper_place(&keeper, NOW - HOUR, NOW, boot), boot - HOUR);
    assert_int_equal(timekeeper_place(&keeper, NOW - 6 * HOUR, NOW, boot), 0); /* another boot */
    assert_int_equal(timekeeper_place(&keeper, NOW + HOUR, NOW, boot), boot);
    assert_int_equal(timekeeper_place(&keeper, INT64_MAX, NOW, boot), boot);
    assert_int_equal(timekeeper_place(&keeper, 1, NOW, boot), 0);
    /* The clock is set ten years back; a result of a minute before is handed over. */
    assert_int_equal(timekeeper_look(&keeper, NOW - 3650 * DAY, boot), -3650 * DAY);
    int64_t now = boot + 60 * SECOND, wall = NOW - 3650 * DAY + 60 * SECOND;
    assert_int_equal(timekeeper_place(&keeper, NOW - 60 * SECOND, wall, now), boot - 60 * SECOND);
    assert_int_equal(timekeeper_place(&keeper, wall - 30 * SECOND, wall, now), now - 30 * SECOND);
    assert_int_equal(timekeeper_place(&keeper, NOW + DAY, wall, now), now);
}

static void a_root_raises_it_to_any_height(void **state)
{
    struct timekeeper keeper = {0};
    (void)state;
    welcome(&keeper, NOW, HOUR, 17);
    keeper.unsaved = false;
    timekeeper_rooted(&keeper, NOW - DAY, 2 * HOUR);
    timekeeper_rooted(&keeper, NOW + HOUR, 2 * HOUR);
    assert_false(keeper.unsaved); /* nothing that was not known */
    timekeeper_rooted(&keeper, NOW + 800 * DAY, 2 * HOUR);
    assert_true(keeper.unsaved);
    assert_int_equal(timekeeper_at_least(&keeper, 2 * HOUR), NOW + 800 * DAY);
    assert_int_equal(timekeeper_at_least(&keeper, 5 * HOUR), NOW + 800 * DAY + 3 * HOUR);
    timekeeper_rooted(&keeper, 0, 2 * HOUR); /* one that does not say when */
    assert_int_equal(timekeeper_at_least(&keeper, 2 * HOUR), NOW + 800 * DAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jumps_are_seen),
        cmocka_unit_test(what_is_proved_rises_in_steps),
        cmocka_unit_test(a_root_raises_it_to_any_height),
        cmocka_unit_test(the_ends_of_time_are_borne),
        cmocka_unit_test(results_are_placed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
