/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_records.h"

#include "storage/fleetdb_account.h"
#include "storage/fleetdb_rollups.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <string.h>

enum { MOST = 16 };
static const int64_t now_ms = INT64_C(1767225600000);

static size_t place_of(const char *name)
{
    size_t count = 0;
    const char *const *columns = fleetdb_columns(1, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(columns[i], name) == 0)
            return i;
    }
    fail_msg("a result has no %s", name);
    return 0;
}

/* Results from `first` on, each with the key that its letter is, '-' for none. The outcomes as
 * letters: new, same, key, conflict. */
static void insert(struct temp_fleet *fleet, int64_t device, uint64_t first, const char *keys,
                   uint64_t digest, const char *outcomes)
{
    struct fleetdb_value values[MOST][FLEETDB_COLUMNS_MAX];
    struct fleetdb_record records[MOST];
    enum fleetdb_insert found[MOST];
    const bool expect_held[MOST] = {false};
    const size_t count = strlen(keys), key = place_of("idempotency_key");
    char told[MOST + 1] = "";
    struct err err = {0};
    for (size_t i = 0; i < count; i++) {
        temp_fleet_nothing(values[i]);
        values[i][place_of("amount_minor")].integer = 100;
        values[i][key] = fleetdb_bytes(FLEETDB_BLOB, bytes_of(&keys[i], keys[i] == '-' ? 0 : 1));
        records[i] = (struct fleetdb_record){.device = device,
                                             .lane = 1,
                                             .incarnation = 7,
                                             .seq = first + i,
                                             .digest = digest,
                                             .received_ms = now_ms,
                                             .at_ms = now_ms + (int64_t)i * 60000,
                                             .key = fleetdb_bytes_of(&values[i][key]),
                                             .values = values[i]};
    }
    if (!fleetdb_insert(fleet->db, records, count, expect_held, found, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++)
        told[i] = "nskc"[found[i]];
    assert_string_equal(told, outcomes);
}

static void all_is_as_the_rows_say(struct temp_fleet *fleet, int64_t device, uint64_t results)
{
    struct fleetdb_account lanes[FLEETDB_LANES];
    uint64_t wrong = 1;
    char text[128] = "";
    assert_true(fleetdb_rollups_check(fleet->db, &wrong, text, sizeof text, NULL));
    assert_string_equal(text, "");
    assert_int_equal(wrong, 0);
    assert_int_equal(temp_fleet_number(fleet, "SELECT count(*) FROM result"), results);
    assert_int_equal(temp_fleet_number(fleet, "SELECT total(results) FROM rollup_device_hour"),
                     results);
    assert_true(fleetdb_account_of(fleet->db, device, true, lanes, NULL));
    assert_int_equal(lanes[0].unaccounted, 0);
    /* Each row is where its run says. */
    assert_int_equal(temp_fleet_number(fleet, "SELECT count(*) FROM result r JOIN result_run u"
                                              " ON r.seq BETWEEN u.first_seq AND u.last_seq"
                                              " AND r.id = u.first_row + r.seq - u.first_seq"),
                     results);
}

/* A payment application that asked twice: the first id stays, the second is noted. */
static void a_key_is_counted_once_within_a_batch(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "t1");
    insert(fleet, device, 1, "abacbd--", 5, "nnknknnn");
    all_is_as_the_rows_say(fleet, device, 6);
    insert(fleet, device, 1, "abacbd--", 5, "ssssssss");
    all_is_as_the_rows_say(fleet, device, 6);
    assert_int_equal(temp_fleet_number(fleet, "SELECT count(*) FROM result_duplicate"), 2);
}

static void what_is_held_is_told_from_what_is_new_in_any_mixture(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "t1");
    insert(fleet, device, 3, "cd", 5, "nn");
    insert(fleet, device, 9, "x", 5, "n");
    insert(fleet, device, 1, "ab--dxe--f", 5, "nnsskknnsn");
    all_is_as_the_rows_say(fleet, device, 8);
    insert(fleet, device, 1, "ab", 6, "cc");
    insert(fleet, device, 20, "abx", 5, "kkk"); /* none of them is new */
    all_is_as_the_rows_say(fleet, device, 8);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_counted_once_within_a_batch),
        TEST(what_is_held_is_told_from_what_is_new_in_any_mixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
