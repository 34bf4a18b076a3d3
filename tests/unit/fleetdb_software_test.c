/* SPDX-License-Identifier: Apache-2.0 */
/* How many firmwares and applications of one terminal the fleet tells apart. */
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_rollups.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static const int64_t day_ms = 24 * 3600 * INT64_C(1000), begun_ms = INT64_C(1767225600000);

struct told {
    int64_t device;
    const char *firmware, *app;
    int64_t day;
};

static size_t place_of(const char *name)
{
    size_t count = 0, at = 0;
    const char *const *columns = fleetdb_columns(1, &count);
    while (at < count && strcmp(columns[at], name) != 0)
        at++;
    assert_true(at < count);
    return at;
}

static void sell(struct temp_fleet *fleet, struct told told)
{
    static uint64_t seq;
    struct fleetdb_value values[FLEETDB_COLUMNS_MAX];
    struct err err = {0};
    const bool expect_held = false;
    enum fleetdb_insert outcome = FLEETDB_SAME;
    const int64_t now_ms = begun_ms + told.day * day_ms;
    temp_fleet_nothing(values);
    values[place_of("firmware_version")] =
        fleetdb_bytes(FLEETDB_TEXT, bytes_of(told.firmware, strlen(told.firmware)));
    values[place_of("app_version")] =
        fleetdb_bytes(FLEETDB_TEXT, bytes_of(told.app, strlen(told.app)));
    const struct fleetdb_record record = {.device = told.device,
                                          .lane = 1,
                                          .incarnation = 7,
                                          .seq = ++seq,
                                          .received_ms = now_ms,
                                          .at_ms = now_ms,
                                          .values = values};
    if (!fleetdb_insert(fleet->db, &record, 1, &expect_held, &outcome, &err))
        fail_msg("%s", err.text);
    assert_int_equal(outcome, FLEETDB_NEW);
}

/* `count` of them, from `first` on. */
static void sell_many(struct temp_fleet *fleet, int64_t device, int first, int count, int64_t day)
{
    char app[24];
    assert_true(fleetdb_begin(fleet->db, NULL));
    for (int i = first; i < first + count; i++) {
        (void)snprintf(app, sizeof app, "app %d", i);
        sell(fleet, (struct told){device, "fw", app, day});
    }
    assert_true(fleetdb_commit(fleet->db, NULL));
}

static void sums_are_right(struct temp_fleet *fleet)
{
    char why[120] = "";
    uint64_t wrong = 1;
    assert_true(fleetdb_rollups_check(fleet->db, &wrong, why, sizeof why, NULL));
    assert_string_equal(why, "");
    assert_int_equal(wrong, 0);
}

/* Results of one that nobody tells apart any more. */
static int64_t others(struct temp_fleet *fleet)
{
    return temp_fleet_number(fleet, "SELECT total(h.results) FROM rollup_software_hour h"
                                    " JOIN software s ON s.id = h.software"
                                    " WHERE s.firmware = '?' AND s.app = '?'");
}

static void what_is_ever_another_is_one(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "t1"), honest = temp_fleet_device(fleet, "t2");
    sell_many(fleet, device, 0, FLEETDB_SOFTWARE_MAX + 50, 0);
    sell_many(fleet, device, FLEETDB_SOFTWARE_MAX + 50, 50, 1);
    assert_int_equal(others(fleet), 100);
    assert_int_equal(fleetdb_folded(fleet->db), 100);
    assert_int_equal(temp_fleet_number(fleet, "SELECT count(*) FROM software"),
                     FLEETDB_SOFTWARE_MAX + 1);
    /* What it ran before goes on to be told apart, and what others run too. */
    sell_many(fleet, device, 0, 10, 2);
    sell_many(fleet, honest, FLEETDB_SOFTWARE_MAX + 70, 1, 2);
    assert_int_equal(others(fleet), 100);
    assert_int_equal(temp_fleet_number(fleet, "SELECT count(*) FROM software"),
                     FLEETDB_SOFTWARE_MAX + 2);
    /* The row says what was told. */
    assert_int_equal(temp_fleet_number(fleet, "SELECT count(DISTINCT app_version) FROM result"),
                     FLEETDB_SOFTWARE_MAX + 100);
    sums_are_right(fleet);
}

static void what_was_not_used_for_long_makes_room(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "t1");
    sell_many(fleet, device, 0, FLEETDB_SOFTWARE_MAX, 0);
    sell_many(fleet, device, 0, FLEETDB_SOFTWARE_MAX - 3, 80); /* all but three */
    sell_many(fleet, device, 1000, 5, 100);
    assert_int_equal(others(fleet), 2);
    assert_int_equal(temp_fleet_number(fleet, "SELECT count(*) FROM device_software"),
                     FLEETDB_SOFTWARE_MAX);
    sums_are_right(fleet);
}

static void what_is_too_long_is_no_software(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "t1");
    char many[FLEETDB_WORD_BYTES + 2];
    memset(many, 'x', sizeof many);
    many[sizeof many - 1] = '\0';
    sell(fleet, (struct told){device, many, "a", 0});
    sell(fleet, (struct told){device, "fw", many, 0});
    sell(fleet, (struct told){device, many + 1, many + 1, 0});
    assert_int_equal(others(fleet), 2);
    assert_int_equal(fleetdb_folded(fleet->db), 2);
    sums_are_right(fleet);
}

/* What was rolled back was never there. */
static void a_rollback_takes_it_along(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "t1");
    for (int i = 0; i < 2; i++) {
        assert_true(fleetdb_begin(fleet->db, NULL));
        sell(fleet, (struct told){device, "fw", "a", 0});
        if (i == 0)
            fleetdb_rollback(fleet->db);
        else
            assert_true(fleetdb_commit(fleet->db, NULL));
    }
    assert_int_equal(temp_fleet_number(fleet, "SELECT count(*) FROM device_software"), 1);
    sums_are_right(fleet);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(what_is_ever_another_is_one),
        TEST(what_was_not_used_for_long_makes_room),
        TEST(what_is_too_long_is_no_software),
        TEST(a_rollback_takes_it_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
