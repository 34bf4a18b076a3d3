/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/log.h"
#include "proto/limits.h"
#include "proto/seal.h"
#include "tests/bench/figures.h"
#include "tests/bench/timed_disk.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

/*
 * What a terminal's processor spends to verify and take over content, over a bare SHA-256 of it.
 * Counted is the CPU time of the process, all threads, user and system, from the manifest's bytes
 * until the new generation is in force. verify_ratio: the director's signature, release's over the
 * header, the hash of every blob, unfolding, the hash of what that led to, the look whether it is a
 * table, reading what lies on the disk, and all bookkeeping. take_ratio: with every write, sync and
 * rename of blobs, file, manifest and floors. Not counted: the link and its TLS.
 * sync-verify TABLE; bench-sync starts it.
 */
enum {
    LEVEL = 19,
    QUICK_LEVEL = 1, /* where nothing is to be gained */
    PIECE_BYTES = LIMIT_PIECE_BYTES,
    FIRMWARE_PIECES = 12,
    FIRMWARES = 3,
    TABLES = 5,
    BARE_ROUNDS = 15,
    HASH = 32,
};

/* One version of a document, on its way. */
struct goods {
    struct buf content;
    uint8_t sha256[HASH];
    size_t ways;
    Muster__Encoding encodings[2];
    uint8_t blobs[2][HASH], base[HASH];
};

static int64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static ProtobufCBinaryData binary(const uint8_t *data, size_t length)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = length};
}

/* ---- the content ---- */

static void goods_begin(struct goods *goods, struct bytes content)
{
    *goods = (struct goods){.encodings = {MUSTER__ENCODING__INIT, MUSTER__ENCODING__INIT}};
    assert_true(buf_append(&goods->content, content.data, content.length, NULL));
}

/* Another issuer in a row of its own. */
static void change_row(struct goods *goods, unsigned number)
{
    uint8_t *at = goods->content.data + goods->content.length / (TABLES + 1) * (number + 1);
    while (*at != '\n')
        at++;
    for (unsigned i = 1; i <= 3; i++)
        at[-(int)i] = (uint8_t)('a' + (number + i) % 26);
}

static size_t compress(struct bytes content, struct bytes base, int level, struct buf *out)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    size_t room = ZSTD_compressBound(content.length);
    uint8_t *to = buf_reserve(out, room, NULL);
    assert_non_null(zstd);
    assert_non_null(to);
    (void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
    if (base.length > 0) {
        (void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, 21);
        assert_false(ZSTD_isError(ZSTD_CCtx_refPrefix(zstd, base.data, base.length)));
    }
    size_t length = ZSTD_compress2(zstd, to, room, content.data, content.length);
    assert_false(ZSTD_isError(length));
    (void)ZSTD_freeCCtx(zstd);
    out->length = length;
    return length;
}

static Muster__Encoding *way_add(struct world *world, struct goods *goods, struct bytes blob)
{
    Muster__Encoding *way = &goods->encodings[goods->ways];
    world_publish(world, blob, goods->blobs[goods->ways]);
    way->coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD;
    way->blob = binary(goods->blobs[goods->ways++], HASH);
    way->size = blob.length;
    return way;
}

static void send_whole(struct world *world, struct goods *goods)
{
    struct buf blob = {0};
    (void)compress(buf_bytes(&goods->content), bytes_of(NULL, 0), LEVEL, &blob);
    (void)way_add(world, goods, buf_bytes(&blob));
    buf_done(&blob);
}

static void send_delta(struct world *world, struct goods *goods, const struct goods *base)
{
    struct buf blob = {0};
    (void)compress(buf_bytes(&goods->content), buf_bytes(&base->content), LEVEL, &blob);
    Muster__Encoding *way = way_add(world, goods, buf_bytes(&blob));
    memcpy(goods->base, base->sha256, HASH);
    way->coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA;
    way->base_sha256 = binary(goods->base, HASH);
    buf_done(&blob);
}

static void send_pieces(struct world *world, struct goods *goods)
{
    struct buf frame = {0}, list = {0};
    size_t length = compress(buf_bytes(&goods->content), bytes_of(NULL, 0), QUICK_LEVEL, &frame);
    for (size_t at = 0; at < length; at += PIECE_BYTES) {
        uint8_t piece[HASH];
        size_t left = length - at;
        world_publish(world, bytes_of(frame.data + at, left < PIECE_BYTES ? left : PIECE_BYTES),
                      piece);
        assert_true(buf_append(&list, piece, HASH, NULL));
    }
    Muster__Encoding *way = way_add(world, goods, buf_bytes(&list));
    way->piece_bytes = PIECE_BYTES;
    way->pieces_size = length;
    buf_done(&frame);
    buf_done(&list);
}

/* ---- taking it ---- */

static uint8_t in_force[HASH];

static bool is_switched(const struct world *world)
{
    return memcmp(registrar_generation_digest(world->registrar), in_force, HASH) != 0;
}

/* CPU nanoseconds from the manifest until its generation is in force: all, and without the disk. */
struct spent {
    double all, verify;
};

static struct spent take(struct world *world, uint64_t version, struct goods *goods,
                         Muster__DocumentKind kind)
{
    struct buf envelope = {0};
    struct err err = {0};
    Muster__Encoding *list[2] = {&goods->encodings[0], &goods->encodings[1]};
    const struct world_doc doc = {
        .name = "document",
        .version = version,
        .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,
        .kind = kind,
        .sha256 = goods->sha256,
        .length = goods->content.length,
        .encodings = list,
        .encoding_count = goods->ways,
    };
    world_manifest(world, version, &doc, 1, &envelope);
    memcpy(in_force, registrar_generation_digest(world->registrar), HASH);
    int64_t since_ns = cpu_ns(), disk_ns = timed_disk_ns();
    if (!registrar_manifest(world->registrar, buf_bytes(&envelope), &err))
        fail_msg("%s", err.text);
    world_wait(world, is_switched);
    int64_t spent_ns = cpu_ns() - since_ns;
    buf_done(&envelope);
    return (struct spent){.all = (double)spent_ns,
                          .verify = (double)(spent_ns - (timed_disk_ns() - disk_ns))};
}

static double bare_ns(struct bytes content)
{
    double spent[BARE_ROUNDS];
    uint8_t digest[HASH];
    for (size_t i = 0; i < BARE_ROUNDS; i++) {
        int64_t since_ns = cpu_ns();
        sha256(content, digest);
        spent[i] = (double)(cpu_ns() - since_ns);
    }
    return figures_median(spent, BARE_ROUNDS);
}

static double median_of(const struct spent *spent, size_t count, bool all)
{
    double values[TABLES > FIRMWARES ? TABLES : FIRMWARES];
    for (size_t i = 0; i < count; i++)
        values[i] = all ? spent[i].all : spent[i].verify;
    return figures_median(values, count);
}

static void tell(const char *prefix, const struct spent *spent, size_t count, struct bytes content)
{
    char name[64];
    double bare = bare_ns(content);
    double all = median_of(spent, count, true), verify = median_of(spent, count, false);
    printf(
        "# %s: %.2f ms of CPU, %.2f ms of them without the disk; a bare SHA-256 of the %zu bytes "
        "takes %.2f ms\n",
        prefix, all / 1e6, verify / 1e6, content.length, bare / 1e6);
    (void)snprintf(name, sizeof name, "%s.verify_ratio", prefix);
    figure(name, verify / bare, "x");
    (void)snprintf(name, sizeof name, "%s.take_ratio", prefix);
    figure(name, all / bare, "x");
}

/* ---- what is measured ---- */

static void measure_tables(struct world *world, struct bytes table)
{
    struct goods all[2 * TABLES];
    struct spent whole[TABLES], delta[TABLES];
    for (unsigned i = 0; i < 2 * TABLES; i++) {
        goods_begin(&all[i], table);
        change_row(&all[i], i / 2);
        if (i % 2 != 0)
            change_row(&all[i], (i / 2 + 1) % TABLES);
        sha256(buf_bytes(&all[i].content), all[i].sha256);
        send_whole(world, &all[i]);
        if (i % 2 != 0)
            send_delta(world, &all[i], &all[i - 1]);
    }
    for (unsigned i = 0; i < 2 * TABLES; i++) {
        *(i % 2 != 0 ? &delta[i / 2] : &whole[i / 2]) =
            take(world, i + 1, &all[i], MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE);
    }
    tell("sync", whole, TABLES, table);
    tell("sync.changed_row", delta, TABLES, table);
    for (unsigned i = 0; i < 2 * TABLES; i++)
        buf_done(&all[i].content);
}

static void measure_firmware(struct world *world)
{
    struct goods all[FIRMWARES];
    struct spent spent[FIRMWARES];
    for (unsigned i = 0; i < FIRMWARES; i++) {
        goods_begin(&all[i], bytes_of(NULL, 0));
        uint8_t *to = buf_reserve(&all[i].content, FIRMWARE_PIECES * PIECE_BYTES, NULL);
        assert_non_null(to);
        random_bytes(to, FIRMWARE_PIECES * PIECE_BYTES); /* as firmware is: compressed already */
        all[i].content.length = FIRMWARE_PIECES * PIECE_BYTES;
        sha256(buf_bytes(&all[i].content), all[i].sha256);
        send_pieces(world, &all[i]);
    }
    for (unsigned i = 0; i < FIRMWARES; i++)
        spent[i] = take(world, 2 * TABLES + 1 + i, &all[i], MUSTER__DOCUMENT_KIND__DOCUMENT_FILE);
    tell("sync.firmware", spent, FIRMWARES, buf_bytes(&all[0].content));
    for (unsigned i = 0; i < FIRMWARES; i++)
        buf_done(&all[i].content);
}

int main(int argc, char **argv)
{
    struct buf table = {0};
    struct err err = {0};
    void *state = NULL;
    if (argc != 2 || !file_read(argv[1], LIMIT_DOCUMENT_BYTES, &table, &err)) {
        fprintf(stderr, "sync-verify TABLE: %s\n", argc == 2 ? err.text : "which table?");
        return 2;
    }
    log_init("sync-verify", LOG_WARN);
    if (world_set_up(&state) != 0)
        return 1;
    measure_tables(state, buf_bytes(&table));
    measure_firmware(state);
    buf_done(&table);
    return world_tear_down(&state) == 0 ? 0 : 1;
}
