/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/director.h"

#include "fleet/choice.h"
#include "fleet/wants.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/unpack.h"
#include "storage/fleetdb_records.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static struct director director_of(struct temp_fleet *fleet)
{
    return (struct director){.db = fleet->db, .key = fleet->director_key, .trust = fleet->trust};
}

/* "version: name@version/mode ..." of a sealed manifest, its signature verified. */
static void read_manifest(struct temp_fleet *fleet, const char *id, struct bytes sealed,
                          char text[256])
{
    struct bytes body = {0};
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    struct err err = {0};
    static const struct unpack_limits limits = {.max_bytes = 65536};
    if (!unseal("manifest", id, sealed, trust_keys(fleet->trust, MUSTER__ROLE__ROLE_DIRECTOR),
                &body, &err) ||
        !unpack(&muster__manifest__descriptor, body, &limits, &arena, &message, &err) ||
        message == NULL) {
        fail_msg("%s", err.text);
        return;
    }
    const Muster__Manifest *manifest = (const Muster__Manifest *)message;
    int length = snprintf(text, 256, "%llu:", (unsigned long long)manifest->version);
    for (size_t i = 0; i < manifest->n_items; i++) {
        struct bytes inner;
        ProtobufCMessage *header;
        const struct key_set *keys = trust_keys(fleet->trust, MUSTER__ROLE__ROLE_RELEASE);
        struct bytes envelope =
            bytes_of(manifest->items[i]->header.data, manifest->items[i]->header.len);
        assert_true(unseal("document", "", envelope, keys, &inner, NULL));
        assert_true(
            unpack(&muster__document_header__descriptor, inner, &limits, &arena, &header, NULL));
        const Muster__DocumentHeader *document = (const Muster__DocumentHeader *)header;
        length += snprintf(text + length, 256 - (size_t)length, " %s@%llu/%d", document->name,
                           (unsigned long long)document->version, (int)manifest->items[i]->mode);
    }
    arena_done(&arena);
}

static void assert_manifest(struct temp_fleet *fleet, const char *id, uint64_t seen,
                            const char *expected)
{
    struct director director = director_of(fleet);
    struct fleetdb_device device;
    struct buf sealed = {0};
    struct fleetdb_manifest manifest;
    char text[256];
    assert_true(fleetdb_device_find(fleet->db, id, &device, NULL));
    const struct director_seen said = {.version = seen};
    assert_true(director_manifest(&director, &device, &said, 5000, &manifest, &sealed, NULL));
    read_manifest(fleet, id, buf_bytes(&sealed), text);
    assert_string_equal(text, expected);
    buf_done(&sealed);
}

static void a_change_makes_one_new_complete_manifest(void **state)
{
    struct temp_fleet *fleet = *state;
    struct director director = director_of(fleet);
    struct director_outcome outcomes[2];
    static const char *const ids[] = {"term-1", "term-2"};
    temp_fleet_device(fleet, "term-1");
    temp_fleet_device(fleet, "term-2");
    temp_fleet_publish(fleet, "bins", 1, "one");
    temp_fleet_publish(fleet, "bins", 2, "two");
    temp_fleet_publish(fleet, "aids", 7, "seven");
    struct director_order order = {.document = "bins", .mode = 2};
    assert_true(director_assign(&director, &order, ids, 2, 4000, outcomes, NULL));
    assert_true(outcomes[0].changed && outcomes[1].changed);
    assert_int_equal(outcomes[1].manifest_version, 1);
    assert_manifest(fleet, "term-1", 0, "1: bins@2/2");
    order = (struct director_order){.document = "aids", .version = 7, .mode = 0};
    assert_true(director_assign(&director, &order, ids, 1, 4000, outcomes, NULL));
    assert_manifest(fleet, "term-1", 0, "2: aids@7/0 bins@2/2");
    assert_manifest(fleet, "term-2", 0, "1: bins@2/2");
    assert_true(director_assign(&director, &order, ids, 1, 4000, outcomes, NULL));
    assert_false(outcomes[0].changed);
    assert_int_equal(outcomes[0].manifest_version, 2);
    order = (struct director_order){.document = "bins", .remove = true};
    assert_true(director_assign(&director, &order, ids, 1, 4000, outcomes, NULL));
    assert_manifest(fleet, "term-1", 2, "3: aids@7/0");
}

static void all_devices_or_none(void **state)
{
    struct temp_fleet *fleet = *state;
    struct director director = director_of(fleet);
    struct director_outcome outcomes[2];
    struct err err = {0};
    struct fleetdb_device device;
    struct fleetdb_manifest manifest = {.version = 9};
    static const char *const ids[] = {"term-1", "nobody"};
    temp_fleet_device(fleet, "term-1");
    temp_fleet_publish(fleet, "bins", 1, "one");
    struct director_order order = {.document = "bins"};
    assert_false(director_assign(&director, &order, ids, 2, 4000, outcomes, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "nobody"));
    assert_true(fleetdb_device_find(fleet->db, "term-1", &device, NULL));
    assert_true(fleetdb_manifest_get(fleet->db, device.device, &manifest, NULL, NULL));
    assert_int_equal(manifest.version, 0);
    order.document = "missing";
    assert_false(director_assign(&director, &order, ids, 1, 4000, outcomes, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    order = (struct director_order){.document = "bins", .version = 2};
    assert_false(director_assign(&director, &order, ids, 1, 4000, outcomes, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static int64_t audit_rows(struct temp_fleet *fleet, const char *what)
{
    char query[96];
    (void)snprintf(query, sizeof query, "SELECT count(*) FROM audit WHERE what = '%s'", what);
    return temp_fleet_number(fleet, query);
}

static void a_restored_database_continues_above_the_device(void **state)
{
    struct temp_fleet *fleet = *state;
    struct director director = director_of(fleet);
    struct director_outcome outcome;
    static const char *const ids[] = {"term-1"};
    temp_fleet_device(fleet, "term-1");
    temp_fleet_publish(fleet, "bins", 1, "one");
    const struct director_order order = {.document = "bins"};
    assert_true(director_assign(&director, &order, ids, 1, 4000, &outcome, NULL));
    assert_manifest(fleet, "term-1", 1, "1: bins@1/0");
    assert_manifest(fleet, "term-1", 40, "41: bins@1/0");
    assert_manifest(fleet, "term-1", 40, "41: bins@1/0");
    /* What nobody can have reached by counting is not believed. */
    assert_manifest(fleet, "term-1", UINT64_MAX, "41: bins@1/0");
    assert_manifest(fleet, "term-1", LIMIT_VERSION / 2, "41: bins@1/0");
    assert_int_equal(audit_rows(fleet, "overtake"), 1);
}

/* No terminal would take a version beyond the last one. */
static void the_numbers_end(void **state)
{
    struct temp_fleet *fleet = *state;
    struct director director = director_of(fleet);
    struct director_outcome outcome;
    struct err err = {0};
    static const char *const ids[] = {"term-1"};
    int64_t device = temp_fleet_device(fleet, "term-1");
    temp_fleet_publish(fleet, "bins", 1, "one");
    const struct fleetdb_manifest last = {.epoch = 1, .version = LIMIT_VERSION, .root_version = 1};
    assert_true(fleetdb_manifest_put(fleet->db, device, &last, bytes_of("m", 1), NULL));
    const struct director_order order = {.document = "bins"};
    assert_false(director_assign(&director, &order, ids, 1, 4000, &outcome, &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_MANIFEST_LEAP);
    assert_non_null(strstr(err.text, "used up"));
}

/* Restored, and something was assigned before the device spoke: the same version twice. */
static void another_manifest_of_the_same_version_is_overtaken(void **state)
{
    struct temp_fleet *fleet = *state;
    struct director director = director_of(fleet);
    struct director_outcome outcome;
    struct fleetdb_device device;
    struct buf sealed = {0};
    struct fleetdb_manifest manifest;
    uint8_t digest[32] = {1};
    static const char *const ids[] = {"term-1"};
    temp_fleet_device(fleet, "term-1");
    temp_fleet_publish(fleet, "bins", 1, "one");
    struct director_order order = {.document = "bins", .mode = 2};
    assert_true(director_assign(&director, &order, ids, 1, 4000, &outcome, NULL));
    assert_true(fleetdb_device_find(fleet->db, "term-1", &device, NULL));
    const struct director_seen other = {1, 1, bytes_of(digest, sizeof digest)};
    assert_true(director_manifest(&director, &device, &other, 5000, &manifest, &sealed, NULL));
    assert_int_equal(manifest.version, 2);

    /* What we gave is recognised: its body is what the envelope's signature is over. */
    struct verify_key *key = NULL;
    struct bytes body;
    assert_true(verify_key_of_spki(sign_key_spki(director.key), &key, NULL));
    const struct key_set set = {.keys = &key, .count = 1, .threshold = 1};
    assert_true(unseal("manifest", "term-1", buf_bytes(&sealed), &set, &body, NULL));
    sha256(body, digest);
    const struct director_seen ours = {1, 2, bytes_of(digest, sizeof digest)};
    buf_clear(&sealed);
    assert_true(director_manifest(&director, &device, &ours, 6000, &manifest, &sealed, NULL));
    assert_int_equal(manifest.version, 2);
    verify_key_free(key);
    buf_done(&sealed);
}

static void assert_refused(const struct director *director, const struct director_order *order)
{
    static const char *const ids[] = {"term-1"};
    struct director_outcome outcome;
    struct err err = {0};
    assert_false(director_assign(director, order, ids, 1, 4000, &outcome, &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_DOCUMENT_IRREVERSIBLE);
}

/* It was assigned to the device before the epoch began. */
static void old_document(struct temp_fleet *fleet, const char *name)
{
    struct fleetdb_encoding encoding = {.coding = 1};
    struct fleetdb_document document = {.kind = 1,
                                        .scope = 1,
                                        .epoch = 2,
                                        .version = 1,
                                        .length = 1,
                                        .header = bytes_of("h", 1),
                                        .encodings = &encoding,
                                        .encoding_count = 1};
    struct fleetdb_device device;
    int64_t row;
    bool changed;
    (void)snprintf(document.name, sizeof document.name, "%s", name);
    temp_fleet_upload(fleet, "old", encoding.blob);
    assert_true(fleetdb_device_find(fleet->db, "term-1", &device, NULL));
    assert_true(fleetdb_document_add(fleet->db, &document, &row, NULL));
    assert_true(fleetdb_assign(fleet->db, device.device, name, row, 2, 3000, &changed, NULL));
}

/* Terminals would refuse every manifest that takes it back or leaves it out. */
static void what_cannot_go_back_stays_assigned(void **state)
{
    struct temp_fleet *fleet = *state;
    struct director director = director_of(fleet);
    struct director_outcome outcome;
    struct err err = {0};
    static const char *const ids[] = {"term-1"};
    struct director_order order = {.document = "bins", .mode = 2};
    temp_fleet_device(fleet, "term-1");
    temp_fleet_publish(fleet, "bins", 1, "one");
    temp_fleet_put(
        fleet, &(struct temp_document){.name = "bins", .text = "two", .version = 2, .final = true});
    assert_true(director_assign(&director, &order, ids, 1, 4000, &outcome, NULL));
    order.version = 1;
    assert_false(director_assign(&director, &order, ids, 1, 4000, &outcome, &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_DOCUMENT_IRREVERSIBLE);
    const struct director_order remove = {.document = "bins", .remove = true};
    assert_false(director_assign(&director, &remove, ids, 1, 4000, &outcome, &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_DOCUMENT_IRREVERSIBLE);
    assert_non_null(strstr(err.text, "version 2 was put in force there and cannot be taken back"));
    assert_manifest(fleet, "term-1", 0, "1: bins@2/2");
    /* Nor when it is only looked at from now on. */
    order = (struct director_order){.document = "bins", .version = 2, .mode = 0};
    assert_true(director_assign(&director, &order, ids, 1, 4000, &outcome, NULL));
    assert_refused(&director, &remove);
    order.version = 1;
    assert_refused(&director, &order);
}

/* What the terminal accepted counts, not what it was given: it may have been away. */
static void what_cannot_go_back_goes_once_a_newer_version_was_taken(void **state)
{
    struct temp_fleet *fleet = *state;
    struct director director = director_of(fleet);
    struct director_outcome outcome;
    static const char *const ids[] = {"term-1"};
    const struct director_order remove = {.document = "bins", .remove = true};
    struct director_order order = {.document = "bins", .mode = 2};
    int64_t device = temp_fleet_device(fleet, "term-1");
    temp_fleet_publish(fleet, "bins", 1, "one");
    temp_fleet_put(
        fleet, &(struct temp_document){.name = "bins", .text = "two", .version = 2, .final = true});
    assert_true(director_assign(&director, &order, ids, 1, 4000, &outcome, NULL));
    temp_fleet_publish(fleet, "bins", 3, "three");
    assert_true(director_assign(&director, &order, ids, 1, 4000, &outcome, NULL));
    assert_int_equal(outcome.manifest_version, 2);
    order.version = 1;
    assert_refused(&director, &order);
    assert_refused(&director, &remove);
    const struct fleetdb_report before = {.manifest_epoch = 1, .manifest_version = 1};
    assert_true(fleetdb_report_write(fleet->db, device, &before, NULL));
    assert_refused(&director, &remove);
    const struct fleetdb_report after = {.manifest_epoch = 1, .manifest_version = 2};
    assert_true(fleetdb_report_write(fleet->db, device, &after, NULL));
    assert_true(director_assign(&director, &remove, ids, 1, 4000, &outcome, NULL));
    assert_manifest(fleet, "term-1", 0, "3:");
    assert_refused(&director, &order); /* it remembers, even without it */
    order.version = 2;
    assert_true(director_assign(&director, &order, ids, 1, 4000, &outcome, NULL));
    assert_true(director_assign(&director, &remove, ids, 1, 4000, &outcome, NULL));
    assert_manifest(fleet, "term-1", 0, "5:");
}

/* What waits for a document of the former epoch says so, and is told when its device speaks. */
static void a_document_of_the_former_epoch_is_waited_for(void **state)
{
    struct temp_fleet *fleet = *state;
    struct director director = director_of(fleet);
    struct director_outcome outcome;
    struct fleetdb_device device;
    struct fleetdb_manifest manifest;
    struct buf sealed = {0};
    static const char *const ids[] = {"term-1"};
    struct director_order order = {.document = "bins", .mode = 2};
    temp_fleet_device(fleet, "term-1");
    temp_fleet_publish(fleet, "bins", 1, "one");
    assert_true(director_assign(&director, &order, ids, 1, 4000, &outcome, NULL));
    assert_string_equal(outcome.waits_for, "");
    old_document(fleet, "old");
    order.document = "aids";
    temp_fleet_publish(fleet, "aids", 1, "aid");
    assert_true(director_assign(&director, &order, ids, 1, 4000, &outcome, NULL));
    assert_true(outcome.changed);
    assert_string_equal(outcome.waits_for, "old");
    assert_int_equal(outcome.manifest_version, 1);
    assert_true(fleetdb_device_find(fleet->db, "term-1", &device, NULL));
    const struct director_seen said = {.epoch = 1, .version = 40};
    assert_true(director_manifest(&director, &device, &said, 5000, &manifest, &sealed, NULL));
    assert_int_equal(manifest.version, 1);
    assert_true(sealed.length > 0);
    buf_done(&sealed);
}

static void what_is_below_the_minimum_is_never_signed(void **state)
{
    struct temp_fleet *fleet = *state;
    struct director director = director_of(fleet);
    struct director_outcome outcomes[2];
    struct err err = {0};
    static const char *const ids[] = {"term-1", "term-2"};
    struct director_order order = {.document = "bins", .version = 1, .mode = 2};
    temp_fleet_device(fleet, "term-1");
    temp_fleet_device(fleet, "term-2");
    temp_fleet_publish(fleet, "bins", 1, "one");
    assert_true(director_assign(&director, &order, ids, 1, 4000, outcomes, NULL));
    temp_fleet_put(fleet, &(struct temp_document){
                              .name = "bins", .text = "two", .version = 2, .minimum_version = 2});
    assert_false(director_assign(&director, &order, ids, 2, 4000, outcomes, &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_DOCUMENT_FLOOR);
    assert_non_null(strstr(err.text, "bins: version 1 is below version 2, the highest minimum"));
    assert_manifest(fleet, "term-1", 0, "1: bins@1/2"); /* it may keep what it has */
    order.version = 0;
    assert_true(director_assign(&director, &order, ids, 2, 4000, outcomes, NULL));
    assert_manifest(fleet, "term-1", 0, "2: bins@2/2");
    assert_manifest(fleet, "term-2", 0, "1: bins@2/2");
}

/* What a welcome says is wanted is the very manifest that was signed last. */
static void what_is_wanted_is_the_newest_manifest(void **state)
{
    struct temp_fleet *fleet = *state;
    struct director director = director_of(fleet);
    struct director_outcome outcome;
    struct fleetdb_device device;
    struct fleetdb_manifest manifest;
    struct wants wants;
    struct buf sealed = {0};
    struct bytes body = {0};
    uint8_t digest[32];
    static const char *const ids[] = {"term-1"};
    temp_fleet_device(fleet, "term-1");
    temp_fleet_publish(fleet, "bins", 1, "one");
    assert_true(fleetdb_device_find(fleet->db, "term-1", &device, NULL));
    assert_true(wants_read(&director, device.device, &wants, NULL));
    assert_int_equal(wants.root_version, trust_version(fleet->trust));
    assert_int_equal(wants.version, 0);
    const struct director_order order = {.document = "bins", .mode = 2};
    assert_true(director_assign(&director, &order, ids, 1, 4000, &outcome, NULL));
    assert_true(fleetdb_manifest_get(fleet->db, device.device, &manifest, &sealed, NULL));
    assert_true(unseal("manifest", "term-1", buf_bytes(&sealed),
                       trust_keys(fleet->trust, MUSTER__ROLE__ROLE_DIRECTOR), &body, NULL));
    sha256(body, digest);
    assert_true(wants_read(&director, device.device, &wants, NULL));
    assert_int_equal(wants.epoch, trust_epoch(fleet->trust));
    assert_int_equal(wants.version, 1);
    assert_memory_equal(wants.sha256, digest, sizeof digest);
    buf_done(&sealed);
}

static void without_assignments_nothing_is_signed(void **state)
{
    struct temp_fleet *fleet = *state;
    struct director director = director_of(fleet);
    struct fleetdb_device device;
    struct buf sealed = {0};
    struct fleetdb_manifest manifest = {.version = 9};
    temp_fleet_device(fleet, "term-1");
    assert_true(fleetdb_device_find(fleet->db, "term-1", &device, NULL));
    const struct director_seen said = {.version = 12};
    assert_true(director_manifest(&director, &device, &said, 5000, &manifest, &sealed, NULL));
    assert_int_equal(manifest.version, 0);
    assert_int_equal(sealed.length, 0);
}

/* The device has told of manifest `told`, and `newest` is the one signed last. */
static void report_of_manifest(struct temp_fleet *fleet, int64_t device, uint64_t told,
                               uint64_t newest)
{
    const struct fleetdb_report report = {.manifest_epoch = 1, .manifest_version = told};
    const struct fleetdb_manifest manifest = {.epoch = 1, .version = newest, .root_version = 1};
    struct fleetdb_manifest before;
    assert_true(fleetdb_report_write(fleet->db, device, &report, NULL));
    assert_true(fleetdb_manifest_get(fleet->db, device, &before, NULL, NULL));
    if (before.version < newest)
        assert_true(fleetdb_manifest_put(fleet->db, device, &manifest, bytes_of("m", 1), NULL));
}

/* What the choice is made from: a whole and three deltas, each from other content. */
static void a_device_is_given_what_it_can_use(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "term-1");
    struct fleetdb_encoding encodings[5] = {{.coding = 1, .size = 5000}};
    struct fleetdb_document document = {
        .name = "bins", .encodings = encodings, .encoding_count = 5, .sha256 = {9}};
    for (size_t i = 1; i < 5; i++)
        encodings[i] = (struct fleetdb_encoding){
            .coding = 2, .delta = true, .size = 1000 + i, .base = {(uint8_t)i}};
    size_t left = 1024;
    struct choice choice;
    assert_true(choice_make(fleet->db, device, &document, &left, &choice, NULL));
    assert_int_equal(choice.count, 3); /* it has not said what it holds */
    const uint8_t held[32] = {4};
    struct fleetdb_item item = {
        .name = "bins", .held_version = 4, .held_sha256 = bytes_of(held, 32), .reason = ""};
    assert_true(fleetdb_item_write(fleet->db, device, &item, 5, NULL));
    assert_true(choice_make(fleet->db, device, &document, &left, &choice, NULL));
    assert_int_equal(choice.count, 4);
    assert_int_equal(choice.encodings[3].base[0], 4);
    report_of_manifest(fleet, device, 6, 7);
    assert_true(choice_make(fleet->db, device, &document, &left, &choice, NULL));
    assert_int_equal(choice.count, 4); /* said before it had the newest */
    report_of_manifest(fleet, device, 7, 7);
    assert_true(choice_make(fleet->db, device, &document, &left, &choice, NULL));
    assert_int_equal(choice.count, 2); /* no other is of any use */
    assert_int_equal(choice.encodings[1].base[0], 4);
    document.encoding_count = 4;
    assert_true(choice_make(fleet->db, device, &document, &left, &choice, NULL));
    assert_int_equal(choice.count, 3); /* none starts from there: it may have held one before */
    document.encoding_count = 5;
    assert_true(choice_make(fleet->db, device, &document, NULL, &choice, NULL));
    assert_int_equal(choice.count, 1); /* lean */
    item.held_sha256 = bytes_of(document.sha256, 32);
    assert_true(fleetdb_item_write(fleet->db, device, &item, 6, NULL));
    assert_true(choice_make(fleet->db, device, &document, &left, &choice, NULL));
    assert_int_equal(choice.count, 1);
    assert_int_equal(left, 1024);
}

static void what_is_short_travels_in_the_manifest(void **state)
{
    struct temp_fleet *fleet = *state;
    int64_t device = temp_fleet_device(fleet, "term-1");
    struct fleetdb_encoding encoding = {.coding = 1};
    struct fleetdb_document document = {.name = "a", .encodings = &encoding, .encoding_count = 1};
    temp_fleet_upload(fleet, "short", encoding.blob);
    assert_true(fleetdb_blob_size(fleet->db, encoding.blob, &encoding.size, NULL));
    size_t left = encoding.size;
    struct choice choice;
    assert_true(choice_make(fleet->db, device, &document, &left, &choice, NULL));
    assert_int_equal(choice.encodings[0].data.length, encoding.size);
    assert_int_equal(left, 0);
    assert_true(choice_make(fleet->db, device, &document, &left, &choice, NULL));
    assert_int_equal(choice.encodings[0].data.length, 0); /* no room left */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_makes_one_new_complete_manifest),
        TEST(all_devices_or_none),
        TEST(a_device_is_given_what_it_can_use),
        TEST(what_is_short_travels_in_the_manifest),
        TEST(a_restored_database_continues_above_the_device),
        TEST(another_manifest_of_the_same_version_is_overtaken),
        TEST(without_assignments_nothing_is_signed),
        TEST(what_is_wanted_is_the_newest_manifest),
        TEST(the_numbers_end),
        TEST(a_document_of_the_former_epoch_is_waited_for),
        TEST(what_cannot_go_back_stays_assigned),
        TEST(what_cannot_go_back_goes_once_a_newer_version_was_taken),
        TEST(what_is_below_the_minimum_is_never_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
