/* SPDX-License-Identifier: Apache-2.0 */
/* Segments that stand in slots, as spool_slots.h has them: read here once more, from its words. */
#include "tests/oracle/oracle_internal.h"
#include "tests/oracle/segment.h"

#include <stdlib.h>
#include <string.h>

enum { SLOT_BYTES = 473, DATA_AT = 30, DATA_BYTES = SLOT_BYTES - DATA_AT, PER_LANE = 256 };

static uint64_t number_at(const uint8_t *at, int bytes)
{
    return bytes == 0 ? 0 : number_at(at + 1, bytes - 1) << 8 | at[0];
}

/* One slot, taken apart. */
struct slot {
    int64_t place, id;
    uint32_t round;
    int64_t count;
    size_t length, part;
    int codec;
    struct bytes data;
};

static bool take_apart(int64_t place, struct bytes body, struct slot *ret_slot)
{
    uint8_t own[4] = {(uint8_t)place, (uint8_t)(place >> 8), (uint8_t)(place >> 16),
                      (uint8_t)(place >> 24)};
    const uint8_t *in = body.data;
    if (body.length != SLOT_BYTES ||
        segment_sum(segment_sum(0, bytes_of(own, 4)), bytes_of(in + 4, SLOT_BYTES - 4)) !=
            number_at(in, 4))
        return false;
    *ret_slot = (struct slot){
        .place = place,
        .round = (uint32_t)number_at(in + 4, 4),
        .id = (int64_t)number_at(in + 8, 8),
        .count = (int64_t)number_at(in + 24, 2),
        .length = number_at(in + 26, 2),
        .part = in[28],
        .codec = in[29],
        .data = bytes_of(in + DATA_AT, DATA_BYTES),
    };
    return true;
}

/* A segment that is being put together. */
struct piece {
    uint32_t round; /* of the lane */
    int64_t next;   /* the slot that comes next, while the round goes on */
    struct slot first;
    struct buf body;
};

/* Whether the slot belongs to the lane's round. */
static bool belongs(struct piece *piece, const struct slot *slot)
{
    if (slot->place % PER_LANE == 0) {
        piece->round = slot->round;
        piece->next = slot->place;
    }
    bool on = slot->place == piece->next && slot->round == piece->round && slot->count > 0;
    piece->next += on ? 1 : 0;
    return on;
}

static bool add(struct piece *piece, const struct slot *slot, bool *ret_whole, struct err *err)
{
    if (slot->part == 0) {
        piece->first = *slot;
        buf_clear(&piece->body);
    }
    size_t left = slot->length - piece->body.length;
    if (slot->id != piece->first.id || slot->part * DATA_BYTES != piece->body.length ||
        piece->body.length >= slot->length)
        return err_set(err, ERR_IO, "slot %lld is out of place", (long long)slot->place);
    *ret_whole = left <= DATA_BYTES;
    return buf_append(&piece->body, slot->data.data, *ret_whole ? left : DATA_BYTES, err);
}

static bool take_row(sqlite3_stmt *rows, struct piece *piece, bool *ret_whole, struct err *err)
{
    struct slot slot;
    int64_t place = sqlite3_column_int64(rows, 0);
    const void *body = sqlite3_column_blob(rows, 1);
    *ret_whole = false;
    if (!take_apart(place, bytes_of(body, (size_t)sqlite3_column_bytes(rows, 1)), &slot))
        return err_set(err, ERR_IO, "slot %lld is damaged", (long long)place);
    return !belongs(piece, &slot) || add(piece, &slot, ret_whole, err);
}

static bool has_slots(struct oracle *oracle, bool *ret_has, struct err *err)
{
    sqlite3_stmt *ask = NULL;
    if (!oracle_prepare(oracle, "SELECT 1 FROM place.sqlite_schema WHERE name = 'slot'", &ask, err))
        return false;
    *ret_has = sqlite3_step(ask) == SQLITE_ROW;
    (void)sqlite3_finalize(ask);
    return true;
}

bool segment_slots(struct oracle *oracle, segment_of_slots *each, void *ctx, struct err *err)
{
    struct piece piece = {0};
    sqlite3_stmt *rows = NULL;
    bool has = false, whole = false;
    if (!has_slots(oracle, &has, err))
        return false;
    if (!has)
        return true;
    bool ok = oracle_prepare(oracle, "SELECT slot, body FROM place.slot ORDER BY slot", &rows, err);
    while (ok && sqlite3_step(rows) == SQLITE_ROW) {
        ok = take_row(rows, &piece, &whole, err);
        if (ok && whole)
            ok = each(ctx, piece.first.id, piece.first.count, piece.first.codec,
                      buf_bytes(&piece.body), err);
    }
    buf_done(&piece.body);
    if (sqlite3_finalize(rows) != SQLITE_OK && ok)
        ok = oracle_sql_fail(oracle, "slots", err);
    return ok;
}
