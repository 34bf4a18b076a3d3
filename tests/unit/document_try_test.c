/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/document.h"
#include "fleet/signed_document.h"
#include "proto/refusal.h"
#include "proto/seal.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <string.h>

/* A table's header for all, as musterctl asks about it. */
static struct buf asked(struct sign_key *key, uint64_t version, uint64_t minimum, bool dry_run)
{
    char name[] = "bins", device[] = "";
    uint8_t digest[32] = {1};
    struct buf sealed = {0};
    const struct signers signers = {.keys = {key}, .count = 1};
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    header.name = name;
    header.device = device;
    header.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE;
    header.scope = MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
    header.epoch = 1;
    header.version = version;
    header.minimum_version = minimum;
    header.length = 5;
    header.sha256 = (ProtobufCBinaryData){sizeof digest, digest};
    assert_true(document_header_seal(&header, &signers, dry_run, &sealed, NULL));
    return sealed;
}

/* Asks musterd's half, whose blobs are not there. */
static bool try(struct temp_fleet *fleet, struct buf *sealed, struct err *err)
{
    struct fleetdb_encoding whole = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD, .size = 9};
    const struct document_order order = {.trust = fleet->trust,
                                         .envelope = buf_bytes(sealed),
                                         .encodings = &whole,
                                         .count = 1,
                                         .now_ms = 5};
    struct fleetdb_document document;
    bool ok = document_try(fleet->db, &order, &document, err);
    if (ok)
        assert_string_equal(document.name, "bins");
    buf_done(sealed);
    return ok;
}

static void what_would_be_refused_is_refused(void **state)
{
    struct temp_fleet *fleet = *state;
    struct fleetdb_standing standing;
    struct buf good = asked(fleet->release_key, 1, 0, true);
    struct buf signed_before = asked(fleet->release_key, 1, 0, false);
    struct buf stranger = asked(fleet->stranger_key, 1, 0, true);
    struct err err = {0};
    assert_true(try(fleet, &good, NULL));
    assert_true(try(fleet, &signed_before, NULL));
    assert_false(try(fleet, &stranger, &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_DOCUMENT_SIGNATURE);
    assert_true(fleetdb_document_standing(fleet->db, "bins", 0, &standing, NULL));
    assert_int_equal(standing.newest_version, 0);
    temp_fleet_put(fleet, &(struct temp_document){
                              .name = "bins", .text = "two", .version = 2, .minimum_version = 2});
    struct buf again = asked(fleet->release_key, 2, 2, true);
    struct buf below = asked(fleet->release_key, 3, 1, true);
    struct buf next = asked(fleet->release_key, 3, 2, true);
    assert_false(try(fleet, &again, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(try(fleet, &below, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_true(try(fleet, &next, NULL));
}

/* It went out of the house: whoever kept it must not be able to publish it. */
static void what_only_asks_is_good_for_nothing_else(void **state)
{
    struct temp_fleet *fleet = *state;
    struct buf sealed = asked(fleet->release_key, 1, 0, true);
    struct arena arena = {.limit_bytes = 65536};
    const Muster__DocumentHeader *header;
    struct err err = {0};
    assert_false(document_open(fleet->trust, buf_bytes(&sealed), &arena, &header, &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_DOCUMENT_SIGNATURE);
    arena_done(&arena);
    buf_done(&sealed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(what_would_be_refused_is_refused),
        TEST(what_only_asks_is_good_for_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
