/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/keeping_clock.h"

#include "tests/unit/testing.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define NOW INT64_C(1790000000000)

/* A machine: what its wall clock is off by, and for how long it has been up. */
struct machine {
    struct keeping_clock clock;
    int64_t really_ms, off_ms, booted_ms;
};

static struct machine machine_of(void)
{
    return (struct machine){.really_ms = NOW, .booted_ms = NOW - 1000};
}

static bool look(struct machine *machine)
{
    return keeping_clock_look(&machine->clock, machine->really_ms + machine->off_ms,
                              machine->really_ms - machine->booted_ms);
}

/* Looked at by the hour; returns after how many hours it is believed, -1: not within `hours`. */
static int hours_until_believed(struct machine *machine, int hours)
{
    for (int hour = 1; hour <= hours; hour++) {
        machine->really_ms += HOUR;
        if (look(machine))
            return hour;
    }
    return -1;
}

static void start_again(struct machine *machine, int64_t down_ms)
{
    const struct fleetdb_kept_clock note = machine->clock.note;
    machine->really_ms += down_ms;
    machine->booted_ms = machine->really_ms - 1000;
    machine->clock = (struct keeping_clock){.note = note};
}

static void the_first_time_is_believed(void **state)
{
    (void)state;
    struct machine machine = machine_of();
    assert_true(look(&machine));
    assert_int_equal(machine.clock.note.believed_ms, NOW);
}

/* Nothing was looked at for long, but the time since boot says how long. */
static void time_that_passes_is_no_jump(void **state)
{
    (void)state;
    struct machine machine = machine_of();
    assert_true(look(&machine));
    machine.really_ms += 400 * DAY;
    assert_true(look(&machine));
    assert_int_equal(machine.clock.note.believed_ms, machine.really_ms);
}

static void a_small_correction_is_believed(void **state)
{
    (void)state;
    struct machine machine = machine_of();
    assert_true(look(&machine));
    machine.off_ms = 20 * HOUR;
    assert_true(look(&machine));
    machine.off_ms = -20 * HOUR;
    assert_true(look(&machine));
}

static void a_jump_is_believed_after_it_has_held(void **state)
{
    (void)state;
    for (int years = -10; years <= 10; years += 20) {
        struct machine machine = machine_of();
        assert_true(look(&machine));
        machine.off_ms = years * 365 * DAY;
        assert_false(look(&machine));
        assert_int_equal(keeping_clock_left_ms(&machine.clock), DAY);
        assert_int_equal(hours_until_believed(&machine, 48), 24);
        assert_int_equal(machine.clock.note.believed_ms, machine.really_ms + machine.off_ms);
        assert_int_equal(keeping_clock_left_ms(&machine.clock), 0);
    }
}

static void a_clock_that_is_set_right_is_believed_at_once(void **state)
{
    (void)state;
    struct machine machine = machine_of();
    assert_true(look(&machine));
    machine.off_ms = 3650 * DAY;
    assert_int_equal(hours_until_believed(&machine, 23), -1);
    machine.off_ms = 0;
    assert_true(look(&machine));
    assert_int_equal(machine.clock.note.doubted_ms, 0);
    /* And what was held before does not count. */
    machine.off_ms = 3650 * DAY;
    assert_false(look(&machine));
    assert_int_equal(hours_until_believed(&machine, 48), 24);
}

static void another_jump_begins_anew(void **state)
{
    (void)state;
    struct machine machine = machine_of();
    assert_true(look(&machine));
    machine.off_ms = 3650 * DAY;
    assert_int_equal(hours_until_believed(&machine, 20), -1);
    machine.off_ms += 2 * HOUR;
    assert_int_equal(hours_until_believed(&machine, 24), -1);
    assert_int_equal(hours_until_believed(&machine, 24), 1);
}

/* Never far off what it said before. */
static void a_clock_that_runs_twice_as_fast_is_never_believed(void **state)
{
    (void)state;
    struct machine machine = machine_of();
    int believed = 0;
    assert_true(look(&machine));
    for (int i = 0; i < 24 * 30 * 4; i++) {
        machine.really_ms += HOUR / 4;
        machine.off_ms += HOUR / 4;
        believed += look(&machine);
    }
    assert_true(believed <= 24 * 4);
}

static void after_two_weeks_it_waits_a_day(void **state)
{
    (void)state;
    struct machine machine = machine_of();
    assert_true(look(&machine));
    start_again(&machine, 14 * DAY);
    assert_false(look(&machine));
    assert_int_equal(hours_until_believed(&machine, 48), 24);
}

static void a_short_stop_is_none(void **state)
{
    (void)state;
    struct machine machine = machine_of();
    assert_true(look(&machine));
    start_again(&machine, 12 * HOUR);
    assert_true(look(&machine));
    assert_int_equal(machine.clock.note.believed_ms, machine.really_ms);
}

/* Else one that starts every night would never believe anything again. */
static void what_has_held_outlives_a_restart(void **state)
{
    (void)state;
    struct machine machine = machine_of();
    assert_true(look(&machine));
    start_again(&machine, 14 * DAY);
    assert_false(look(&machine));
    assert_int_equal(hours_until_believed(&machine, 20), -1);
    start_again(&machine, HOUR);
    assert_false(look(&machine));
    assert_int_equal(hours_until_believed(&machine, 48), 4);
}

/* Until it has been told the time, it is 1970 at each start. */
static void a_dead_clock_that_is_set_is_believed(void **state)
{
    (void)state;
    struct machine machine = machine_of();
    assert_true(look(&machine));
    start_again(&machine, HOUR);
    machine.off_ms = 1000 - machine.really_ms;
    assert_false(look(&machine));
    machine.really_ms += HOUR;
    machine.off_ms = 0;
    assert_true(look(&machine));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_time_is_believed),
        cmocka_unit_test(time_that_passes_is_no_jump),
        cmocka_unit_test(a_small_correction_is_believed),
        cmocka_unit_test(a_jump_is_believed_after_it_has_held),
        cmocka_unit_test(a_clock_that_is_set_right_is_believed_at_once),
        cmocka_unit_test(another_jump_begins_anew),
        cmocka_unit_test(a_clock_that_runs_twice_as_fast_is_never_believed),
        cmocka_unit_test(after_two_weeks_it_waits_a_day),
        cmocka_unit_test(a_short_stop_is_none),
        cmocka_unit_test(what_has_held_outlives_a_restart),
        cmocka_unit_test(a_dead_clock_that_is_set_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
