/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ways.h"

#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/seal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_BYTES = 256, /* a blob's topic asked for, acknowledged and let go, and its headers */
    FRAME_SLACK_BYTES = LIMIT_FRAME_SLACK_BYTES,
};

bool ways_is_long(const struct registry_item *item)
{
    return item->length > LIMIT_DOCUMENT_BYTES;
}

static bool contradicts(struct err *err, const struct registry_item *item, const char *what)
{
    return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_ENCODING, ERR_INVALID,
                  "%s: an encoding contradicts itself: %s", item->name, what);
}

static uint64_t piece_count(const struct way *way)
{
    return (way->pieces_size + way->piece_bytes - 1) / way->piece_bytes;
}

/* What the coding unfolds is not much longer than what it unfolds to. */
static bool pieces_check(const struct way *way, const struct registry_item *item, struct err *err)
{
    if (way->inlined)
        return contradicts(err, item, "a list of pieces that is inlined");
    if (way->piece_bytes != LIMIT_PIECE_BYTES)
        return contradicts(err, item, "the size of a piece");
    if (way->pieces_size == 0 ||
        way->pieces_size > item->length + item->length / 128 + FRAME_SLACK_BYTES)
        return contradicts(err, item, "the size of all pieces");
    return way->size == 32 * piece_count(way) || contradicts(err, item, "the size of its list");
}

static bool sealed_check(const struct way *way, const struct registry_item *item, struct err *err)
{
    bool cms = way->coding == MUSTER__CONTENT_CODING__CONTENT_CMS;
    if (cms != item->sealed)
        return contradicts(err, item,
                           cms ? "sealed, and the document is public"
                               : "not sealed, and the document is");
    if (cms && (way->piece_bytes > 0 ? way->pieces_size : way->size) != item->length)
        return contradicts(err, item, "another length than the header says");
    return true;
}

static bool encoding_read(const Muster__Encoding *encoding, const struct registry_item *item,
                          struct buf *inlined, struct way *way, struct err *err)
{
    bool delta = encoding->coding == MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA;
    uint8_t digest[32];
    *way = (struct way){.coding = encoding->coding,
                        .size = encoding->size,
                        .piece_bytes = encoding->piece_bytes,
                        .pieces_size = encoding->pieces_size,
                        .inlined = encoding->data.len > 0};
    if (encoding->blob.len != 32 || encoding->size == 0 || encoding->size > LIMIT_BLOB_BYTES)
        return contradicts(err, item, "the hash or size of its blob");
    if (encoding->base_sha256.len != (delta ? 32U : 0U))
        return contradicts(err, item, "the hash of its base");
    memcpy(way->blob, encoding->blob.data, 32);
    if (delta)
        memcpy(way->base, encoding->base_sha256.data, 32);
    if (!sealed_check(way, item, err) ||
        ((way->piece_bytes > 0 || way->pieces_size > 0) && !pieces_check(way, item, err)))
        return false;
    if (!way->inlined)
        return true;
    if (encoding->data.len > LIMIT_INLINE_BYTES || encoding->data.len != encoding->size)
        return contradicts(err, item, "the length of what is inlined");
    sha256(bytes_of(encoding->data.data, encoding->data.len), digest);
    if (memcmp(digest, way->blob, sizeof digest) != 0)
        return contradicts(err, item, "the hash of what is inlined");
    way->data_at = inlined->length;
    way->data_length = encoding->data.len;
    return buf_append(inlined, encoding->data.data, encoding->data.len, err);
}

static bool is_known(Muster__ContentCoding coding)
{
    return coding == MUSTER__CONTENT_CODING__CONTENT_ZSTD ||
           coding == MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA ||
           coding == MUSTER__CONTENT_CODING__CONTENT_CMS;
}

bool ways_read(const Muster__ManifestItem *encodings, const struct registry_item *item,
               struct buf *inlined, struct ways *ret_ways, struct err *err)
{
    *ret_ways = (struct ways){0};
    for (size_t i = 0; i < encodings->n_encodings && ret_ways->count < WAYS_MAX; i++) {
        const Muster__Encoding *encoding = encodings->encodings[i];
        bool delta = encoding->coding == MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA;
        struct way *way = &ret_ways->list[ret_ways->count];
        if (!is_known(encoding->coding))
            continue;
        if (!encoding_read(encoding, item, inlined, way, err))
            return false;
        if (delta && ways_is_long(item)) /* its base would have to be in memory */
            continue;
        ret_ways->whole = ret_ways->whole || !delta;
        ret_ways->count++;
    }
    return true;
}

void ways_done(struct ways *ways)
{
    free(ways->pieces);
    *ways = (struct ways){0};
}

uint64_t way_cost(const struct way *way)
{
    if (way->inlined)
        return 0;
    if (way->piece_bytes == 0)
        return way->size + MESSAGE_BYTES;
    return way->size + way->pieces_size + (1 + piece_count(way)) * MESSAGE_BYTES;
}

int ways_pick(const struct ways *ways, bool (*has_base)(void *ctx, const uint8_t sha256[32]),
              void *ctx)
{
    int best = -1;
    for (size_t i = 0; i < ways->count; i++) {
        const struct way *way = &ways->list[i];
        if ((ways->ruled_out >> i & 1) != 0 ||
            (best >= 0 && way_cost(way) >= way_cost(&ways->list[best])))
            continue;
        if (way->coding != MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA || has_base(ctx, way->base))
            best = (int)i;
    }
    return best;
}

uint64_t ways_room(const struct ways *ways, const uint8_t **ret_blob)
{
    uint64_t most = 0;
    for (size_t i = 0; i < ways->count; i++) {
        const struct way *way = &ways->list[i];
        uint64_t room = way->size + way->pieces_size;
        if (room < most)
            continue;
        most = room;
        *ret_blob = way->blob;
    }
    return most;
}

bool pieces_read(const struct way *way, struct bytes list, struct pieces **ret_pieces,
                 struct err *err)
{
    uint64_t count = piece_count(way);
    if (list.length != 32 * count)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_FORM, ERR_INVALID,
                      "a list of pieces has %zu bytes, %" PRIu64 " are expected", list.length,
                      32 * count);
    struct pieces *pieces = malloc(sizeof *pieces + list.length);
    if (pieces == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a list of %" PRIu64 " pieces", count);
    pieces->piece_bytes = way->piece_bytes;
    pieces->bytes = way->pieces_size;
    pieces->count = (size_t)count;
    memcpy(pieces->sha256, list.data, list.length);
    *ret_pieces = pieces;
    return true;
}

uint64_t pieces_length(const struct pieces *pieces, size_t piece)
{
    uint64_t before = (uint64_t)piece * pieces->piece_bytes;
    uint64_t left = pieces->bytes - before;
    return left < pieces->piece_bytes ? left : pieces->piece_bytes;
}
