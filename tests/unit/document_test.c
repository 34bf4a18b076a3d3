/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/document.h"

#include "fleet/frame.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/seal.h"
#include "proto/unpack.h"
#include "storage/fleetdb_desired.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

/* Publishes `document` signed by `key`, with the blob of `content`; the error's code. */
static enum err_code try(struct temp_fleet *fleet, const struct temp_document *document,
                         const struct sign_key *key, const char *content)
{
    struct err err = {0};
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    struct buf header = temp_fleet_header(document, key);
    temp_fleet_upload(fleet, content, encoding.blob);
    bool ok = temp_fleet_take(fleet, fleet->trust, buf_bytes(&header), &encoding, 1, &err);
    buf_done(&header);
    assert_true(ok == (err.code == ERR_NONE));
    assert_true(!ok || encoding.size > 0);
    return err.code;
}

static uint64_t newest(struct temp_fleet *fleet, const char *name)
{
    struct fleetdb_standing standing;
    assert_true(fleetdb_document_standing(fleet->db, name, 0, &standing, NULL));
    return standing.newest_version;
}

static void only_the_release_key_publishes(void **state)
{
    struct temp_fleet *fleet = *state;
    const struct temp_document document = {.name = "bins", .text = "a\tb\n", .version = 1};
    assert_int_equal(try(fleet, &document, fleet->stranger_key, "a\tb\n"), ERR_REFUSED);
    assert_int_equal(try(fleet, &document, fleet->director_key, "a\tb\n"), ERR_REFUSED);
    assert_int_equal(try(fleet, &document, fleet->root_key, "a\tb\n"), ERR_REFUSED);
    assert_int_equal(newest(fleet, "bins"), 0);
    assert_int_equal(try(fleet, &document, fleet->release_key, "a\tb\n"), ERR_NONE);
    assert_int_equal(newest(fleet, "bins"), 1);
}

static void every_changed_byte_of_a_header_is_refused(void **state)
{
    struct temp_fleet *fleet = *state;
    const struct temp_document document = {.name = "bins", .text = "a\tb\n", .version = 1};
    struct buf header = temp_fleet_header(&document, fleet->release_key);
    for (size_t i = 0; i < header.length; i++) {
        struct arena arena = {.limit_bytes = 65536};
        const Muster__DocumentHeader *opened;
        header.data[i] ^= 1;
        assert_false(document_open(fleet->trust, buf_bytes(&header), &arena, &opened, NULL));
        header.data[i] ^= 1;
        arena_done(&arena);
    }
    buf_done(&header);
}

static void content_must_be_what_was_signed(void **state)
{
    struct temp_fleet *fleet = *state;
    const struct temp_document document = {.name = "bins", .text = "a\tb\n", .version = 1};
    assert_int_equal(try(fleet, &document, fleet->release_key, "a\tc\n"), ERR_INVALID);
    assert_int_equal(try(fleet, &document, fleet->release_key, "a\tb\nc\td\n"), ERR_INVALID);
    assert_int_equal(newest(fleet, "bins"), 0);
}

static void a_package_says_its_version_and_nothing_else_does(void **state)
{
    struct temp_fleet *fleet = *state;
    struct temp_document document = {.name = "os",
                                     .text = "image",
                                     .version = 1,
                                     .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE};
    assert_int_equal(try(fleet, &document, fleet->release_key, "image"), ERR_INVALID);
    document.package_version = "4 2";
    assert_int_equal(try(fleet, &document, fleet->release_key, "image"), ERR_INVALID);
    document.package_version = "4.2";
    assert_int_equal(try(fleet, &document, fleet->release_key, "image"), ERR_NONE);
    document.name = "bins";
    document.kind = 0;
    assert_int_equal(try(fleet, &document, fleet->release_key, "image"), ERR_INVALID);
}

/* A terminal that runs it would install nothing, and say that all is well. */
static void a_package_version_stands_for_one_content(void **state)
{
    struct temp_fleet *fleet = *state;
    struct temp_document document = {.name = "os",
                                     .text = "image",
                                     .version = 1,
                                     .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE,
                                     .package_version = "4.2",
                                     .model = "P2"};
    assert_int_equal(try(fleet, &document, fleet->release_key, "image"), ERR_NONE);
    document.version = 2;
    assert_int_equal(try(fleet, &document, fleet->release_key, "image"), ERR_NONE);
    document.version = 3;
    document.text = "mended";
    assert_int_equal(try(fleet, &document, fleet->release_key, "mended"), ERR_CONFLICT);
    document.model = NULL; /* any, that one too */
    assert_int_equal(try(fleet, &document, fleet->release_key, "mended"), ERR_CONFLICT);
    document.model = "P3";
    assert_int_equal(try(fleet, &document, fleet->release_key, "mended"), ERR_NONE);
    document.model = "P2";
    document.version = 4;
    document.package_version = "4.2.1";
    assert_int_equal(try(fleet, &document, fleet->release_key, "mended"), ERR_NONE);
    document.name = "other";
    document.version = 1;
    document.package_version = "4.2";
    assert_int_equal(try(fleet, &document, fleet->release_key, "mended"), ERR_NONE);
}

static void fields_are_checked(void **state)
{
    struct temp_fleet *fleet = *state;
    static const struct temp_document wrong[] = {
        {.name = "../etc", .text = "a", .version = 1},
        {.name = "", .text = "a", .version = 1},
        {.name = "bins", .text = "a", .version = 0},
        {.name = "bins", .text = "a", .version = UINT64_MAX},
        {.name = "bins", .text = "", .version = 1},
        {.name = "bins", .text = "a", .version = 1, .minimum_version = 2},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(try(fleet, &wrong[i], fleet->release_key, wrong[i].text), ERR_INVALID);
}

static bool opens(const struct temp_fleet *fleet, Muster__DocumentKind kind, bool sealed,
                  uint64_t length)
{
    char name[] = "firmware.bin", device[] = "t-01";
    uint8_t digest[32] = {1};
    struct buf body = {0}, envelope = {0};
    struct arena arena = {.limit_bytes = 65536};
    struct err err = {0};
    const struct sign_key *key = fleet->release_key;
    const Muster__DocumentHeader *opened;
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    header.name = name;
    header.kind = kind;
    header.epoch = header.version = 1;
    header.length = length;
    header.sha256 = (ProtobufCBinaryData){sizeof digest, digest};
    header.scope =
        sealed ? MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED : MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
    if (sealed)
        header.device = device;
    assert_true(pack(&header.base, &body, NULL));
    assert_true(seal("document", "", buf_bytes(&body), &key, 1, true, &envelope, NULL));
    bool good = document_open(fleet->trust, buf_bytes(&envelope), &arena, &opened, &err);
    assert_true(good || refusal_of(&err) == MUSTER__REFUSAL__REFUSAL_DOCUMENT_LENGTH);
    buf_done(&body);
    buf_done(&envelope);
    arena_done(&arena);
    return good;
}

/* What is said of a key block with this placement, by the custodian. */
static Muster__Refusal key_refusal(const struct temp_fleet *fleet, Muster__KeyPlacement *placement)
{
    char name[] = "tmk.key", device[] = "t-01";
    uint8_t digest[32] = {1};
    struct buf body = {0}, envelope = {0};
    struct arena arena = {.limit_bytes = 65536};
    struct err err = {0};
    const struct sign_key *key = fleet->custodian_key;
    const Muster__DocumentHeader *opened;
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    header.name = name;
    header.device = device;
    header.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK;
    header.scope = MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    header.epoch = header.version = header.length = 1;
    header.sha256 = (ProtobufCBinaryData){sizeof digest, digest};
    header.key = placement;
    assert_true(pack(&header.base, &body, NULL));
    assert_true(seal("document", "", buf_bytes(&body), &key, 1, true, &envelope, NULL));
    bool opens = document_open(fleet->trust, buf_bytes(&envelope), &arena, &opened, &err);
    assert_true(opens == (refusal_of(&err) == MUSTER__REFUSAL__REFUSAL_NONE));
    buf_done(&body);
    buf_done(&envelope);
    arena_done(&arena);
    return refusal_of(&err);
}

static void a_key_block_says_where_its_key_goes(void **state)
{
    const struct temp_fleet *fleet = *state;
    char slot[] = "tmk", usage[] = "K0", algorithm[] = "A", mode[] = "B";
    uint8_t kcv[] = {1, 2, 3};
    Muster__KeyPlacement key = MUSTER__KEY_PLACEMENT__INIT;
    key.slot = slot;
    key.usage = usage;
    key.algorithm = algorithm;
    key.mode = mode;
    key.key_version = 1;
    key.kcv_method = MUSTER__KCV_METHOD__KCV_AES_CMAC;
    key.kcv = (ProtobufCBinaryData){sizeof kcv, kcv};
    assert_int_equal(key_refusal(fleet, &key), MUSTER__REFUSAL__REFUSAL_NONE);
    assert_int_equal(key_refusal(fleet, NULL), MUSTER__REFUSAL__REFUSAL_KEY_HEADER);
    slot[0] = 'T';
    assert_int_equal(key_refusal(fleet, &key), MUSTER__REFUSAL__REFUSAL_KEY_HEADER);
    slot[0] = 't';
    key.key_version = 100;
    assert_int_equal(key_refusal(fleet, &key), MUSTER__REFUSAL__REFUSAL_KEY_HEADER);
    key.key_version = 99;
    algorithm[0] = 'T';
    assert_int_equal(key_refusal(fleet, &key), MUSTER__REFUSAL__REFUSAL_KEY_HEADER);
    key.kcv_method = MUSTER__KCV_METHOD__KCV_TDES_ECB;
    assert_int_equal(key_refusal(fleet, &key), MUSTER__REFUSAL__REFUSAL_NONE);
    key.kcv.len = 2;
    assert_int_equal(key_refusal(fleet, &key), MUSTER__REFUSAL__REFUSAL_KEY_HEADER);
}

/* What a terminal would refuse with the whole manifest does not get as far as one. */
static void nothing_is_longer_than_terminals_hold(void **state)
{
    const struct temp_fleet *fleet = *state;
    const struct {
        Muster__DocumentKind kind;
        bool sealed;
        uint64_t most;
    } rows[] = {{MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE, false, LIMIT_DOCUMENT_BYTES},
                {MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS, true, LIMIT_SEALED_BYTES},
                {MUSTER__DOCUMENT_KIND__DOCUMENT_FILE, true, LIMIT_SEALED_BYTES},
                {MUSTER__DOCUMENT_KIND__DOCUMENT_FILE, false, LIMIT_CONTENT_BYTES}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(opens(fleet, rows[i].kind, rows[i].sealed, rows[i].most));
        assert_false(opens(fleet, rows[i].kind, rows[i].sealed, rows[i].most + 1));
    }
}

static void versions_and_floors_never_go_down(void **state)
{
    struct temp_fleet *fleet = *state;
    struct temp_document document = {
        .name = "bins", .text = "a", .version = 5, .minimum_version = 3};
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_NONE);
    document.minimum_version = 4;
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_CONFLICT);
    document.minimum_version = 3;
    document.version = 4;
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_CONFLICT);
    document.version = 6;
    document.minimum_version = 2;
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_CONFLICT);
    document.minimum_version = 3;
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_NONE);
    assert_int_equal(newest(fleet, "bins"), 6);
}

/* Publishes, and says whether that was new. */
static bool is_new(struct temp_fleet *fleet, const struct temp_document *document)
{
    struct document_work *work = NULL;
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    struct buf header = temp_fleet_header(document, fleet->release_key);
    const struct document_order order = {.trust = fleet->trust,
                                         .envelope = buf_bytes(&header),
                                         .encodings = &encoding,
                                         .count = 1,
                                         .now_ms = 5000 + (int64_t)document->version};
    bool done = false;
    temp_fleet_upload(fleet, document->text, encoding.blob);
    assert_true(document_begin(fleet->db, &order, &work, NULL));
    while (!done)
        assert_true(document_step(work, 1024, &done, NULL));
    const bool new = document_is_new(work);
    assert_int_equal(document_published(work)->version, document->version);
    document_free(work);
    buf_done(&header);
    return new;
}

static bool count_document(void *ctx, const struct fleetdb_document *document, struct err *err)
{
    size_t *count = ctx;
    (void)document;
    (void)err;
    ++*count;
    return true;
}

/* Whoever had no answer tries again: what is there to the byte is done, also when more came. */
static void the_very_same_again_is_done_and_not_new(void **state)
{
    struct temp_fleet *fleet = *state;
    const struct temp_document first = {.name = "bins", .text = "a\n", .version = 5},
                               next = {.name = "bins", .text = "b\n", .version = 6};
    size_t count = 0;
    assert_true(is_new(fleet, &first));
    assert_false(is_new(fleet, &first));
    assert_true(is_new(fleet, &next));
    assert_false(is_new(fleet, &first));
    assert_true(fleetdb_document_each(fleet->db, "bins", count_document, &count, NULL));
    assert_int_equal(count, 2);
    assert_int_equal(newest(fleet, "bins"), 6);
}

static void a_blob_must_be_there_first(void **state)
{
    struct temp_fleet *fleet = *state;
    struct err err = {0};
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    const struct temp_document document = {.name = "bins", .text = "a", .version = 1};
    struct buf header = temp_fleet_header(&document, fleet->release_key);
    assert_false(temp_fleet_take(fleet, fleet->trust, buf_bytes(&header), &encoding, 1, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(temp_fleet_take(fleet, fleet->trust, buf_bytes(&header), &encoding, 0, &err));
    assert_int_equal(err.code, ERR_INVALID);
    buf_done(&header);
}

static void another_epoch_is_refused(void **state)
{
    struct temp_fleet *fleet = *state;
    struct temp_document document = {.name = "bins", .text = "a", .version = 1, .epoch = 2};
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_REFUSED);
    document.epoch = 1;
    assert_int_equal(try(fleet, &document, fleet->release_key, "a"), ERR_NONE);
}

/* Looking at content takes its time, and others go on publishing. */
static void what_came_meanwhile_counts_at_the_end(void **state)
{
    struct temp_fleet *fleet = *state;
    struct err err = {0};
    struct document_work *work = NULL;
    bool done = false, ok = true;
    const struct temp_document document = {.name = "bins", .text = "one\n", .version = 2};
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    struct buf header = temp_fleet_header(&document, fleet->release_key);
    const struct document_order order = {.trust = fleet->trust,
                                         .envelope = buf_bytes(&header),
                                         .encodings = &encoding,
                                         .count = 1,
                                         .now_ms = 3000};
    temp_fleet_upload(fleet, document.text, encoding.blob);
    assert_true(document_begin(fleet->db, &order, &work, NULL));
    assert_true(document_step(work, 1, &done, NULL) && !done);
    temp_fleet_publish(fleet, "bins", 3, "two\n");
    while (ok && !done)
        ok = document_step(work, 1, &done, &err);
    assert_false(ok);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(newest(fleet, "bins"), 3);
    document_free(work);
    buf_done(&header);
}

static void put(struct temp_fleet *fleet, struct bytes blob, uint8_t ret_sha256[32])
{
    sha256(blob, ret_sha256);
    assert_true(fleetdb_blob_put(fleet->db, ret_sha256, blob, 1000, NULL));
}

/* Adds one more way to get version `version` of bins. */
static enum err_code offer(struct temp_fleet *fleet, uint64_t version,
                           struct fleetdb_encoding encoding)
{
    struct err err = {0};
    struct document_work *work = NULL;
    const struct fleetdb_wish wish = {.name = "bins", .epoch = 1, .version = version};
    const struct document_order order = {.encodings = &encoding, .count = 1, .now_ms = 1000};
    bool done = false, ok = document_begin_more(fleet->db, &wish, &order, &work, &err);
    while (ok && !done)
        ok = document_step(work, 1, &done, &err);
    document_free(work);
    assert_true(ok == (err.code == ERR_NONE));
    return err.code;
}

static struct fleetdb_encoding delta_of(struct temp_fleet *fleet, const char *base,
                                        const char *content)
{
    struct buf frame = {0};
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA,
                                        .delta = true};
    const struct bytes from = bytes_of(base, strlen(base));
    assert_true(frame_make(bytes_of(content, strlen(content)), from, &frame, NULL));
    put(fleet, buf_bytes(&frame), encoding.blob);
    sha256(from, encoding.base);
    buf_done(&frame);
    return encoding;
}

static void a_delta_must_lead_from_its_base_to_what_was_signed(void **state)
{
    struct temp_fleet *fleet = *state;
    static const char one[] = "620001\tbank of the north\n", two[] = "620001\tbank of the south\n",
                      other[] = "620001\tbank of the thief\n";
    temp_fleet_publish(fleet, "bins", 1, one);
    temp_fleet_publish(fleet, "bins", 2, two);
    assert_int_equal(offer(fleet, 2, delta_of(fleet, one, other)), ERR_INVALID);
    assert_int_equal(offer(fleet, 2, delta_of(fleet, other, two)), ERR_INVALID);
    assert_int_equal(offer(fleet, 2, delta_of(fleet, two, two)), ERR_INVALID);
    assert_int_equal(offer(fleet, 2, delta_of(fleet, one, two)), ERR_NONE);
}

/* A blob in two pieces, of which the first has so many bytes. */
static struct fleetdb_encoding split(struct temp_fleet *fleet, struct bytes blob, size_t first)
{
    uint8_t list[64];
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD,
                                        .piece_bytes = LIMIT_PIECE_BYTES,
                                        .pieces_size = blob.length};
    put(fleet, bytes_of(blob.data, first), list);
    put(fleet, bytes_of(blob.data + first, blob.length - first), list + 32);
    put(fleet, bytes_of(list, sizeof list), encoding.blob);
    return encoding;
}

/* Terminals count the pieces off by their size; one that is shorter would shift all after it. */
static void pieces_must_have_the_size_that_is_stated(void **state)
{
    struct temp_fleet *fleet = *state;
    enum { LENGTH = 200 * 1024 };
    struct buf frame = {0};
    char *text = calloc(1, LENGTH + 1);
    assert_non_null(text);
    uint32_t next = 1;
    for (size_t i = 0; i < LENGTH; i++) {
        next = next * 1664525 + 1013904223;
        text[i] = (char)('0' + (next >> 26));
    }
    temp_fleet_publish(fleet, "bins", 1, text);
    assert_true(frame_make(bytes_of(text, LENGTH), bytes_of(NULL, 0), &frame, NULL));
    assert_in_range(frame.length, LIMIT_PIECE_BYTES + 1, 2 * LIMIT_PIECE_BYTES);
    assert_int_equal(offer(fleet, 1, split(fleet, buf_bytes(&frame), 100 * 1024)), ERR_INVALID);
    assert_int_equal(offer(fleet, 1, split(fleet, buf_bytes(&frame), LIMIT_PIECE_BYTES)), ERR_NONE);
    buf_done(&frame);
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_release_key_publishes),
        TEST(every_changed_byte_of_a_header_is_refused),
        TEST(content_must_be_what_was_signed),
        TEST(a_package_says_its_version_and_nothing_else_does),
        TEST(a_package_version_stands_for_one_content),
        TEST(fields_are_checked),
        TEST(nothing_is_longer_than_terminals_hold),
        TEST(a_key_block_says_where_its_key_goes),
        TEST(versions_and_floors_never_go_down),
        TEST(the_very_same_again_is_done_and_not_new),
        TEST(a_blob_must_be_there_first),
        TEST(another_epoch_is_refused),
        TEST(what_came_meanwhile_counts_at_the_end),
        TEST(a_delta_must_lead_from_its_base_to_what_was_signed),
        TEST(pieces_must_have_the_size_that_is_stated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
