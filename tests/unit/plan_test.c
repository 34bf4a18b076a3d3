/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/plan.h"

#include "proto/record.pb-c.h"
#include "proto/seal.h"
#include "storage/fleetdb_records.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <string.h>

enum { OBSERVE = 0, REPAIR = 2, DEVICES = 4 };

static struct plan_device told[DEVICES];
static size_t told_count;

static bool take(void *ctx, const struct plan_device *device, struct err *err)
{
    (void)ctx;
    (void)err;
    assert_true(told_count < DEVICES);
    told[told_count++] = *device;
    return true;
}

static struct director director_of(struct temp_fleet *fleet)
{
    return (struct director){.db = fleet->db, .key = fleet->director_key, .trust = fleet->trust};
}

/* What the order would do to one device. */
static const struct plan_device *plan(struct temp_fleet *fleet, const struct plan_order *order,
                                      const char *id)
{
    struct director director = director_of(fleet);
    struct err err = {0};
    const char *const ids[] = {id};
    told_count = 0;
    if (!plan_each(&director, order, ids, 1, 4000, take, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(told_count, 1);
    return &told[0];
}

static void digest_of(const char *text, uint8_t ret_digest[32])
{
    sha256(bytes_of(text, strlen(text)), ret_digest);
}

/* A version that is there without anybody's signature, with the text's own digest; with a base it
 * can only be made from that. */
static void add_version(struct temp_fleet *fleet, uint64_t version, uint64_t minimum,
                        bool irreversible, const char *text, const char *base)
{
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    struct fleetdb_document document = {
        .name = "bins",
        .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE,
        .scope = MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC,
        .epoch = 1,
        .version = version,
        .minimum_version = minimum,
        .irreversible = irreversible,
        .length = strlen(text),
        .header = bytes_of("header", 6),
        .encodings = &encoding,
        .encoding_count = 1,
    };
    int64_t row;
    digest_of(text, document.sha256);
    if (base != NULL) {
        encoding.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA;
        encoding.delta = true;
        digest_of(base, encoding.base);
    }
    temp_fleet_upload(fleet, text, encoding.blob);
    assert_true(fleetdb_document_add(fleet->db, &document, &row, NULL));
}

static void hold(struct temp_fleet *fleet, int64_t device, uint64_t version, const char *text)
{
    uint8_t digest[32];
    digest_of(text, digest);
    const struct fleetdb_item item = {.name = "bins",
                                      .wanted_version = version,
                                      .held_version = version,
                                      .wanted_sha256 = bytes_of(digest, 32),
                                      .held_sha256 = bytes_of(digest, 32),
                                      .reason = ""};
    assert_true(fleetdb_item_write(fleet->db, device, &item, 3000, NULL));
}

/* The same in the file of another system; `state`: as it is told. */
static void hold_elsewhere(struct temp_fleet *fleet, int64_t device, Muster__ItemState state,
                           const char *text)
{
    uint8_t digest[32];
    digest_of(text, digest);
    const struct fleetdb_item item = {.name = "bins",
                                      .wanted_version = 2,
                                      .held_version = 2,
                                      .wanted_sha256 = bytes_of(digest, 32),
                                      .held_sha256 = bytes_of(digest, 32),
                                      .state = (int)state,
                                      .reason = "",
                                      .difference = {.owned = true}};
    assert_true(fleetdb_item_write(fleet->db, device, &item, 3000, NULL));
}

static void assign(struct temp_fleet *fleet, const char *id, uint64_t version)
{
    struct director director = director_of(fleet);
    struct director_outcome outcome;
    const char *const ids[] = {id};
    const struct director_order order = {.document = "bins", .version = version, .mode = REPAIR};
    assert_true(director_assign(&director, &order, ids, 1, 3000, &outcome, NULL));
}

static void test_nothing_is_kept(void **state)
{
    struct temp_fleet *fleet = *state;
    struct fleetdb_manifest manifest;
    int64_t row = temp_fleet_device(fleet, "term-1");
    const struct plan_order order = {.order = {.document = "bins", .mode = REPAIR}};
    add_version(fleet, 1, 0, false, "one", NULL);
    for (int i = 0; i < 2; i++) {
        const struct plan_device *device = plan(fleet, &order, "term-1");
        assert_true(device->changed && !device->refused && !device->from.is && device->to.is);
        assert_int_equal(device->manifest_version, 1);
        assert_int_equal(device->way, PLAN_WHOLE);
        assert_true(device->bytes > 0 && !device->online && device->seen_ms == 0);
    }
    assert_true(fleetdb_manifest_get(fleet->db, row, &manifest, NULL, NULL));
    assert_int_equal(manifest.version, 0);
}

/* Nothing is made from another system's file, nor is it in force because he has it. */
static void test_what_its_owner_keeps_is_not_held(void **state)
{
    struct temp_fleet *fleet = *state;
    uint8_t held[32];
    bool found = true, newest;
    int64_t row = temp_fleet_device(fleet, "term-1");
    const struct plan_order order = {.order = {.document = "bins", .version = 2, .mode = REPAIR}};
    add_version(fleet, 2, 0, false, "two", NULL);
    hold_elsewhere(fleet, row, MUSTER__ITEM_STATE__ITEM_OK, "two");
    const struct plan_device *device = plan(fleet, &order, "term-1");
    assert_int_equal(device->way, PLAN_WHOLE);
    assert_int_equal(device->held_version, 0);
    assert_true(fleetdb_item_held(fleet->db, row, "bins", held, &found, &newest, NULL));
    assert_false(found);
    hold_elsewhere(fleet, row, MUSTER__ITEM_STATE__ITEM_PLACING, "two"); /* in force as well */
    assert_int_equal(plan(fleet, &order, "term-1")->way, PLAN_HELD);
    assert_true(fleetdb_item_held(fleet->db, row, "bins", held, &found, &newest, NULL));
    assert_true(found);
}

static void test_the_cheapest_way_from_what_is_held(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t row = temp_fleet_device(fleet, "term-1");
    struct plan_order order = {.order = {.document = "bins", .version = 2, .mode = REPAIR}};
    add_version(fleet, 1, 0, false, "one", NULL);
    add_version(fleet, 2, 0, false, "two", "one");
    const struct plan_device *device = plan(fleet, &order, "term-1");
    assert_true(device->refused);
    assert_int_equal(device->reason, MUSTER__REFUSAL__REFUSAL_DOCUMENT_ENCODING);
    assert_int_equal(device->bytes, 0);
    hold(fleet, row, 1, "one");
    device = plan(fleet, &order, "term-1");
    assert_int_equal(device->way, PLAN_DELTA);
    assert_true(!device->refused && device->bytes > 0);
    assert_int_equal(device->held_version, 1);
    hold(fleet, row, 2, "two");
    device = plan(fleet, &order, "term-1");
    assert_int_equal(device->way, PLAN_HELD);
    assert_int_equal(device->bytes, 0);
    /* Who only watches is brought nothing. */
    order.order.mode = OBSERVE;
    order.order.version = 1;
    device = plan(fleet, &order, "term-1");
    assert_int_equal(device->way, PLAN_NONE);
    assert_int_equal(device->bytes, 0);
}

static void test_what_terminals_would_refuse(void **state)
{
    struct temp_fleet *fleet = *state;
    struct plan_order order = {.order = {.document = "bins", .version = 1, .mode = REPAIR}};
    temp_fleet_device(fleet, "term-1");
    add_version(fleet, 1, 0, false, "one", NULL);
    add_version(fleet, 2, 0, false, "two", NULL);
    add_version(fleet, 3, 2, true, "three", NULL);
    const struct plan_device *device = plan(fleet, &order, "term-1");
    assert_int_equal(device->reason, MUSTER__REFUSAL__REFUSAL_DOCUMENT_FLOOR);
    assert_non_null(strstr(device->why, "below version 2"));
    order.order.version = 2;
    assert_false(plan(fleet, &order, "term-1")->refused);
    assign(fleet, "term-1", 3);
    device = plan(fleet, &order, "term-1");
    assert_int_equal(device->reason, MUSTER__REFUSAL__REFUSAL_DOCUMENT_IRREVERSIBLE);
    assert_int_equal(device->from.version, 3);
    order.order = (struct director_order){.document = "bins", .remove = true};
    device = plan(fleet, &order, "term-1");
    assert_true(device->refused);
    assert_int_equal(device->reason, MUSTER__REFUSAL__REFUSAL_DOCUMENT_IRREVERSIBLE);
    assert_false(device->deletes);
}

static void test_what_the_fleet_would_refuse(void **state)
{
    struct temp_fleet *fleet = *state;
    struct plan_order order = {.order = {.document = "bins", .mode = REPAIR}};
    temp_fleet_device(fleet, "term-1");
    const struct plan_device *device = plan(fleet, &order, "nobody");
    assert_true(device->refused && device->reason == MUSTER__REFUSAL__REFUSAL_NONE);
    assert_non_null(strstr(device->why, "nobody"));
    device = plan(fleet, &order, "term-1");
    assert_true(device->refused && device->reason == MUSTER__REFUSAL__REFUSAL_NONE);
    assert_non_null(strstr(device->why, "bins"));
}

static void test_a_removal_deletes_what_is_held(void **state)
{
    struct temp_fleet *fleet = *state;
    const struct plan_order order = {.order = {.document = "bins", .remove = true}};
    int64_t row = temp_fleet_device(fleet, "term-1");
    add_version(fleet, 1, 0, false, "one", NULL);
    assert_false(plan(fleet, &order, "term-1")->changed);
    assign(fleet, "term-1", 1);
    const struct plan_device *device = plan(fleet, &order, "term-1");
    assert_true(device->changed && !device->deletes);
    hold(fleet, row, 1, "one");
    device = plan(fleet, &order, "term-1");
    assert_true(device->changed && device->deletes && !device->to.is);
}

static void test_what_nobody_has_signed_yet(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t row = temp_fleet_device(fleet, "term-1");
    struct fleetdb_encoding encodings[2] = {
        {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD, .size = 900},
        {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA, .delta = true, .size = 30}};
    struct fleetdb_document candidate = {
        .name = "bins", .epoch = 1, .version = 2, .encodings = encodings, .encoding_count = 2};
    const struct plan_order order = {.order = {.document = "bins", .mode = REPAIR},
                                     .candidate = &candidate};
    digest_of("one", encodings[1].base);
    add_version(fleet, 1, 0, false, "one", NULL);
    assert_int_equal(plan(fleet, &order, "term-1")->bytes, 900);
    hold(fleet, row, 1, "one");
    const struct plan_device *device = plan(fleet, &order, "term-1");
    assert_int_equal(device->bytes, 30);
    assert_int_equal(device->to.version, 2);
    assert_true(device->changed);
}

int main(void)
{
#define FLEET_TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        FLEET_TEST(test_nothing_is_kept),
        FLEET_TEST(test_what_its_owner_keeps_is_not_held),
        FLEET_TEST(test_the_cheapest_way_from_what_is_held),
        FLEET_TEST(test_what_terminals_would_refuse),
        FLEET_TEST(test_what_the_fleet_would_refuse),
        FLEET_TEST(test_a_removal_deletes_what_is_held),
        FLEET_TEST(test_what_nobody_has_signed_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
