/* SPDX-License-Identifier: Apache-2.0 */
/* Taking whole segments out, for whatever reason; their idempotency keys stay behind. */
#include "storage/spool_state.h"

/* Segments that follow each other and go together. */
struct run {
    int64_t from, to; /* ids; 0: none */
    uint64_t last_seq;
    uint64_t records;
    int64_t bytes;
    size_t segments;
    struct buf keys;
    uint64_t keys_first; /* seq of the first record in `keys` */
    uint64_t keys_last;
};

static bool take_keys(struct spool *spool, struct run *run, const struct segment *segment,
                      uint64_t from_seq, struct err *err)
{
    struct spool_frame frames[SPOOL_PUSH_RECORDS];
    if (!spool_split(spool, segment, frames, err))
        return false;
    for (uint64_t i = 0; i < segment->count; i++) {
        uint64_t seq = segment->first_seq + i;
        if (frames[i].key.length == 0 || seq < from_seq)
            continue;
        if (run->keys.length == 0)
            run->keys_first = run->keys_last = seq;
        if (!spool_spent_put(&run->keys, seq - run->keys_last, frames[i].key, err))
            return false;
        run->keys_last = seq;
    }
    return true;
}

/* Takes the statement's row into the run; *ret_end when the run ends before or with it. Runs have
 * no gap, so that rows of spent keys do not overlap. */
static bool take_row(struct spool *spool, struct run *run, sqlite3_stmt *query,
                     const struct removal *removal, uint64_t last, int64_t keys_from, bool *ret_end,
                     struct err *err)
{
    int64_t id = sqlite3_column_int64(query, 0);
    uint64_t count = sqlite_column_u64(query, 1);
    uint64_t first_seq = spool_id_seq(id);
    *ret_end = true;
    if (count > SPOOL_PUSH_RECORDS || first_seq + count - 1 > last ||
        (run->segments > 0 && first_seq != run->last_seq + 1) ||
        sqlite3_column_int64(query, 2) >= removal->before_ms)
        return true;
    if (sqlite3_column_type(query, 4) != SQLITE_NULL &&
        !take_keys(spool, run,
                   &(struct segment){.id = id,
                                     .first_seq = first_seq,
                                     .count = count,
                                     .body = sqlite_column_bytes(query, 4),
                                     .codec = sqlite3_column_int64(query, 5)},
                   keys_from > id ? spool_id_seq(keys_from) : first_seq, err))
        return false;
    if (run->segments++ == 0)
        run->from = id;
    run->to = id;
    run->last_seq = first_seq + count - 1;
    run->records += count;
    run->bytes += sqlite3_column_int64(query, 3);
    *ret_end = run->keys.length >= SPOOL_SPENT_BYTES || run->segments >= removal->segments_left ||
               run->bytes >= removal->bytes_left;
    return true;
}

static bool gather(struct spool *spool, const struct stream *stream, uint64_t first, uint64_t last,
                   const struct removal *removal, struct run *run, struct err *err)
{
    int64_t keys_from = spool_keys_oldest(&spool->keys, spool_id(stream->lane, 0, 0),
                                          spool_id(stream->lane, SPOOL_NUMBER_MAX, SPOOL_SEQ_MAX));
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_LIST);
    sqlite_bind_int(query, ":from", spool_id(stream->lane, stream->number, first));
    sqlite_bind_int(query, ":to", spool_id(stream->lane, stream->number, last));
    sqlite_bind_int(query, ":keys", keys_from);
    bool row = true, end = false;
    while (!end) {
        if (!sqlite_row(spool->db, query, &row, err))
            return false;
        if (!row)
            return true;
        if (!take_row(spool, run, query, removal, last, keys_from, &end, err)) {
            (void)sqlite3_reset(query);
            return false;
        }
    }
    (void)sqlite3_reset(query);
    return true;
}

static bool delete_rows(struct spool *spool, const struct run *run, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_DELETE);
    sqlite_bind_int(query, ":from", run->from);
    sqlite_bind_int(query, ":to", run->to);
    return sqlite_run(spool->db, query, err);
}

static bool drop(struct spool *spool, struct stream *stream, const struct run *run, bool in_rows,
                 enum spool_loss why, struct err *err)
{
    if (!spool_edit(spool, stream, err))
        return false;
    struct stream_books *next = &stream->next;
    if (why != SPOOL_HELD && !spool_lost_add(&next->lost, &next->acked, spool_id_seq(run->from),
                                             run->last_seq, why, err))
        return false;
    next->held -= run->records < next->held ? run->records : next->held;
    spool->lane_removing[stream->lane - 1] += run->bytes;
    /* First out, then in: what is written finds the pages that became free. */
    return (!in_rows || delete_rows(spool, run, err)) &&
           (run->keys.length == 0 ||
            spool_spent_write(spool, stream, run->keys_first, buf_bytes(&run->keys), err));
}

static bool remove_run(struct spool *spool, struct stream *stream, uint64_t first, uint64_t last,
                       struct removal *removal, uint64_t *ret_next, struct err *err)
{
    struct run run = {0};
    bool ok = gather(spool, stream, first, last, removal, &run, err);
    if (ok && run.segments > 0)
        ok = drop(spool, stream, &run, true, removal->why, err);
    buf_done(&run.keys);
    if (!ok)
        return false;
    removal->segments_left -= run.segments;
    removal->bytes_left -= run.bytes;
    removal->records += run.records;
    *ret_next = run.segments > 0 ? run.last_seq + 1 : 0;
    return true;
}

static bool remove_rows(struct spool *spool, struct stream *stream, uint64_t first, uint64_t last,
                        struct removal *removal, struct err *err)
{
    uint64_t next = first;
    while (next != 0 && next <= last && removal->segments_left > 0 && removal->bytes_left > 0) {
        if (!remove_run(spool, stream, next, last, removal, &next, err))
            return false;
    }
    return true;
}

/* ---- what stands in slots ---- */

/* How many segments there may go, and their bytes. */
static size_t count_going(const struct spool *spool, const struct stream *stream, uint64_t first,
                          uint64_t last, const struct removal *removal, int64_t *ret_bytes)
{
    size_t going = 0, count = spool_slots_count(spool, stream->number, stream->lane);
    for (size_t i = 0; i < count; i++) {
        const struct spool_slot_entry *entry = spool_slots_entry(spool, stream->lane, i);
        uint64_t seq = spool_id_seq(entry->id);
        if (seq < first || seq + entry->count - 1 > last || entry->powered_ms >= removal->before_ms)
            continue;
        going++;
        *ret_bytes += (int64_t)entry->length;
    }
    return going;
}

/* From one on until there are keys enough for a row; they have no gap. */
static bool gather_slots(struct spool *spool, const struct stream *stream, size_t *at,
                         struct run *run, struct err *err)
{
    int64_t keys_from = spool_keys_oldest(&spool->keys, spool_id(stream->lane, 0, 0),
                                          spool_id(stream->lane, SPOOL_NUMBER_MAX, SPOOL_SEQ_MAX));
    size_t count = spool_slots_count(spool, stream->number, stream->lane);
    while (*at < count && run->keys.length < SPOOL_SPENT_BYTES) {
        const struct segment segment = spool_slots_segment(spool, stream->lane, *at);
        if (run->segments > 0 && segment.first_seq != run->last_seq + 1)
            return true;
        if (keys_from < segment.id + (int64_t)segment.count &&
            !take_keys(spool, run, &segment,
                       keys_from > segment.id ? spool_id_seq(keys_from) : segment.first_seq, err))
            return false;
        if (run->segments++ == 0)
            run->from = segment.id;
        run->to = segment.id;
        run->last_seq = segment.first_seq + segment.count - 1;
        run->records += segment.count;
        run->bytes += (int64_t)segment.body.length;
        (*at)++;
    }
    return true;
}

/* All of them. */
static bool drop_slots(struct spool *spool, struct stream *stream, struct removal *removal,
                       struct err *err)
{
    size_t count = spool_slots_count(spool, stream->number, stream->lane);
    bool ok = true;
    for (size_t at = 0; ok && at < count;) {
        struct run run = {0};
        ok = gather_slots(spool, stream, &at, &run, err) &&
             drop(spool, stream, &run, false, removal->why, err);
        buf_done(&run.keys);
        removal->segments_left -= run.segments;
        removal->bytes_left -= run.bytes;
        removal->records += run.records;
    }
    if (ok)
        spool_slots_gone(spool, stream->lane);
    return ok;
}

bool spool_remove(struct spool *spool, struct stream *stream, uint64_t first, uint64_t last,
                  struct removal *removal, struct err *err)
{
    if (!remove_rows(spool, stream, first, last, removal, err))
        return false;
    int64_t bytes = 0;
    size_t going = count_going(spool, stream, first, last, removal, &bytes);
    if (going == 0 || removal->segments_left == 0 || removal->bytes_left <= 0)
        return true;
    if (going == spool_slots_count(spool, stream->number, stream->lane) &&
        going <= removal->segments_left && bytes <= removal->bytes_left)
        return drop_slots(spool, stream, removal, err);
    /* A part of them goes as rows do; where the disk has no room for rows, all of them or none. */
    if (spool->tight)
        return removal->why == SPOOL_HELD || drop_slots(spool, stream, removal, err);
    return spool_slots_empty(spool, stream->lane, err) &&
           remove_rows(spool, stream, first, last, removal, err);
}
