/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar.h"

#include "agent/registrar_plan.h"
#include "proto/limits.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define WHOLE MUSTER__CONTENT_CODING__CONTENT_ZSTD
#define DELTA MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA

enum { ROWS = 600, NOISE_BYTES = 1200 * 1024, PIECES = 10, FIRST_PIECES = 4, ZERO_MIB = 64 };

/* One encoding, and all that it points to. */
struct sent {
    Muster__Encoding message;
    uint8_t blob[32], base[32];
    struct buf bytes;
};

static ProtobufCBinaryData binary(const void *data, size_t length)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = length};
}

static struct bytes text_bytes(const char *text)
{
    return bytes_of(text, strlen(text));
}

/* A table of which no two rows are alike, with one of them changed. */
static void table_make(char *text, size_t room, const char *changed)
{
    size_t length = (size_t)snprintf(text, room, "prefix\tissuer\n");
    for (unsigned n = 0; n < ROWS; n++)
        length += (size_t)snprintf(text + length, room - length, "%06u\t%s %u\n", 622000 + n,
                                   n == 300 ? changed : "bank", n * n * 7919 % 99991);
}

static void encode(struct bytes content, struct bytes base, struct buf *out)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    size_t bound = ZSTD_compressBound(content.length);
    uint8_t *to = buf_reserve(out, bound, NULL);
    assert_non_null(to);
    if (base.data != NULL)
        assert_false(ZSTD_isError(ZSTD_CCtx_refPrefix(zstd, base.data, base.length)));
    size_t made = ZSTD_compress2(zstd, to, bound, content.data, content.length);
    assert_false(ZSTD_isError(made));
    out->length = made;
    (void)ZSTD_freeCCtx(zstd);
}

static void name_it(struct sent *sent, Muster__ContentCoding coding)
{
    muster__encoding__init(&sent->message);
    sha256(buf_bytes(&sent->bytes), sent->blob);
    sent->message.coding = coding;
    sent->message.blob = binary(sent->blob, 32);
    sent->message.size = sent->bytes.length;
}

static void send_whole(struct sent *sent, const char *content)
{
    encode(text_bytes(content), bytes_of(NULL, 0), &sent->bytes);
    name_it(sent, WHOLE);
}

static void send_delta(struct sent *sent, const char *base, const char *content)
{
    encode(text_bytes(content), text_bytes(base), &sent->bytes);
    name_it(sent, DELTA);
    sha256(text_bytes(base), sent->base);
    sent->message.base_sha256 = binary(sent->base, 32);
}

static void publish(struct world *world, const struct sent *sent)
{
    uint8_t name[32];
    world_publish(world, buf_bytes(&sent->bytes), name);
}

static bool was_asked(const struct world *world, const uint8_t sha256[32])
{
    for (size_t i = 0; i < world->asked_count; i++) {
        if (memcmp(world->asked[i], sha256, 32) == 0)
            return true;
    }
    return false;
}

static struct world_doc document(const char *content, uint64_t version,
                                 Muster__Encoding **encodings, size_t count)
{
    return (struct world_doc){.name = "bin.tsv",
                              .content = content,
                              .version = version,
                              .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                              .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE,
                              .encodings = encodings,
                              .encoding_count = count};
}

struct tables {
    char one[32 * 1024], two[32 * 1024];
    struct sent whole_one, whole_two, delta;
};

static struct tables *tables_make(void)
{
    struct tables *tables = calloc(1, sizeof *tables);
    table_make(tables->one, sizeof tables->one, "bank");
    table_make(tables->two, sizeof tables->two, "another");
    send_whole(&tables->whole_one, tables->one);
    send_whole(&tables->whole_two, tables->two);
    send_delta(&tables->delta, tables->one, tables->two);
    assert_true(tables->delta.bytes.length <= LIMIT_INLINE_BYTES);
    assert_true(tables->whole_two.bytes.length > 1024);
    return tables;
}

static void tables_free(struct tables *tables)
{
    buf_done(&tables->whole_one.bytes);
    buf_done(&tables->whole_two.bytes);
    buf_done(&tables->delta.bytes);
    free(tables);
}

static void apply_one(struct world *world, struct tables *tables)
{
    Muster__Encoding *ways[] = {&tables->whole_one.message};
    struct world_doc doc = document(tables->one, 1, ways, 1);
    publish(world, &tables->whole_one);
    world_apply(world, 1, &doc, 1);
    world_assert_document(world, "bin.tsv", tables->one);
}

static void test_delta_from_what_is_held(void **state)
{
    struct world *world = *state;
    struct tables *tables = tables_make();
    Muster__Encoding *ways[] = {&tables->whole_two.message, &tables->delta.message};
    struct world_doc doc = document(tables->two, 2, ways, 2);
    apply_one(world, tables);
    publish(world, &tables->delta); /* and not the whole: it is not asked for */
    world_apply(world, 2, &doc, 1);
    world_assert_document(world, "bin.tsv", tables->two);
    assert_int_equal(world->fetches, 2);
    /* A copy of the result was kept: the broker is not needed to make it again. */
    world->broker_up = false;
    world_damage(world, "current/bin.tsv");
    world_reopen(world);
    world_assert_document(world, "bin.tsv", tables->two);
    assert_int_equal(world_last(world, MUSTER__EVENT_KIND__EVENT_REPAIR)->source,
                     MUSTER__REPAIR_SOURCE__REPAIR_SOURCE_STORE);
    tables_free(tables);
}

/* The broker keeps the whole and has lost the delta, and nobody is there to send it again. */
static void test_whole_where_the_delta_does_not_come(void **state)
{
    struct world *world = *state;
    struct tables *tables = tables_make();
    Muster__Encoding *ways[] = {&tables->delta.message, &tables->whole_two.message};
    struct world_doc doc = document(tables->two, 2, ways, 2);
    uint8_t asked[1][32];
    apply_one(world, tables);
    publish(world, &tables->whole_two);
    assert_true(world_push(world, 2, &doc, 1, NULL));
    world_wait(world, world_was_asked);
    assert_true(was_asked(world, tables->delta.blob));
    memset(asked, 7, sizeof asked);
    registrar_elsewhere(world->registrar, asked, 1); /* not this one's */
    assert_true(was_asked(world, tables->delta.blob));
    memcpy(asked, world->asked, sizeof asked);
    registrar_elsewhere(world->registrar, asked, 1);
    world_check(world);
    world_assert_document(world, "bin.tsv", tables->two);
    const struct world_event *event = world_last(world, MUSTER__EVENT_KIND__EVENT_REFUSED);
    assert_string_equal(event->item, "bin.tsv");
    assert_int_equal(event->refusal, MUSTER__REFUSAL__REFUSAL_CONTENT_LATE);
    tables_free(tables);
}

static void test_whole_where_no_base_is_held(void **state)
{
    struct world *world = *state;
    struct tables *tables = tables_make();
    Muster__Encoding *ways[] = {&tables->delta.message, &tables->whole_two.message};
    struct world_doc doc = document(tables->two, 2, ways, 2);
    publish(world, &tables->delta);
    publish(world, &tables->whole_two);
    world_apply(world, 1, &doc, 1);
    world_assert_document(world, "bin.tsv", tables->two);
    assert_int_equal(world->fetches, 1);
    tables_free(tables);
}

static void test_inlined_needs_no_broker(void **state)
{
    struct world *world = *state;
    struct tables *tables = tables_make();
    Muster__Encoding *ways[] = {&tables->whole_two.message, &tables->delta.message};
    struct world_doc doc = document(tables->two, 2, ways, 2);
    apply_one(world, tables);
    world->broker_up = false;
    tables->delta.message.data = binary(tables->delta.bytes.data, tables->delta.bytes.length);
    world_apply(world, 2, &doc, 1);
    world_assert_document(world, "bin.tsv", tables->two);
    assert_int_equal(world->fetches, 1);
    tables_free(tables);
}

static void assert_refused(struct world *world, const struct world_doc *doc,
                           Muster__Refusal refusal)
{
    struct err err = {0};
    assert_false(world_push(world, 9, doc, 1, &err));
    if (err.reason != (int)refusal)
        fail_msg("reason %d: %s", err.reason, err.text);
}

static void test_inlined_is_what_it_is_named_after(void **state)
{
    struct world *world = *state;
    struct tables *tables = tables_make();
    Muster__Encoding *ways[] = {&tables->whole_two.message, &tables->delta.message};
    struct world_doc doc = document(tables->two, 2, ways, 2);
    struct buf other = {0};
    apply_one(world, tables);
    assert_true(buf_append(&other, tables->delta.bytes.data, tables->delta.bytes.length, NULL));
    other.data[0] ^= 1;
    tables->delta.message.data = binary(other.data, other.length);
    assert_refused(world, &doc, MUSTER__REFUSAL__REFUSAL_DOCUMENT_ENCODING);
    other.data[0] ^= 1;
    tables->delta.message.data = binary(other.data, other.length - 1);
    assert_refused(world, &doc, MUSTER__REFUSAL__REFUSAL_DOCUMENT_ENCODING);
    buf_done(&other);
    tables_free(tables);
}

/* The fleet made a delta that is signed and right, and leads to something else. */
static void test_delta_that_leads_elsewhere(void **state)
{
    struct world *world = *state;
    struct tables *tables = tables_make();
    struct sent wrong = {0};
    char third[32 * 1024];
    table_make(third, sizeof third, "yet one");
    send_delta(&wrong, tables->one, third);
    Muster__Encoding *ways[] = {&tables->whole_two.message, &wrong.message};
    struct world_doc doc = document(tables->two, 2, ways, 2);
    apply_one(world, tables);
    publish(world, &wrong);
    publish(world, &tables->whole_two);
    world_apply(world, 2, &doc, 1);
    world_assert_document(world, "bin.tsv", tables->two);
    assert_int_equal(world->fetches, 3);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, NULL), 0);
    const struct world_event *told = world_last(world, MUSTER__EVENT_KIND__EVENT_REFUSED);
    assert_true(told->refusal == MUSTER__REFUSAL__REFUSAL_CONTENT_HASH ||
                told->refusal == MUSTER__REFUSAL__REFUSAL_CONTENT_LENGTH);
    assert_non_null(strstr(told->text, "another way is taken"));
    buf_done(&wrong.bytes);
    tables_free(tables);
}

/* ---- pieces ---- */

struct long_file {
    struct bytes content; /* NULL: it is only known by its hash */
    uint64_t length;
    uint8_t sha256[32];
    struct buf frame, list;
    Muster__Encoding message;
    uint8_t blob[32];
};

static void cut(struct long_file *file)
{
    uint8_t digest[32];
    for (size_t at = 0; at < file->frame.length; at += LIMIT_PIECE_BYTES) {
        size_t left = file->frame.length - at;
        sha256(bytes_of(file->frame.data + at, left < LIMIT_PIECE_BYTES ? left : LIMIT_PIECE_BYTES),
               digest);
        assert_true(buf_append(&file->list, digest, sizeof digest, NULL));
    }
    sha256(buf_bytes(&file->list), file->blob);
    muster__encoding__init(&file->message);
    file->message.coding = WHOLE;
    file->message.blob = binary(file->blob, 32);
    file->message.size = file->list.length;
    file->message.piece_bytes = LIMIT_PIECE_BYTES;
    file->message.pieces_size = file->frame.length;
}

static uint8_t noise(void)
{
    static uint64_t seed = 0x9E3779B97F4A7C15U;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint8_t)(seed >> 32);
}

static void noise_make(struct long_file *file)
{
    uint8_t *content = malloc(NOISE_BYTES);
    for (size_t i = 0; i < NOISE_BYTES; i++)
        content[i] = noise();
    file->content = bytes_of(content, NOISE_BYTES);
    file->length = NOISE_BYTES;
    sha256(file->content, file->sha256);
    encode(file->content, bytes_of(NULL, 0), &file->frame);
    cut(file);
    assert_int_equal(file->list.length, 32 * PIECES);
}

static void file_free(struct long_file *file)
{
    free((void *)(uintptr_t)file->content.data);
    buf_done(&file->frame);
    buf_done(&file->list);
}

static struct bytes piece_of(const struct long_file *file, size_t n)
{
    size_t at = n * LIMIT_PIECE_BYTES, left = file->frame.length - at;
    return bytes_of(file->frame.data + at, left < LIMIT_PIECE_BYTES ? left : LIMIT_PIECE_BYTES);
}

static void publish_pieces(struct world *world, const struct long_file *file, size_t from,
                           size_t to)
{
    uint8_t name[32];
    world_publish(world, buf_bytes(&file->list), name);
    for (size_t i = from; i < to; i++)
        world_publish(world, piece_of(file, i), name);
}

static struct world_doc firmware(const struct long_file *file, Muster__Encoding **encodings)
{
    return (struct world_doc){.name = "firmware",
                              .version = 1,
                              .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
                              .encodings = encodings,
                              .encoding_count = 1,
                              .length = file->length,
                              .sha256 = file->sha256};
}

static void assert_held(const struct world *world, const struct long_file *file)
{
    char path[256];
    uint8_t digest[32];
    struct buf content = {0};
    world_path(world, "current/firmware", path);
    assert_true(file_read(path, (size_t)file->length, &content, NULL));
    assert_int_equal(content.length, file->length);
    sha256(buf_bytes(&content), digest);
    assert_memory_equal(digest, file->sha256, 32);
    buf_done(&content);
}

static bool first_are_stored(const struct world *world)
{
    size_t stored = 0;
    for (size_t i = 0; i < world->blob_count; i++) {
        char hex[65], name[80];
        hex_encode(world->blobs[i].sha256, 32, hex);
        (void)snprintf(name, sizeof name, "blobs/%s", hex);
        stored += world_has(world, name) ? 1 : 0;
    }
    return stored == 1 + FIRST_PIECES;
}

static void test_pieces_resume(void **state)
{
    struct world *world = *state;
    struct long_file file = {0};
    struct err err = {0};
    noise_make(&file);
    Muster__Encoding *ways[] = {&file.message};
    struct world_doc doc = firmware(&file, ways);
    publish_pieces(world, &file, 0, FIRST_PIECES);
    assert_true(world_push(world, 1, &doc, 1, &err));
    world_wait(world, first_are_stored);
    world_close(world);
    world->fetches = 0;
    publish_pieces(world, &file, FIRST_PIECES, PIECES);
    world_open(world);
    world_check(world);
    assert_held(world, &file);
    assert_int_equal(world->fetches, PIECES - FIRST_PIECES);
    /* Kept as one copy, not in pieces. */
    world->broker_up = false;
    world_damage(world, "current/firmware");
    world_reopen(world);
    assert_held(world, &file);
    file_free(&file);
}

static void test_wrong_piece(void **state)
{
    struct world *world = *state;
    struct long_file file = {0};
    struct err err = {0};
    noise_make(&file);
    Muster__Encoding *ways[] = {&file.message};
    struct world_doc doc = firmware(&file, ways);
    publish_pieces(world, &file, 0, FIRST_PIECES);
    assert_true(world_push(world, 1, &doc, 1, &err));
    world_wait(world, first_are_stored);
    const uint8_t *wanted = file.list.data + 32 * FIRST_PIECES;
    assert_true(was_asked(world, wanted));
    assert_false(registrar_blob(world->registrar, wanted, piece_of(&file, 0), &err));
    assert_int_equal(err.reason, MUSTER__REFUSAL__REFUSAL_BLOB_HASH);
    assert_false(registrar_blob(world->registrar, wanted, piece_of(&file, PIECES - 1), &err));
    assert_int_equal(err.reason, MUSTER__REFUSAL__REFUSAL_BLOB_SIZE);
    uint8_t lacks[PIECES][32];
    assert_int_equal(registrar_lacks(world->registrar, lacks, PIECES), PLAN_PIECES_AT_ONCE);
    for (size_t i = FIRST_PIECES; i < PIECES; i++) {
        if (!registrar_blob(world->registrar, file.list.data + 32 * i, piece_of(&file, i), &err))
            fail_msg("%s", err.text);
    }
    world_check(world);
    assert_held(world, &file);
    file_free(&file);
}

static void test_list_of_pieces_that_contradicts_itself(void **state)
{
    struct world *world = *state;
    struct long_file file = {0};
    noise_make(&file);
    Muster__Encoding *ways[] = {&file.message};
    struct world_doc doc = firmware(&file, ways);
    file.message.size -= 32;
    assert_refused(world, &doc, MUSTER__REFUSAL__REFUSAL_DOCUMENT_ENCODING);
    file.message.size += 32;
    file.message.piece_bytes = 64 * 1024;
    assert_refused(world, &doc, MUSTER__REFUSAL__REFUSAL_DOCUMENT_ENCODING);
    file.message.piece_bytes = LIMIT_PIECE_BYTES;
    file.message.pieces_size *= 2;
    file.message.size *= 2;
    assert_refused(world, &doc, MUSTER__REFUSAL__REFUSAL_DOCUMENT_ENCODING);
    file_free(&file);
}

/* ---- too long for memory ---- */

/* Noise, so that there are pieces, and then zeros, of which only their hash is ever in memory. */
static void zeros_make(struct long_file *file)
{
    static uint8_t mib[1 << 20];
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    struct sha256_state *hash = sha256_begin();
    size_t room = 4U << 20;
    ZSTD_outBuffer out = {.dst = buf_reserve(&file->frame, room, NULL), .size = room};
    file->length = (uint64_t)ZERO_MIB << 20;
    for (size_t i = 0; i < sizeof mib; i++)
        mib[i] = noise();
    for (unsigned n = 0; n < ZERO_MIB; n++) {
        ZSTD_inBuffer in = {.src = mib, .size = sizeof mib};
        sha256_add(hash, bytes_of(mib, sizeof mib));
        ZSTD_EndDirective end = n + 1 == ZERO_MIB ? ZSTD_e_end : ZSTD_e_continue;
        size_t left;
        do {
            left = ZSTD_compressStream2(zstd, &out, &in, end);
            assert_false(ZSTD_isError(left));
        } while (in.pos < in.size || (end == ZSTD_e_end && left > 0));
        memset(mib, 0, sizeof mib);
    }
    file->frame.length = out.pos;
    sha256_end(hash, file->sha256);
    (void)ZSTD_freeCCtx(zstd);
    cut(file);
}

/* The most this process has ever had in memory. */
static uint64_t peak_kib(void)
{
    char line[128];
    uint64_t kib = 0;
    FILE *status = fopen("/proc/self/status", "re");
    assert_non_null(status);
    while (fgets(line, sizeof line, status) != NULL)
        (void)sscanf(line, "VmHWM: %" SCNu64, &kib);
    (void)fclose(status);
    assert_true(kib > 0);
    return kib;
}

static void test_long_content_never_in_memory(void **state)
{
    struct world *world = *state;
    struct long_file file = {0};
    zeros_make(&file);
    Muster__Encoding *ways[] = {&file.message};
    struct world_doc doc = firmware(&file, ways);
    world_close(world);
    world->settings.quota_bytes = (int64_t)512 << 20;
    world_open(world);
    publish_pieces(world, &file, 0, file.list.length / 32);
    uint64_t before = peak_kib();
    world_apply(world, 1, &doc, 1);
    uint64_t after = peak_kib();
    if (after - before > ZERO_MIB * 1024 / 2)
        fail_msg("%" PRIu64 " KiB more for %d MiB", after - before, ZERO_MIB);
    assert_held(world, &file);
    /* It has no copy: what is damaged is fetched again. */
    unsigned fetches = world->fetches;
    world_damage(world, "current/firmware");
    world_check(world);
    assert_held(world, &file);
    assert_int_equal(world->fetches, 2 * fetches);
    file_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole_where_the_delta_does_not_come, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_delta_from_what_is_held, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_whole_where_no_base_is_held, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_inlined_needs_no_broker, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_inlined_is_what_it_is_named_after, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_delta_that_leads_elsewhere, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_pieces_resume, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_piece, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_list_of_pieces_that_contradicts_itself, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(test_long_content_never_in_memory, world_set_up,
                                        world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
