/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_roots.h"

#include "storage/fleetdb_records.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static bool add(struct temp_fleet *fleet, uint64_t version, const char *text, bool *ret_added,
                struct err *err)
{
    const struct fleetdb_root root = {.version = version,
                                      .epoch = version / 4 + 1,
                                      .issued_ms = (int64_t)version * 10,
                                      .published_ms = 5,
                                      .envelope = bytes_of(text, strlen(text))};
    return fleetdb_root_add(fleet->db, &root, ret_added, err);
}

static void must_add(struct temp_fleet *fleet, uint64_t version, const char *text)
{
    bool added = false;
    struct err err = {0};
    if (!add(fleet, version, text, &added, &err))
        fail_msg("%s", err.text);
    assert_true(added);
}

static void is_range(struct temp_fleet *fleet, uint64_t first, uint64_t newest)
{
    uint64_t is_first = 77, is_newest = 77;
    assert_true(fleetdb_root_range(fleet->db, &is_first, &is_newest, NULL));
    assert_int_equal(is_first, first);
    assert_int_equal(is_newest, newest);
}

static void the_chain_has_no_gap(void **state)
{
    struct temp_fleet *fleet = *state;
    struct err err = {0};
    bool added = true;
    is_range(fleet, 0, 0);
    assert_false(add(fleet, 0, "zero", &added, &err));
    assert_false(add(fleet, UINT64_MAX, "last", &added, &err));
    must_add(fleet, 3, "three"); /* whichever a fleet begins with */
    must_add(fleet, 4, "four");
    must_add(fleet, 2, "two"); /* terminals made earlier know an older one */
    is_range(fleet, 2, 4);
    static const uint64_t gaps[] = {0, 6, 7, UINT64_MAX};
    for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
        err = (struct err){0};
        assert_false(add(fleet, gaps[i], "gap", &added, &err));
        assert_int_equal(err.code, ERR_REFUSED);
    }
    must_add(fleet, 1, "one");
    assert_false(add(fleet, 0, "zero", &added, &err));
    is_range(fleet, 1, 4);
}

static void a_root_is_never_replaced(void **state)
{
    struct temp_fleet *fleet = *state;
    struct err err = {0};
    struct buf out = {0};
    bool added = true;
    must_add(fleet, 1, "one");
    assert_true(add(fleet, 1, "one", &added, NULL));
    assert_false(added);
    assert_false(add(fleet, 1, "another", &added, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_true(fleetdb_root_get(fleet->db, 1, &out, NULL));
    assert_true(bytes_equal(buf_bytes(&out), bytes_of("one", 3)));
    assert_false(fleetdb_root_get(fleet->db, 2, &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    buf_done(&out);
}

static void a_walk_gives_them_in_order(void **state)
{
    struct temp_fleet *fleet = *state;
    struct fleetdb_root root = {0};
    struct buf out = {0};
    bool found = false;
    must_add(fleet, 4, "four");
    must_add(fleet, 5, "five");
    assert_true(fleetdb_root_next(fleet->db, 0, &root, &out, &found, NULL));
    assert_true(found);
    assert_int_equal(root.version, 4);
    assert_int_equal(root.epoch, 2);
    assert_int_equal(root.issued_ms, 40);
    assert_int_equal(root.published_ms, 5);
    assert_true(fleetdb_root_next(fleet->db, 4, &root, &out, &found, NULL));
    assert_true(found && bytes_equal(root.envelope, bytes_of("five", 4)));
    assert_true(fleetdb_root_next(fleet->db, 5, &root, &out, &found, NULL));
    assert_false(found);
    buf_done(&out);
}

static void reports(struct temp_fleet *fleet, int64_t device, uint64_t root_version)
{
    const struct fleetdb_report report = {.received_ms = 1, .root_version = root_version};
    assert_true(fleetdb_report_write(fleet->db, device, &report, NULL));
}

static void devices_are_counted_by_what_they_know(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t count = 77;
    reports(fleet, temp_fleet_device(fleet, "t-1"), 1);
    reports(fleet, temp_fleet_device(fleet, "t-2"), 2);
    reports(fleet, temp_fleet_device(fleet, "t-3"), 2);
    (void)temp_fleet_device(fleet, "t-4"); /* never heard of */
    static const int64_t known[] = {0, 1, 2, 0};
    for (uint64_t version = 0; version < 4; version++) {
        assert_true(fleetdb_root_devices(fleet->db, version, &count, NULL));
        assert_int_equal(count, known[version]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(the_chain_has_no_gap),
        TEST(a_root_is_never_replaced),
        TEST(a_walk_gives_them_in_order),
        TEST(devices_are_counted_by_what_they_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
