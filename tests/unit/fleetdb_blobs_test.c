/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_desired.h"

#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <string.h>

static void put(struct temp_fleet *fleet, const char *text, uint8_t ret_blob[32])
{
    struct err err = {0};
    sha256(bytes_of(text, strlen(text)), ret_blob);
    if (!fleetdb_blob_put(fleet->db, ret_blob, bytes_of(text, strlen(text)), 1000, &err))
        fail_msg("%s", err.text);
}

/* A list of the pieces, named by its own hash. */
static void put_list(struct temp_fleet *fleet, const uint8_t (*pieces)[32], size_t count,
                     uint8_t ret_list[32])
{
    struct err err = {0};
    struct bytes list = bytes_of(pieces, count * 32);
    sha256(list, ret_list);
    if (!fleetdb_blob_put(fleet->db, ret_list, list, 1000, &err) ||
        !fleetdb_pieces_keep(fleet->db, ret_list, &err))
        fail_msg("%s", err.text);
}

static void keep_manifest(struct temp_fleet *fleet, int64_t device, uint64_t version,
                          const uint8_t (*blobs)[32], size_t count)
{
    struct err err = {0};
    const struct fleetdb_manifest manifest = {.epoch = 1,
                                              .version = version,
                                              .issued_ms = (int64_t)version * 1000,
                                              .blobs = blobs,
                                              .blob_count = count};
    if (!fleetdb_manifest_put(fleet->db, device, &manifest, bytes_of("envelope", 8), &err))
        fail_msg("%s", err.text);
}

static size_t count_wanted(struct temp_fleet *fleet)
{
    uint8_t after[32] = {0};
    size_t count = 0;
    for (bool found = true;; count++) {
        assert_true(fleetdb_wanted_blob_next(fleet->db, after, after, &found, NULL));
        if (!found)
            return count;
    }
}

static size_t count_unwanted(struct temp_fleet *fleet, int64_t before_ms)
{
    struct fleetdb_unwanted cursor = {0};
    size_t count = 0;
    for (bool found = true;; count++) {
        assert_true(fleetdb_unwanted_blob_next(fleet->db, before_ms, &cursor, &found, NULL));
        if (!found)
            return count;
    }
}

static void pieces_are_wanted_as_long_as_their_list(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t pieces[3][32], lists[2][32];
    int64_t first = temp_fleet_device(fleet, "term-1");
    int64_t second = temp_fleet_device(fleet, "term-2");
    put(fleet, "one", pieces[0]);
    put(fleet, "two", pieces[1]);
    put(fleet, "three", pieces[2]);
    put_list(fleet, (const uint8_t(*)[32])pieces, 2, lists[0]);
    put_list(fleet, (const uint8_t(*)[32])pieces + 1, 2, lists[1]);
    assert_int_equal(count_wanted(fleet), 0);
    keep_manifest(fleet, first, 1, (const uint8_t(*)[32])lists, 2);
    keep_manifest(fleet, second, 1, (const uint8_t(*)[32])lists, 1);
    assert_int_equal(count_wanted(fleet), 5);
    for (size_t i = 0; i < 3; i++)
        assert_true(fleetdb_blob_retained(fleet->db, pieces[i], NULL));
    assert_true(fleetdb_blob_retained(fleet->db, lists[0], NULL));
    assert_true(fleetdb_blob_retained(fleet->db, lists[1], NULL));
    keep_manifest(fleet, first, 7, NULL, 0); /* the other device still has the first list */
    assert_int_equal(count_wanted(fleet), 3);
    assert_int_equal(count_unwanted(fleet, 7000), 0); /* not before its time */
    assert_int_equal(count_unwanted(fleet, 7001), 2);
    keep_manifest(fleet, second, 8, NULL, 0);
    assert_int_equal(count_unwanted(fleet, 7001), 2); /* each by its own time */
    assert_int_equal(count_unwanted(fleet, 8001), 5);
    keep_manifest(fleet, first, 9, (const uint8_t(*)[32])lists + 1, 1);
    assert_int_equal(count_unwanted(fleet, 8001), 2); /* the first piece and its list */
}

static void what_is_wanted_again_is_not_taken_back(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t blob[1][32];
    struct fleetdb_blob_sums sums;
    bool wanted = false;
    int64_t device = temp_fleet_device(fleet, "term-1");
    put(fleet, "one", blob[0]);
    keep_manifest(fleet, device, 1, (const uint8_t(*)[32])blob, 1);
    assert_true(fleetdb_blob_retained(fleet->db, blob[0], NULL));
    keep_manifest(fleet, device, 2, NULL, 0);
    assert_true(fleetdb_blob_sums(fleet->db, &sums, NULL));
    assert_int_equal(sums.retained, 1);
    assert_int_equal(sums.unwanted, 1);
    /* The broker's answer comes when a manifest names it again, and it is sent again. */
    keep_manifest(fleet, device, 3, (const uint8_t(*)[32])blob, 1);
    assert_true(fleetdb_blob_withdrawn(fleet->db, blob[0], &wanted, NULL));
    assert_true(wanted);
    assert_true(fleetdb_blob_sums(fleet->db, &sums, NULL));
    assert_int_equal(sums.retained, 0);
    assert_int_equal(sums.unwanted, 0);
    assert_true(fleetdb_blob_retained(fleet->db, blob[0], NULL));
    keep_manifest(fleet, device, 4, NULL, 0);
    assert_true(fleetdb_blob_withdrawn(fleet->db, blob[0], &wanted, NULL));
    assert_false(wanted);
    assert_true(fleetdb_blob_sums(fleet->db, &sums, NULL));
    assert_int_equal(sums.retained, 0);
    assert_int_equal(count_unwanted(fleet, INT64_MAX), 0);
}

static void a_sweep_finds_what_no_mark_tells(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t blobs[2][32];
    int64_t device = temp_fleet_device(fleet, "term-1");
    put(fleet, "one", blobs[0]);
    put(fleet, "two", blobs[1]);
    keep_manifest(fleet, device, 1, (const uint8_t(*)[32])blobs, 1);
    for (size_t i = 0; i < 2; i++)
        assert_true(fleetdb_blob_retained(fleet->db, blobs[i], NULL));
    assert_int_equal(count_unwanted(fleet, INT64_MAX), 0);
    assert_true(fleetdb_blob_sweep(fleet->db, 77, NULL));
    assert_int_equal(count_unwanted(fleet, 77), 0);
    assert_int_equal(count_unwanted(fleet, 78), 1);
}

static void what_nobody_needs_leaves(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t pieces[1][32], list[1][32], retained[32];
    uint64_t size;
    int64_t device = temp_fleet_device(fleet, "term-1");
    put(fleet, "piece", pieces[0]);
    put_list(fleet, (const uint8_t(*)[32])pieces, 1, list[0]);
    put(fleet, "at the broker", retained);
    assert_true(fleetdb_blob_retained(fleet->db, retained, NULL));
    keep_manifest(fleet, device, 1, (const uint8_t(*)[32])list, 1);
    assert_true(fleetdb_blob_forget(fleet->db, INT64_MAX, NULL));
    assert_true(fleetdb_blob_size(fleet->db, pieces[0], &size, NULL) && size == 5);
    assert_true(fleetdb_blob_size(fleet->db, list[0], &size, NULL) && size == 32);
    assert_true(fleetdb_blob_size(fleet->db, retained, &size, NULL) && size == 13);
    keep_manifest(fleet, device, 2, NULL, 0);
    assert_true(fleetdb_blob_forget(fleet->db, 1000, NULL)); /* all were stored at 1000 */
    assert_true(fleetdb_blob_size(fleet->db, list[0], &size, NULL) && size == 32);
    assert_true(fleetdb_blob_forget(fleet->db, 1001, NULL));
    assert_true(fleetdb_blob_size(fleet->db, pieces[0], &size, NULL) && size == 0);
    assert_true(fleetdb_blob_size(fleet->db, list[0], &size, NULL) && size == 0);
    assert_true(fleetdb_blob_size(fleet->db, retained, &size, NULL) && size == 13);
}

static void a_list_is_whole_or_not_kept(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t pieces[2][32] = {{0}}, list[32];
    struct err err = {0};
    put(fleet, "piece", pieces[0]);
    sha256(bytes_of(pieces, sizeof pieces), list);
    assert_true(fleetdb_blob_put(fleet->db, list, bytes_of(pieces, sizeof pieces), 1, NULL));
    assert_false(fleetdb_pieces_keep(fleet->db, list, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    put(fleet, "no list", list);
    assert_false(fleetdb_pieces_keep(fleet->db, list, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pieces_are_wanted_as_long_as_their_list),
        TEST(what_is_wanted_again_is_not_taken_back),
        TEST(a_sweep_finds_what_no_mark_tells),
        TEST(what_nobody_needs_leaves),
        TEST(a_list_is_whole_or_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
