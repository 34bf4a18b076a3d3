/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/manifest.h"

#include "proto/unpack.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static const struct manifest_stamp stamp = {
    .device = "term-1", .epoch = 1, .version = 9, .root_version = 2, .issued_ms = 1234};

static bool add(struct manifest *manifest, const char *name, size_t header_bytes, int mode,
                struct err *err)
{
    static const uint8_t header[1024];
    static const struct fleetdb_encoding encodings[] = {
        {.coding = 1, .blob = {1}, .size = 77},
        {.coding = 2, .blob = {2}, .size = 7, .delta = true, .base = {3}},
    };
    struct fleetdb_document document = {
        .header = bytes_of(header, header_bytes), .encodings = encodings, .encoding_count = 2};
    (void)snprintf(document.name, sizeof document.name, "%s", name);
    return manifest_add(manifest, &document, mode, err);
}

static void the_device_reads_what_was_put_in(void **state)
{
    struct temp_fleet *fleet = *state;
    struct manifest manifest = {0};
    struct buf sealed = {0};
    struct bytes body;
    struct arena arena = {0};
    ProtobufCMessage *message;
    const struct key_set *directors = trust_keys(fleet->trust, MUSTER__ROLE__ROLE_DIRECTOR);
    assert_true(add(&manifest, "a", 10, MUSTER__ASSIGN_MODE__MODE_OBSERVE, NULL));
    assert_true(add(&manifest, "b", 20, MUSTER__ASSIGN_MODE__MODE_REPAIR, NULL));
    assert_true(manifest_seal(&manifest, &stamp, fleet->director_key, &sealed, NULL));
    assert_false(unseal("manifest", "term-2", buf_bytes(&sealed), directors, &body, NULL));
    assert_false(unseal("welcome", "term-1", buf_bytes(&sealed), directors, &body, NULL));
    assert_true(unseal("manifest", "term-1", buf_bytes(&sealed), directors, &body, NULL));
    static const struct unpack_limits limits = {.max_bytes = LIMIT_MANIFEST_BYTES};
    assert_true(unpack(&muster__manifest__descriptor, body, &limits, &arena, &message, NULL));
    const Muster__Manifest *read = (const Muster__Manifest *)message;
    assert_string_equal(read->device, "term-1");
    assert_int_equal(read->version, 9);
    assert_int_equal(read->root_version, 2);
    assert_int_equal(read->issued_ms, 1234);
    assert_int_equal(read->n_items, 2);
    assert_int_equal(read->items[0]->header.len, 10);
    assert_int_equal(read->items[1]->mode, MUSTER__ASSIGN_MODE__MODE_REPAIR);
    assert_int_equal(read->items[1]->n_encodings, 2);
    assert_int_equal(read->items[1]->encodings[0]->size, 77);
    assert_int_equal(read->items[1]->encodings[0]->base_sha256.len, 0);
    assert_int_equal(read->items[1]->encodings[1]->base_sha256.len, 32);
    assert_int_equal(read->items[1]->encodings[1]->base_sha256.data[0], 3);
    arena_done(&arena);
    buf_done(&sealed);
    manifest_done(&manifest);
}

static void names_must_rise(void **state)
{
    (void)state;
    struct manifest manifest = {0};
    assert_true(add(&manifest, "b", 1, 0, NULL));
    assert_false(add(&manifest, "b", 1, 0, NULL));
    assert_false(add(&manifest, "a", 1, 0, NULL));
    assert_true(add(&manifest, "c", 1, 0, NULL));
    assert_int_equal(manifest.item_count, 2);
    manifest_done(&manifest);
}

static void too_many_and_too_long_are_refused(void **state)
{
    struct temp_fleet *fleet = *state;
    struct manifest manifest = {0};
    struct buf sealed = {0};
    struct err err = {0};
    char name[16];
    for (int i = 0; i < LIMIT_MANIFEST_ITEMS; i++) {
        (void)snprintf(name, sizeof name, "n%03d", i);
        assert_true(add(&manifest, name, 1000, 0, NULL));
    }
    assert_false(add(&manifest, "z", 1, 0, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_false(manifest_seal(&manifest, &stamp, fleet->director_key, &sealed, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_int_equal(sealed.length, 0);
    buf_done(&sealed);
    manifest_done(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_device_reads_what_was_put_in, temp_fleet_open,
                                        temp_fleet_close),
        cmocka_unit_test(names_must_rise),
        cmocka_unit_test_setup_teardown(too_many_and_too_long_are_refused, temp_fleet_open,
                                        temp_fleet_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
