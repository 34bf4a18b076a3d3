/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to a document's content, as a manifest names them and as the fleet is told of them. The
 * first byte chooses. What the fleet takes, every terminal must take. */
#include "agent/ways.h"
#include "agent/header.h"
#include "agent/registrar_content.h"
#include "agent/unfold.h"
#include "fleet/content.h"
#include "fleet/document.h"
#include "fleet/encodings.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "tests/fuzz/ways_hold.h"
#include "tests/fuzz/world.h"

#include <string.h>
#include <zstd.h>

enum { UNFOLDED_MAX = 1 << 20 };

/* ---- from a manifest ---- */

static void try_item(struct bytes in)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_MANIFEST_BYTES};
    struct arena arena = {.limit_bytes = 4 * 1024 * 1024};
    ProtobufCMessage *message = NULL;
    struct registry_item item = {.name = "aid.tsv", .sealed = fuzz_byte(&in) & 1};
    struct buf inlined = {.limit = LIMIT_MANIFEST_BYTES};
    struct ways ways;
    struct err err = {0};
    item.length = fuzz_number(&in, 4) % (LIMIT_CONTENT_BYTES + 1);
    if (unpack(&muster__manifest_item__descriptor, in, &limits, &arena, &message, NULL)) {
        if (ways_read((const Muster__ManifestItem *)message, &item, &inlined, &ways, &err))
            ways_hold(&ways, &item, buf_bytes(&inlined));
        else
            HOLDS(refusal_of(&err) == MUSTER__REFUSAL__REFUSAL_DOCUMENT_ENCODING &&
                  err.code == ERR_INVALID && err.text[0]);
        ways_done(&ways);
    }
    buf_done(&inlined);
    arena_done(&arena);
}

/* ---- as JSON ---- */

static bool same_encoding(const struct fleetdb_encoding *a, const struct fleetdb_encoding *b)
{
    return a->coding == b->coding && memcmp(a->blob, b->blob, sizeof a->blob) == 0 &&
           a->size == b->size && a->delta == b->delta &&
           (!a->delta || memcmp(a->base, b->base, sizeof a->base) == 0) &&
           a->piece_bytes == b->piece_bytes &&
           (a->piece_bytes == 0 || a->pieces_size == b->pieces_size);
}

/* What is read is written, and reads the same; what fits itself can be weighed. */
static void try_json(struct bytes in)
{
    struct fleetdb_encoding list[FLEETDB_ENCODINGS_MAX], again[FLEETDB_ENCODINGS_MAX];
    size_t count = 0, count_again = 0;
    struct err err = {0};
    json_t *object = json_loadb((const char *)in.data, in.length, 0, NULL);
    if (!object)
        return;
    if (encodings_read(object, list, &count, &err)) {
        HOLDS(count > 0 && count <= FLEETDB_ENCODINGS_MAX);
        json_t *written = json_pack("{s:o}", "encodings", encodings_json(list, count));
        HOLDS(written && encodings_read(written, again, &count_again, NULL) &&
              count_again == count);
        for (size_t i = 0; i < count; i++) {
            HOLDS(same_encoding(&list[i], &again[i]));
            if (parcel_check(&list[i], NULL))
                HOLDS(encoding_weight(&list[i]) <= LIMIT_BLOB_BYTES + LIMIT_CONTENT_BYTES);
        }
        const struct fleetdb_encoding *whole = encoding_whole(list, count);
        HOLDS(!whole || !whole->delta);
        json_decref(written);
    } else {
        HOLDS(err.code == ERR_INVALID && err.text[0]);
    }
    json_decref(object);
}

/* ---- both sides ---- */

/* A header that release signed: a stolen key says anything. */
static void try_header(struct bytes in)
{
    struct arena arena = {0}, again = {0};
    const Muster__DocumentHeader *taken = NULL, *held = NULL;
    struct err err = {0};
    if (in.length == 0)
        return;
    struct buf envelope = fuzz_seal("document", "", in);
    if (document_open(fuzz_trust(), buf_bytes(&envelope), &arena, &taken, &err)) {
        const char *device = taken->device[0] != '\0' ? taken->device : "t-01";
        HOLDS(header_open(fuzz_trust(), device, buf_bytes(&envelope), &again, &held, NULL));
        HOLDS(held->length == taken->length && strcmp(held->name, taken->name) == 0);
    } else {
        HOLDS(err.code != ERR_NONE && err.text[0] && err.reason != 0);
    }
    buf_done(&envelope);
    arena_done(&arena);
    arena_done(&again);
}

/* A frame, sent as one blob or as one piece. */
struct sent {
    struct bytes frame, list;
    struct fleetdb_encoding encoding;
    uint8_t piece[32];
};

static void send(struct sent *sent, struct bytes frame, bool pieces)
{
    sent->frame = frame;
    sha256(frame, sent->piece);
    sent->list = bytes_of(sent->piece, sizeof sent->piece);
    sent->encoding = (struct fleetdb_encoding){.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD,
                                               .size = pieces ? sent->list.length : frame.length,
                                               .piece_bytes = pieces ? LIMIT_PIECE_BYTES : 0,
                                               .pieces_size = pieces ? frame.length : 0};
    sha256(pieces ? sent->list : frame, sent->encoding.blob);
}

static bool get(void *ctx, const uint8_t digest[32], struct buf *out, struct err *err)
{
    const struct sent *sent = ctx;
    bool piece = memcmp(digest, sent->piece, sizeof sent->piece) == 0;
    struct bytes blob = piece ? sent->frame : sent->list;
    return buf_append(out, blob.data, blob.length, err);
}

/* The way of it in a manifest, read as a terminal reads it. */
static bool read_way(const struct sent *sent, const struct registry_item *item,
                     struct ways *ret_ways)
{
    Muster__Encoding encoding = MUSTER__ENCODING__INIT, *encodings[] = {&encoding};
    Muster__ManifestItem manifest = MUSTER__MANIFEST_ITEM__INIT;
    struct buf inlined = {0};
    encoding.coding = (Muster__ContentCoding)sent->encoding.coding;
    encoding.blob = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)sent->encoding.blob};
    encoding.size = sent->encoding.size;
    encoding.piece_bytes = sent->encoding.piece_bytes;
    encoding.pieces_size = sent->encoding.pieces_size;
    manifest.encodings = encodings;
    manifest.n_encodings = 1;
    bool good = ways_read(&manifest, item, &inlined, ret_ways, NULL);
    HOLDS(!good || ret_ways->count == 1);
    if (good)
        ways_hold(ret_ways, item, buf_bytes(&inlined));
    buf_done(&inlined);
    return good;
}

/* Made from the store a part at a time, as content too long for memory is. */
static enum content_outcome stream(const struct sent *sent, const struct way *way,
                                   const struct registry_item *item, struct buf *ret_content)
{
    struct content_source source = {.present = true, .last = true, .way = *way};
    struct blob_set lost = {0};
    struct registry *registry = NULL;
    struct file_writer *writer = NULL;
    struct err err = {0};
    char second[FUZZ_PATH_BYTES], path[FUZZ_PATH_BYTES];
    const char *dir = fuzz_dir();
    fuzz_path("second", second);
    fuzz_path("content", path);
    HOLDS(registry_open(dir, second, sha256, &registry, NULL));
    HOLDS(registry_blob_write(registry, sent->piece, sent->frame, NULL));
    HOLDS(way->piece_bytes == 0 || registry_blob_write(registry, way->blob, sent->list, NULL));
    HOLDS(file_writer_open(path, 0600, &writer, NULL));
    const struct content_job job = {
        .registry = registry, .sealing_key = "", .item = item, .source = &source, .lost = &lost};
    enum content_outcome outcome = content_stream(&job, writer, &err);
    HOLDS(lost.count == 0 && (outcome == CONTENT_MADE || outcome == CONTENT_REFUSED));
    HOLDS(outcome == CONTENT_MADE || (err.code == ERR_INVALID && err.reason != 0));
    HOLDS(file_writer_keep(writer, NULL));
    HOLDS(outcome != CONTENT_MADE || file_read(path, UNFOLDED_MAX, ret_content, NULL));
    registry_close(registry);
    return outcome;
}

/* How far the header is off the truth, and whether it is sent in pieces. */
static void try_sent(struct bytes in, uint8_t how)
{
    static uint8_t out[UNFOLDED_MAX];
    struct registry_item item = {.name = "aid.tsv"};
    struct sent sent;
    struct ways ways = {0};
    struct buf content = {0};
    size_t made = ZSTD_decompress(out, sizeof out, in.data, in.length);
    made = ZSTD_isError(made) ? 0 : made;
    item.length = made + (how >> 4 & 3);
    sha256(bytes_of(out, made), item.sha256);
    send(&sent, in, how & 4);
    const struct parcel_source source = {get, &sent};
    const struct content_spec spec = {.length = item.length, .sha256 = item.sha256};
    bool taken = content_unfold(&source, &sent.encoding, &spec, NULL);
    bool read = read_way(&sent, &item, &ways);
    HOLDS(read || !taken);
    if (read) {
        bool streamed = stream(&sent, &ways.list[0], &item, &content) == CONTENT_MADE;
        HOLDS(streamed || !taken);
        HOLDS(!streamed || bytes_equal(buf_bytes(&content), bytes_of(out, made)));
    }
    buf_done(&content);
    ways_done(&ways);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    if (size < 2)
        return 0;
    uint8_t how = fuzz_byte(&in);
    switch (how & 3) {
    case 0:
        try_item(in);
        break;
    case 1:
        try_json(in);
        break;
    case 2:
        try_header(in);
        break;
    default:
        try_sent(in, how);
        break;
    }
    return 0;
}
