/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotency keys of records that are gone: spool_remove puts them by, spool_push looks here when
 * the window names a record that no segment has. */
#include "storage/spool_state.h"

#include <string.h>

bool spool_spent_put(struct buf *keys, uint64_t step, struct bytes key, struct err *err)
{
    enum { VARINT_MAX = 10 };
    uint8_t *out = buf_reserve(keys, VARINT_MAX + 1 + key.length, err);
    if (out == NULL)
        return false;
    size_t length = varint_put(step, out);
    out[length++] = (uint8_t)key.length;
    memcpy(out + length, key.data, key.length);
    keys->length += length + key.length;
    return true;
}

/* Takes the first key off `rest`, adding its distance to *seq; false at the end, or at damage. */
static bool next_key(struct bytes *rest, uint64_t *seq, struct bytes *ret_key)
{
    uint64_t step = 0;
    int head = varint_get(*rest, &step);
    if (head <= 0 || rest->length <= (size_t)head)
        return false;
    size_t length = rest->data[head], begin = (size_t)head + 1;
    if (length == 0 || length > SPOOL_KEY_BYTES || length > rest->length - begin)
        return false;
    *seq += step;
    *ret_key = bytes_of(rest->data + begin, length);
    *rest = bytes_of(rest->data + begin + length, rest->length - begin - length);
    return true;
}

bool spool_spent_write(struct spool *spool, const struct stream *stream, uint64_t first_seq,
                       struct bytes keys, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SPENT_INSERT);
    sqlite_bind_int(query, ":id", spool_id(stream->lane, stream->number, first_seq));
    sqlite_bind_u64(query, ":incarnation", stream->incarnation);
    sqlite_bind_bytes(query, ":keys", keys);
    return sqlite_run(spool->db, query, err);
}

bool spool_spent_has(struct spool *spool, int64_t id, struct bytes key, bool *ret_same,
                     uint64_t *ret_incarnation, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SPENT_AT);
    sqlite_bind_int(query, ":from", spool_id(spool_id_lane(id), spool_id_number(id), 1));
    sqlite_bind_int(query, ":to", id);
    bool row = false;
    *ret_same = false;
    if (!sqlite_row(spool->db, query, &row, err))
        return false;
    if (!row)
        return true;
    uint64_t seq = spool_id_seq(sqlite3_column_int64(query, 0));
    struct bytes rest = sqlite_column_bytes(query, 2), found = {0};
    while (seq <= spool_id_seq(id) && !*ret_same && next_key(&rest, &seq, &found))
        *ret_same = seq == spool_id_seq(id) && bytes_equal(found, key);
    *ret_incarnation = sqlite_column_u64(query, 1);
    (void)sqlite3_reset(query);
    return true;
}

/* Rows that lie wholly behind the window's oldest key of their lane. */
bool spool_spent_trim(struct spool *spool, struct err *err)
{
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        int64_t from = spool_id(lane, 0, 0);
        int64_t to = spool_id(lane, SPOOL_NUMBER_MAX, SPOOL_SEQ_MAX);
        sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SPENT_TRIM);
        sqlite_bind_int(query, ":from", from);
        sqlite_bind_int(query, ":to", to);
        sqlite_bind_int(query, ":oldest", spool_keys_oldest(&spool->keys, from, to));
        if (!sqlite_run(spool->db, query, err))
            return false;
    }
    return true;
}

/* A run ends with the segment that exceeds its bytes, and a key takes three at least. */
enum { ROW_KEYS = SPOOL_SPENT_BYTES / 3 + SPOOL_PUSH_RECORDS + 1 };

/* Keys come oldest first, the window takes newest first. false: it is full. */
static bool load_spent(struct spool *spool, int64_t first_id, struct bytes keys)
{
    struct bytes found[ROW_KEYS];
    uint64_t seqs[ROW_KEYS];
    uint64_t seq = spool_id_seq(first_id);
    size_t count = 0;
    while (count < ROW_KEYS && next_key(&keys, &seq, &found[count]))
        seqs[count++] = seq;
    for (size_t i = count; i > 0; i--) {
        int64_t id = spool_id(spool_id_lane(first_id), spool_id_number(first_id), seqs[i - 1]);
        if (!spool_keys_add_older(&spool->keys, spool_keys_hash(&spool->keys, found[i - 1]), id))
            return false;
    }
    return true;
}

static bool load_segment(struct spool *spool, const struct segment *segment, bool *ret_room,
                         struct err *err)
{
    struct spool_frame frames[SPOOL_PUSH_RECORDS];
    if (!spool_split(spool, segment, frames, err))
        return false;
    for (size_t i = segment->count; i > 0; i--) {
        if (frames[i - 1].key.length > 0 &&
            !spool_keys_add_older(&spool->keys, spool_keys_hash(&spool->keys, frames[i - 1].key),
                                  segment->id + (int64_t)i - 1)) {
            *ret_room = false;
            break;
        }
    }
    return true;
}

/* A row of either table. */
static bool load_row(struct spool *spool, sqlite3_stmt *query, bool *ret_room, struct err *err)
{
    struct segment segment = spool_segment_row(query);
    if (segment.count > 0)
        return load_segment(spool, &segment, ret_room, err);
    *ret_room = load_spent(spool, segment.id, segment.body);
    return true;
}

bool spool_keys_load(struct spool *spool, struct err *err)
{
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_KEYS_NEWEST);
        sqlite_bind_int(query, ":from", spool_id(lane, 0, 0));
        sqlite_bind_int(query, ":to", spool_id(lane, SPOOL_NUMBER_MAX, SPOOL_SEQ_MAX));
        bool room = spool->keys.window > 0, ok = true;
        while (room && ok) {
            bool row = false;
            if (!sqlite_row(spool->db, query, &row, err))
                return false;
            if (!row)
                break;
            ok = load_row(spool, query, &room, err);
        }
        (void)sqlite3_reset(query);
        if (!ok)
            return false;
    }
    return true;
}
