/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_actions.h"

#include "proto/action.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <string.h>

#define WAITING MUSTER__ACTION_STEP__ACTION_STEP_WAITING
#define STARTED MUSTER__ACTION_STEP__ACTION_STEP_STARTED
#define DONE MUSTER__ACTION_STEP__ACTION_STEP_DONE
#define EXPIRED MUSTER__ACTION_STEP__ACTION_STEP_EXPIRED
#define UNKNOWN MUSTER__ACTION_STEP__ACTION_STEP_OUTCOME_UNKNOWN

static void put(struct temp_fleet *fleet, int64_t device, const char *name, int64_t expires_ms)
{
    const struct fleetdb_action action = {.name = name,
                                          .kind = MUSTER__ACTION_KIND__ACTION_REBOOT,
                                          .note = "why",
                                          .made_ms = 10,
                                          .expires_ms = expires_ms};
    assert_true(fleetdb_action_put(fleet->db, device, &action, NULL));
}

static bool report(struct temp_fleet *fleet, int64_t device, const char *name, int step)
{
    bool known = false;
    const struct fleetdb_action action = {.name = name, .text = "told", .step = step};
    assert_true(
        fleetdb_action_report(fleet->db, device, &action, action_is_over(step), 20, &known, NULL));
    return known;
}

struct seen {
    int step;
    bool open;
    uint64_t since;
};

static bool see(void *ctx, const struct fleetdb_action *action, struct err *err)
{
    (void)err;
    *(struct seen *)ctx = (struct seen){action->step, action->open, action->since_version};
    return true;
}

static struct seen look(struct temp_fleet *fleet, const char *name)
{
    struct seen seen = {0};
    assert_true(fleetdb_action_get(fleet->db, name, see, &seen, NULL));
    return seen;
}

static bool is_due(struct temp_fleet *fleet, int64_t now_ms)
{
    int64_t device;
    char id[33];
    bool found = false;
    assert_true(fleetdb_actions_due(fleet->db, 0, now_ms, &device, id, &found, NULL));
    return found;
}

static void test_how_it_ended_is_told_once(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t one = temp_fleet_device(fleet, "term-1"), two = temp_fleet_device(fleet, "term-2");
    put(fleet, one, "a-1", 0);
    assert_false(report(fleet, two, "a-1", DONE)); /* another one's */
    assert_false(report(fleet, one, "a-2", DONE));
    assert_true(report(fleet, one, "a-1", STARTED));
    assert_true(report(fleet, one, "a-1", WAITING)); /* late: it is known to have begun */
    assert_int_equal(look(fleet, "a-1").step, STARTED);
    assert_false(look(fleet, "a-1").open); /* nothing orders what has begun */
    assert_true(report(fleet, one, "a-1", UNKNOWN));
    assert_false(look(fleet, "a-1").open);
    assert_true(report(fleet, one, "a-1", DONE));
    assert_true(report(fleet, one, "a-1", STARTED));
    assert_int_equal(look(fleet, "a-1").step, UNKNOWN);
}

static void test_what_manifests_name(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t one = temp_fleet_device(fleet, "term-1");
    put(fleet, one, "a-1", 0);
    assert_false(is_due(fleet, 100)); /* the next manifest will name it */
    assert_true(fleetdb_actions_named(fleet->db, one, 1, 7, NULL));
    assert_true(fleetdb_actions_named(fleet->db, one, 1, 8, NULL));
    assert_int_equal(look(fleet, "a-1").since, 7); /* the first that did */
    assert_true(report(fleet, one, "a-1", DONE));
    assert_true(is_due(fleet, 100));
    assert_true(fleetdb_actions_named(fleet->db, one, 1, 9, NULL));
    assert_false(is_due(fleet, 100));
}

static void test_what_expires(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t one = temp_fleet_device(fleet, "term-1"), next_ms = 0;
    put(fleet, one, "begun", 50);
    put(fleet, one, "not-begun", 60);
    assert_true(report(fleet, one, "begun", STARTED));
    assert_true(fleetdb_actions_next(fleet->db, &next_ms, NULL));
    assert_int_equal(next_ms, 60);
    assert_false(is_due(fleet, 59));
    assert_true(is_due(fleet, 60));
    assert_true(fleetdb_actions_expire(fleet->db, one, 60, EXPIRED, NULL));
    assert_int_equal(look(fleet, "begun").step, STARTED);
    assert_false(look(fleet, "not-begun").open);
    assert_int_equal(look(fleet, "not-begun").step, EXPIRED);
    /* That it waited was long on its way. */
    assert_true(report(fleet, one, "not-begun", WAITING));
    assert_int_equal(look(fleet, "not-begun").step, EXPIRED);
    /* It had begun in time, and its reports were. */
    assert_true(report(fleet, one, "not-begun", STARTED));
    assert_int_equal(look(fleet, "not-begun").step, STARTED);
    assert_true(report(fleet, one, "not-begun", DONE));
    assert_int_equal(look(fleet, "not-begun").step, DONE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(test_how_it_ended_is_told_once),
        TEST(test_what_manifests_name),
        TEST(test_what_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
