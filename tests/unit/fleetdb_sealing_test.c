/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_sealing.h"

#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <string.h>

static void put(struct temp_fleet *fleet, int64_t device, const char *text, bool is_new)
{
    bool changed = !is_new;
    struct err err = {0};
    if (!fleetdb_sealing_put(fleet->db, device, bytes_of(text, strlen(text)), "uid 0", 5, &changed,
                             &err))
        fail_msg("%s", err.text);
    assert_int_equal(changed, is_new);
}

static void assert_held(struct temp_fleet *fleet, int64_t device, const char *text)
{
    struct buf held = {0};
    assert_true(fleetdb_sealing_get(fleet->db, device, &held, NULL));
    assert_true(bytes_equal(buf_bytes(&held), bytes_of(text, strlen(text))));
    buf_done(&held);
}

static void test_the_newest_of_each_device(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t one = temp_fleet_device(fleet, "term-1");
    int64_t two = temp_fleet_device(fleet, "term-2");
    assert_held(fleet, one, "");
    put(fleet, one, "first", true);
    put(fleet, one, "first", false);
    put(fleet, one, "second", true);
    assert_held(fleet, one, "second");
    assert_held(fleet, two, "");
}

static void test_no_such_device(void **state)
{
    struct temp_fleet *fleet = *state;
    struct buf held = {0};
    struct err err = {0};
    assert_false(fleetdb_sealing_get(fleet->db, 999, &held, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    bool changed = true;
    assert_true(fleetdb_sealing_put(fleet->db, 999, bytes_of("x", 1), "uid 0", 5, &changed, NULL));
    assert_false(changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_newest_of_each_device, temp_fleet_open,
                                        temp_fleet_close),
        cmocka_unit_test_setup_teardown(test_no_such_device, temp_fleet_open, temp_fleet_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
