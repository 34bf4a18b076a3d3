/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/ways_hold.h"

#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/seal.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* The list that its size promises, and no other, is read. */
static void pieces_hold(const struct way *way)
{
    struct buf list = {.limit = LIMIT_BLOB_BYTES};
    struct pieces *pieces = NULL;
    struct err err = {0};
    uint64_t sum = 0;
    uint8_t *bytes = buf_reserve(&list, (size_t)way->size, NULL);
    HOLDS(bytes);
    memset(bytes, 0x5a, (size_t)way->size);
    HOLDS(pieces_read(way, bytes_of(bytes, (size_t)way->size), &pieces, NULL));
    for (size_t i = 0; i < pieces->count; i++) {
        uint64_t length = pieces_length(pieces, i);
        HOLDS(length > 0 && length <= LIMIT_PIECE_BYTES);
        sum += length;
    }
    HOLDS(sum == way->pieces_size && pieces->count * 32 == way->size);
    free(pieces);
    HOLDS(!pieces_read(way, bytes_of(bytes, (size_t)way->size - 1), &pieces, &err));
    HOLDS(refusal_of(&err) == MUSTER__REFUSAL__REFUSAL_CONTENT_FORM);
    buf_done(&list);
}

static void way_holds(const struct way *way, const struct registry_item *item, struct bytes inlined)
{
    bool delta = way->coding == MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA;
    uint8_t digest[32];
    HOLDS(way->size > 0 && way->size <= LIMIT_BLOB_BYTES);
    HOLDS((way->coding == MUSTER__CONTENT_CODING__CONTENT_CMS) == item->sealed);
    HOLDS(!delta || !ways_is_long(item));
    HOLDS(way->piece_bytes == 0 || way->piece_bytes == LIMIT_PIECE_BYTES);
    HOLDS((way->piece_bytes == 0) == (way->pieces_size == 0));
    HOLDS(!item->sealed || (way->piece_bytes ? way->pieces_size : way->size) == item->length);
    if (way->piece_bytes > 0)
        pieces_hold(way);
    if (!way->inlined)
        return;
    HOLDS(way->data_length <= LIMIT_INLINE_BYTES && way->data_length == way->size);
    HOLDS(way->data_at + way->data_length <= inlined.length && way->piece_bytes == 0);
    sha256(bytes_of(inlined.data + way->data_at, way->data_length), digest);
    HOLDS(memcmp(digest, way->blob, sizeof digest) == 0);
}

static bool no_base(void *ctx, const uint8_t sha256_of_base[32])
{
    (void)ctx, (void)sha256_of_base;
    return false;
}

static bool any_base(void *ctx, const uint8_t sha256_of_base[32])
{
    (void)ctx, (void)sha256_of_base;
    return true;
}

/* One after the other is ruled out: each time it is the cheapest of those left, and in the end
 * there is none. */
static void picks_hold(const struct ways *ways,
                       bool (*has_base)(void *ctx, const uint8_t sha256_of_base[32]), bool deltas)
{
    struct ways left = *ways;
    uint64_t cost = 0;
    size_t picked = 0;
    for (int n; (n = ways_pick(&left, has_base, NULL)) >= 0; picked++) {
        const struct way *way = &left.list[n];
        HOLDS((size_t)n < left.count && (left.ruled_out >> n & 1) == 0);
        HOLDS(deltas || way->coding != MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA);
        HOLDS(way_cost(way) >= cost);
        cost = way_cost(way);
        left.ruled_out |= 1u << n;
    }
    HOLDS(!deltas || picked == ways->count);
    HOLDS(deltas || (picked > 0) == ways->whole);
}

void ways_hold(const struct ways *ways, const struct registry_item *item, struct bytes inlined)
{
    const uint8_t *blob = NULL;
    uint64_t room = ways_room(ways, &blob);
    HOLDS(ways->count <= WAYS_MAX && ways->ruled_out == 0);
    HOLDS((blob != NULL) == (ways->count > 0));
    for (size_t i = 0; i < ways->count; i++) {
        way_holds(&ways->list[i], item, inlined);
        HOLDS(ways->list[i].size + ways->list[i].pieces_size <= room);
    }
    picks_hold(ways, any_base, true);
    picks_hold(ways, no_base, false);
}
