/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_state.h"

struct reading {
    struct spool *spool;
    uint64_t from, until; /* what is asked for: from <= seq < until */
    size_t max_records, max_bytes;
    bool (*each)(void *ctx, uint64_t seq, struct bytes body, struct err *err);
    void *ctx;
    size_t count, bytes;
    bool full;
};

static bool read_segment(struct reading *reading, const struct segment *segment, struct err *err)
{
    struct bytes rest = segment->body;
    for (uint64_t i = 0; i < segment->count && !reading->full; i++) {
        struct spool_frame frame;
        uint64_t seq = segment->first_seq + i;
        if (rest.length == 0)
            return err_set(err, ERR_IO, "it has fewer records than it says") ||
                   spool_segment_damaged(reading->spool, segment->id, err);
        if (!spool_segment_next(&rest, &frame, err))
            return spool_segment_damaged(reading->spool, segment->id, err);
        if (seq < reading->from)
            continue;
        reading->full =
            seq >= reading->until || reading->count >= reading->max_records ||
            (reading->count > 0 && frame.record.length > reading->max_bytes - reading->bytes);
        if (reading->full)
            break;
        if (!reading->each(reading->ctx, seq, frame.record, err))
            return false;
        reading->count++;
        reading->bytes += frame.record.length < reading->max_bytes - reading->bytes
                              ? frame.record.length
                              : reading->max_bytes - reading->bytes;
    }
    return true;
}

/* Nothing that is not receipted has ever been removed, so segments follow each other here; a hole
 * would be damage. */
static bool read_range(struct reading *reading, const struct stream *stream, struct err *err)
{
    struct sqlite *db = reading->spool->db;
    sqlite3_stmt *query = sqlite_query(db, SPOOL_SEGMENT_FROM);
    sqlite_bind_int(query, ":low", spool_id(stream->lane, stream->number, 1));
    sqlite_bind_int(query, ":from", spool_id(stream->lane, stream->number, reading->from));
    sqlite_bind_int(query, ":to", spool_id(stream->lane, stream->number, reading->until - 1));
    bool row = false;
    while (!reading->full) {
        if (!sqlite_row(db, query, &row, err))
            return false;
        if (!row)
            return true;
        struct segment segment = spool_segment_row(query);
        if (segment.first_seq > reading->from + reading->count)
            break;
        if (!read_segment(reading, &segment, err)) {
            (void)sqlite3_reset(query);
            return false;
        }
    }
    (void)sqlite3_reset(query);
    return true;
}

bool spool_read(struct spool *spool, uint64_t incarnation, int lane, uint64_t from_seq,
                size_t max_records, size_t max_bytes,
                bool (*each)(void *ctx, uint64_t seq, struct bytes body, struct err *err),
                void *ctx, struct spool_found *ret_found, struct err *err)
{
    const struct stream *stream = spool_find(spool, incarnation, lane);
    uint64_t first = from_seq > 0 ? from_seq : 1;
    struct reading reading = {
        .spool = spool,
        .max_records = max_records,
        .max_bytes = max_bytes,
        .each = each,
        .ctx = ctx,
    };
    if (stream != NULL) {
        first = spool_acked_next_out(&stream->acked, first);
        uint64_t until = spool_acked_next_in(&stream->acked, first);
        reading.from = first;
        reading.until = until <= stream->last_seq ? until : stream->last_seq + 1;
        if (first < reading.until && !read_range(&reading, stream, err))
            return false;
    }
    *ret_found = (struct spool_found){.first = first, .count = reading.count};
    return true;
}

bool spool_next_segment(struct spool *spool, uint64_t incarnation, int lane, uint64_t seq,
                        uint64_t *ret_next, struct err *err)
{
    const struct stream *stream = spool_find(spool, incarnation, lane);
    if (stream == NULL || seq > stream->last_seq) {
        *ret_next = seq;
        return true;
    }
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_NEXT);
    sqlite_bind_int(query, ":from", spool_id(lane, stream->number, seq));
    sqlite_bind_int(query, ":to", spool_id(lane, stream->number, stream->last_seq));
    int64_t id = 0;
    if (!sqlite_value(spool->db, query, 0, &id, err))
        return false;
    *ret_next = id != 0 ? spool_id_seq(id) : stream->last_seq + 1;
    return true;
}

struct newest {
    struct spool *spool;
    size_t left;
    bool (*each)(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body, struct err *err);
    void *ctx;
};

static bool newest_of_segment(struct newest *newest, const struct segment *segment, struct err *err)
{
    const struct stream *stream =
        spool_find_number(newest->spool, spool_id_number(segment->id), spool_id_lane(segment->id));
    struct spool_frame frames[SPOOL_PUSH_RECORDS];
    struct bytes rest = segment->body;
    size_t count = 0;
    while (rest.length > 0 && count < SPOOL_PUSH_RECORDS &&
           spool_segment_next(&rest, &frames[count], NULL))
        count++;
    for (size_t i = count; i > 0 && newest->left > 0; i--, newest->left--) {
        if (!newest->each(newest->ctx, stream != NULL ? stream->incarnation : 0,
                          segment->first_seq + i - 1, frames[i - 1].record, err))
            return false;
    }
    return true;
}

bool spool_newest(struct spool *spool, int lane, size_t max,
                  bool (*each)(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body,
                               struct err *err),
                  void *ctx, struct err *err)
{
    if (lane < 1 || lane > SPOOL_LANES)
        return err_set(err, ERR_INVALID, "lane %d does not exist", lane);
    struct newest newest = {.spool = spool, .left = max, .each = each, .ctx = ctx};
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_NEWEST);
    sqlite_bind_int(query, ":from", spool_id(lane, 0, 0));
    sqlite_bind_int(query, ":to", spool_id(lane, SPOOL_NUMBER_MAX, SPOOL_SEQ_MAX));
    bool row = true, ok = true;
    while (ok && newest.left > 0) {
        ok = sqlite_row(spool->db, query, &row, err);
        if (!ok || !row)
            return ok;
        struct segment segment = spool_segment_row(query);
        ok = newest_of_segment(&newest, &segment, err);
    }
    (void)sqlite3_reset(query);
    return ok;
}
