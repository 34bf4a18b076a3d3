/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/fallback.h"

#include "fleet/frame.h"
#include "proto/unpack.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 3000 };

/* Two devices that are assigned version 2 of a table, which is to be had whole and by a delta; both
 * too long for a manifest to carry. */
struct ways {
    struct temp_fleet *fleet;
    struct director director;
    uint8_t whole[32], delta[32];
};

/* Printable, and as random as that can be; `kept` bytes are the same for every seed. */
static void fill(char text[TEXT_BYTES], unsigned seed, size_t kept)
{
    unsigned x = 88172645U;
    for (size_t i = 0; i < TEXT_BYTES - 1; i++) {
        if (i == kept)
            x = seed;
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        text[i] = (char)('!' + x % 90);
    }
    text[TEXT_BYTES - 1] = '\0';
}

static void publish_with_delta(struct ways *ways, const char *base, const char *text)
{
    struct temp_fleet *fleet = ways->fleet;
    struct err err = {0};
    struct buf frame = {0};
    struct fleetdb_encoding encodings[2] = {
        {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD},
        {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA, .delta = true}};
    temp_fleet_upload(fleet, text, ways->whole);
    assert_true(
        frame_make(bytes_of(text, strlen(text)), bytes_of(base, strlen(base)), &frame, NULL));
    sha256(buf_bytes(&frame), ways->delta);
    assert_true(fleetdb_blob_put(fleet->db, ways->delta, buf_bytes(&frame), 1000, NULL));
    buf_done(&frame);
    memcpy(encodings[0].blob, ways->whole, 32);
    memcpy(encodings[1].blob, ways->delta, 32);
    sha256(bytes_of(base, strlen(base)), encodings[1].base);
    struct buf header = temp_fleet_header(
        &(struct temp_document){.name = "bins", .text = text, .version = 2}, fleet->release_key);
    if (!temp_fleet_take(fleet, fleet->trust, buf_bytes(&header), encodings, 2, &err))
        fail_msg("%s", err.text);
    buf_done(&header);
}

static void assign(struct ways *ways, uint64_t version)
{
    static const char *const ids[] = {"term-1", "term-2"};
    struct director_outcome outcomes[2];
    const struct director_order order = {
        .document = "bins", .version = version, .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR};
    assert_true(director_assign(&ways->director, &order, ids, 2, 4000, outcomes, NULL));
}

static int set_up(void **state)
{
    struct ways *ways = calloc(1, sizeof *ways);
    char base[TEXT_BYTES], text[TEXT_BYTES];
    void *fleet;
    assert_non_null(ways);
    temp_fleet_open(&fleet);
    ways->fleet = fleet;
    ways->director = (struct director){
        .db = ways->fleet->db, .key = ways->fleet->director_key, .trust = ways->fleet->trust};
    temp_fleet_device(fleet, "term-1");
    temp_fleet_device(fleet, "term-2");
    fill(base, 5, TEXT_BYTES / 2);
    fill(text, 6, TEXT_BYTES / 2);
    temp_fleet_publish(fleet, "bins", 1, base);
    publish_with_delta(ways, base, text);
    assign(ways, 2);
    *state = ways;
    return 0;
}

static int tear_down(void **state)
{
    struct ways *ways = *state;
    void *fleet = ways->fleet;
    temp_fleet_close(&fleet);
    free(ways);
    return 0;
}

/* What the newest manifest of a device says: its version and how many ways it names. */
static uint64_t manifest(struct ways *ways, const char *id, size_t *ret_ways)
{
    static const struct unpack_limits limits = {.max_bytes = 65536};
    struct fleetdb_device device;
    struct fleetdb_manifest row;
    struct buf sealed = {0};
    struct arena arena = {0};
    struct bytes body;
    ProtobufCMessage *message = NULL;
    assert_true(fleetdb_device_find(ways->fleet->db, id, &device, NULL));
    assert_true(fleetdb_manifest_get(ways->fleet->db, device.device, &row, &sealed, NULL));
    assert_true(unseal("manifest", id, buf_bytes(&sealed),
                       trust_keys(ways->fleet->trust, MUSTER__ROLE__ROLE_DIRECTOR), &body, NULL));
    assert_true(unpack(&muster__manifest__descriptor, body, &limits, &arena, &message, NULL));
    const Muster__Manifest *read = (const Muster__Manifest *)message;
    assert_int_equal(read->n_items, 1);
    *ret_ways = read->items[0]->n_encodings;
    arena_done(&arena);
    buf_done(&sealed);
    return row.version;
}

struct said {
    uint64_t version;
    Muster__ItemState state;
    Muster__Refusal refusal;
    const uint8_t *lacks; /* NULL: nothing */
    const char *name;     /* NULL: bins */
};

/* Of how many documents term-1 is given the whole, having said that. */
static size_t take(struct ways *ways, const struct said *said)
{
    struct err err = {0};
    struct fleetdb_device device;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    ProtobufCBinaryData lacks = {32, (uint8_t *)(uintptr_t)said->lacks};
    size_t count = 99;
    item.name = (char *)(uintptr_t)(said->name != NULL ? said->name : "bins");
    item.state = said->state;
    item.refusal = said->refusal;
    report.manifest_epoch = 1;
    report.manifest_version = said->version;
    report.n_items = 1;
    report.items = items;
    hello.state = &report;
    hello.n_lacks = said->lacks != NULL;
    hello.lacks = &lacks;
    assert_true(fleetdb_device_find(ways->fleet->db, "term-1", &device, NULL));
    if (!fallback_take(&ways->director, &device, &hello, 6000, &count, &err))
        fail_msg("%s", err.text);
    return count;
}

static void a_late_delta_gives_way_to_the_whole_on_that_device_alone(void **state)
{
    struct ways *ways = *state;
    size_t named;
    struct said late = {.version = 1,
                        .state = MUSTER__ITEM_STATE__ITEM_FETCHING,
                        .refusal = MUSTER__REFUSAL__REFUSAL_CONTENT_LATE,
                        .lacks = ways->delta};
    assert_int_equal(manifest(ways, "term-1", &named), 1);
    assert_int_equal(named, 2);
    assert_int_equal(take(ways, &late), 1);
    assert_int_equal(manifest(ways, "term-1", &named), 2);
    assert_int_equal(named, 1);
    assert_int_equal(manifest(ways, "term-2", &named), 1);
    assert_int_equal(named, 2);
    assert_int_equal(take(ways, &late), 0); /* of a manifest that is not the newest any more */
    late.version = 2;
    assert_int_equal(take(ways, &late), 0); /* and once is enough */
    assert_int_equal(manifest(ways, "term-1", &named), 2);
    assign(ways, 1);
    assign(ways, 2);
    (void)manifest(ways, "term-1", &named);
    assert_int_equal(named, 2); /* another version, another try */
}

static void content_that_was_not_the_one_does_so_too(void **state)
{
    struct ways *ways = *state;
    size_t named;
    const struct said refused = {.version = 1,
                                 .state = MUSTER__ITEM_STATE__ITEM_REFUSED,
                                 .refusal = MUSTER__REFUSAL__REFUSAL_CONTENT_HASH};
    assert_int_equal(take(ways, &refused), 1);
    assert_int_equal(manifest(ways, "term-1", &named), 2);
    assert_int_equal(named, 1);
}

static void whatever_else_a_device_says_changes_nothing(void **state)
{
    struct ways *ways = *state;
    size_t named;
    const Muster__Refusal late = MUSTER__REFUSAL__REFUSAL_CONTENT_LATE;
    const Muster__ItemState fetching = MUSTER__ITEM_STATE__ITEM_FETCHING;
    const Muster__ItemState refused = MUSTER__ITEM_STATE__ITEM_REFUSED;
    const struct said all[] = {
        {.version = 1, .state = fetching, .lacks = ways->delta}, /* not late yet */
        {.version = 1, .state = fetching, .refusal = late, .lacks = ways->whole},
        {.version = 1, .state = fetching, .refusal = late},
        {.version = 1, .state = fetching, .refusal = late, .lacks = ways->delta, .name = "aids"},
        {.version = 7, .state = fetching, .refusal = late, .lacks = ways->delta},
        {.version = 1,
         .state = refused,
         .refusal = MUSTER__REFUSAL__REFUSAL_CONTENT_CHECK}, /* the content itself */
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_int_equal(take(ways, &all[i]), 0);
    assert_int_equal(manifest(ways, "term-1", &named), 1);
    assert_int_equal(named, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_late_delta_gives_way_to_the_whole_on_that_device_alone),
        TEST(content_that_was_not_the_one_does_so_too),
        TEST(whatever_else_a_device_says_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
