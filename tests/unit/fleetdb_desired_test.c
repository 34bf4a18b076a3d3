/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_desired.h"

#include "storage/fleetdb_records.h"
#include "storage/fleetdb_views.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static const uint8_t zero[32];

static int64_t add_version(struct temp_fleet *fleet, const char *name, uint64_t version,
                           const uint8_t blob[32])
{
    struct err err = {0};
    struct fleetdb_encoding encoding = {.coding = 1};
    memcpy(encoding.blob, blob, 32);
    struct fleetdb_document document = {
        .kind = 1,
        .epoch = 1,
        .version = version,
        .length = 3,
        .minimum_version = version / 2,
        .header = bytes_of("header", 6),
        .encodings = &encoding,
        .encoding_count = 1,
        .published_ms = 7,
    };
    (void)snprintf(document.name, sizeof document.name, "%s", name);
    int64_t row = 0;
    if (!fleetdb_document_add(fleet->db, &document, &row, &err))
        fail_msg("%s", err.text);
    return row;
}

static void keep_manifest(struct temp_fleet *fleet, int64_t device, uint64_t version,
                          const uint8_t (*blobs)[32], size_t count)
{
    struct err err = {0};
    const struct fleetdb_manifest manifest = {.epoch = 1,
                                              .version = version,
                                              .root_version = 1,
                                              .issued_ms = (int64_t)version * 1000,
                                              .blobs = blobs,
                                              .blob_count = count};
    if (!fleetdb_manifest_put(fleet->db, device, &manifest, bytes_of("envelope", 8), &err))
        fail_msg("%s", err.text);
}

static void blobs_come_back_and_strays_are_forgotten(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t used[32], stray[32];
    struct err err = {0};
    struct buf out = {0};
    temp_fleet_upload(fleet, "used", used);
    temp_fleet_upload(fleet, "stray", stray);
    (void)add_version(fleet, "doc", 1, used);
    assert_true(fleetdb_blob_forget(fleet->db, 1000, NULL)); /* both were stored at 1000 */
    assert_true(fleetdb_blob_get(fleet->db, stray, &out, NULL));
    assert_true(fleetdb_blob_forget(fleet->db, 1001, NULL));
    assert_false(fleetdb_blob_get(fleet->db, stray, &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(fleetdb_blob_get(fleet->db, used, &out, NULL));
    buf_done(&out);
}

static void a_version_is_added_once_and_whole(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t blob[32];
    struct err err = {0};
    struct fleetdb_standing standing;
    int64_t row;
    temp_fleet_upload(fleet, "abc", blob);
    (void)add_version(fleet, "doc", 4, blob);
    const struct fleetdb_encoding unknown = {.coding = 1};
    struct fleetdb_document again = {.name = "doc",
                                     .kind = 1,
                                     .epoch = 1,
                                     .version = 4,
                                     .header = bytes_of("h", 1),
                                     .encodings = &unknown,
                                     .encoding_count = 1};
    assert_false(fleetdb_document_add(fleet->db, &again, &row, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    again.version = 5; /* its blob was never uploaded, so nothing of it stays */
    assert_false(fleetdb_document_add(fleet->db, &again, &row, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(fleetdb_document_standing(fleet->db, "doc", 0, &standing, NULL));
    assert_int_equal(standing.newest_version, 4);
    assert_int_equal(standing.minimum_version, 2);
    assert_int_equal(standing.kind, 1);
    assert_true(fleetdb_document_standing(fleet->db, "other", 0, &standing, NULL));
    assert_int_equal(standing.newest_version, 0);
}

static bool append_line(void *ctx, const struct fleetdb_document *document, struct err *err)
{
    char line[128];
    int length = snprintf(line, sizeof line, "%s@%llu/%zu ", document->name,
                          (unsigned long long)document->version, document->encoding_count);
    return buf_append(ctx, line, (size_t)length, err);
}

static bool append_assigned(void *ctx, const struct fleetdb_document *document, int mode,
                            struct err *err)
{
    char line[8];
    int length = snprintf(line, sizeof line, "%d:", mode);
    return buf_append(ctx, line, (size_t)length, err) && append_line(ctx, document, err);
}

static void assert_text(struct buf *text, const char *expected)
{
    assert_true(buf_append(text, "", 1, NULL));
    assert_string_equal((const char *)text->data, expected);
    buf_done(text);
    *text = (struct buf){0};
}

static void documents_are_listed_newest_first(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t blob[32];
    struct buf text = {0};
    temp_fleet_upload(fleet, "abc", blob);
    (void)add_version(fleet, "b", 1, blob);
    (void)add_version(fleet, "a", 1, blob);
    (void)add_version(fleet, "a", 10, blob);
    assert_true(fleetdb_document_each(fleet->db, NULL, append_line, &text, NULL));
    assert_text(&text, "a@10/1 a@1/1 b@1/1 ");
}

static void assignments_are_one_of_a_name(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t blob[32];
    bool changed = false;
    struct buf text = {0};
    int64_t device = temp_fleet_device(fleet, "term-1");
    temp_fleet_upload(fleet, "abc", blob);
    int64_t z1 = add_version(fleet, "z", 1, blob);
    int64_t a1 = add_version(fleet, "a", 1, blob);
    int64_t a2 = add_version(fleet, "a", 2, blob);
    assert_true(fleetdb_assign(fleet->db, device, "z", z1, 0, 5, &changed, NULL) && changed);
    assert_true(fleetdb_assign(fleet->db, device, "a", a1, 0, 5, &changed, NULL) && changed);
    assert_true(fleetdb_assign(fleet->db, device, "a", a1, 0, 6, &changed, NULL) && !changed);
    assert_true(fleetdb_assign(fleet->db, device, "a", a1, 2, 6, &changed, NULL) && changed);
    assert_true(fleetdb_assign(fleet->db, device, "a", a2, 2, 6, &changed, NULL) && changed);
    assert_true(fleetdb_assigned_each(fleet->db, device, append_assigned, &text, NULL));
    assert_text(&text, "2:a@2/1 0:z@1/1 ");
    assert_true(fleetdb_unassign(fleet->db, device, "z", &changed, NULL) && changed);
    assert_true(fleetdb_unassign(fleet->db, device, "z", &changed, NULL) && !changed);
    assert_true(fleetdb_assigned_each(fleet->db, device, append_assigned, &text, NULL));
    assert_text(&text, "2:a@2/1 ");
}

static void a_wish_finds_what_is_meant_for_the_device(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t blob[32];
    struct err err = {0};
    int64_t row;
    uint64_t version = 0;
    int64_t device = temp_fleet_device(fleet, "term-1");
    int64_t other = temp_fleet_device(fleet, "term-2");
    temp_fleet_upload(fleet, "abc", blob);
    int64_t common = add_version(fleet, "a", 1, blob);
    struct fleetdb_document sealed = {.name = "a",
                                      .kind = 1,
                                      .scope = 2,
                                      .device = device,
                                      .epoch = 1,
                                      .version = 2,
                                      .length = 3,
                                      .header = bytes_of("sealed", 6)};
    int64_t own = 0;
    assert_true(fleetdb_document_add(fleet->db, &sealed, &own, NULL));
    struct fleetdb_wish wish = {.name = "a", .device = device, .epoch = 1};
    assert_true(fleetdb_document_find(fleet->db, &wish, &row, &version, NULL));
    assert_int_equal(row, own);
    assert_int_equal(version, 2);
    wish.device = other;
    assert_true(fleetdb_document_find(fleet->db, &wish, &row, &version, NULL));
    assert_int_equal(row, common);
    wish.version = 2;
    assert_false(fleetdb_document_find(fleet->db, &wish, &row, &version, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    wish = (struct fleetdb_wish){.name = "a", .device = device, .epoch = 2};
    assert_false(fleetdb_document_find(fleet->db, &wish, &row, &version, &err));

    struct fleetdb_standing standing;
    assert_true(fleetdb_document_standing(fleet->db, "a", other, &standing, NULL));
    assert_int_equal(standing.newest_version, 1);
    assert_true(fleetdb_document_standing(fleet->db, "a", 0, &standing, NULL));
    assert_int_equal(standing.newest_version, 2);
}

static void manifests_only_rise(void **state)
{
    struct temp_fleet *fleet = *state;
    struct err err = {0};
    struct buf out = {0};
    struct fleetdb_manifest held = {.version = 99}, next = {.epoch = 2, .version = 5};
    int64_t device = temp_fleet_device(fleet, "term-1");
    assert_true(fleetdb_manifest_get(fleet->db, device, &held, &out, NULL));
    assert_int_equal(held.version, 0);
    assert_true(fleetdb_manifest_put(fleet->db, device, &next, bytes_of("five", 4), NULL));
    assert_false(fleetdb_manifest_put(fleet->db, device, &next, bytes_of("FIVE", 4), &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    next.version = 4;
    assert_false(fleetdb_manifest_put(fleet->db, device, &next, bytes_of("four", 4), NULL));
    next = (struct fleetdb_manifest){.epoch = 1, .version = 6};
    assert_false(fleetdb_manifest_put(fleet->db, device, &next, bytes_of("old epoch", 9), NULL));
    next = (struct fleetdb_manifest){.epoch = 3, .version = 1, .root_version = 7, .issued_ms = 8};
    assert_true(fleetdb_manifest_put(fleet->db, device, &next, bytes_of("six", 3), NULL));
    assert_true(fleetdb_manifest_get(fleet->db, device, &held, &out, NULL));
    assert_int_equal(held.epoch, 3);
    assert_int_equal(held.version, 1);
    assert_int_equal(held.root_version, 7);
    assert_int_equal(held.issued_ms, 8);
    assert_text(&out, "six");
}

static void cursors_visit_what_the_broker_should_hold(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t wanted[2][32], found_blob[32];
    bool found = true;
    struct fleetdb_manifest_at at = {0};
    int64_t first = temp_fleet_device(fleet, "term-1");
    int64_t second = temp_fleet_device(fleet, "term-2");
    (void)temp_fleet_device(fleet, "term-without-manifest");
    temp_fleet_upload(fleet, "wanted", wanted[0]);
    temp_fleet_upload(fleet, "unwanted", wanted[1]);
    keep_manifest(fleet, first, 1, (const uint8_t(*)[32])wanted, 1);
    keep_manifest(fleet, second, 1, (const uint8_t(*)[32])wanted, 1);
    assert_true(fleetdb_wanted_blob_next(fleet->db, zero, found_blob, &found, NULL) && found);
    assert_memory_equal(found_blob, wanted[0], 32);
    assert_true(fleetdb_wanted_blob_next(fleet->db, wanted[0], found_blob, &found, NULL) && !found);
    assert_true(fleetdb_manifest_next(fleet->db, 0, &at, &found, NULL) && found);
    assert_string_equal(at.id, "term-1");
    assert_true(fleetdb_manifest_next(fleet->db, at.device, &at, &found, NULL) && found);
    assert_string_equal(at.id, "term-2");
    assert_true(fleetdb_manifest_next(fleet->db, at.device, &at, &found, NULL) && !found);
}

struct shown {
    size_t count;
    struct fleetdb_item_view items[2];
};

static bool take_item(void *ctx, const struct fleetdb_item_view *item, struct err *err)
{
    struct shown *shown = ctx;
    (void)err;
    assert_true(shown->count < 2);
    shown->items[shown->count++] = *item;
    return true;
}

/* Who is wanted to hold what is the fleet's word alone: a terminal may say anything. */
static void what_is_not_assigned_is_not_wanted(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "term-1");
    struct shown shown = {0};
    uint8_t blob[32];
    bool changed;
    temp_fleet_upload(fleet, "a", blob);
    int64_t document = add_version(fleet, "bins", 3, blob);
    assert_true(fleetdb_assign(fleet->db, device, "bins", document, 1, 5, &changed, NULL));
    const char *const names[] = {"bins", "made-up"};
    for (size_t i = 0; i < 2; i++) {
        const struct fleetdb_item said = {.name = names[i],
                                          .wanted_version = 9,
                                          .held_version = 2,
                                          .wanted_sha256 = bytes_of(blob, 32),
                                          .held_sha256 = bytes_of(blob, 32),
                                          .reason = ""};
        assert_true(fleetdb_item_write(fleet->db, device, &said, 6, NULL));
    }
    assert_true(fleetdb_view_items(fleet->db, device, take_item, &shown, NULL));
    assert_int_equal(shown.count, 2);
    assert_true(shown.items[0].assigned && !shown.items[1].assigned);
    assert_int_equal(shown.items[0].wanted_version, 3);
    assert_int_equal(shown.items[1].wanted_version, 0);
    assert_int_equal(shown.items[1].wanted_sha256.length, 0);
    assert_int_equal(shown.items[1].held_version, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blobs_come_back_and_strays_are_forgotten),  TEST(a_version_is_added_once_and_whole),
        TEST(documents_are_listed_newest_first),         TEST(assignments_are_one_of_a_name),
        TEST(a_wish_finds_what_is_meant_for_the_device), TEST(manifests_only_rise),
        TEST(cursors_visit_what_the_broker_should_hold), TEST(what_is_not_assigned_is_not_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
