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
    uint64_t damaged_to; /* reading came to from + count .. here and no further; 0: it did not */
};

struct segment spool_segment_row(sqlite3_stmt *statement)
{
    int64_t id = sqlite3_column_int64(statement, 0);
    uint64_t count = sqlite_column_u64(statement, 1);
    return (struct segment){
        .id = id,
        .first_seq = spool_id_seq(id),
        .count = count <= SPOOL_PUSH_RECORDS ? count : SPOOL_PUSH_RECORDS,
        .body = sqlite_column_bytes(statement, 2),
        .codec = sqlite3_column_int64(statement, 3),
    };
}

/* Whether there is room for one more record; at least one always fits. */
static bool fits(const struct reading *reading, size_t length)
{
    return reading->count < reading->max_records &&
           (reading->count == 0 || (reading->bytes <= reading->max_bytes &&
                                    length <= reading->max_bytes - reading->bytes));
}

static bool read_segment(struct reading *reading, const struct segment *segment, struct err *err)
{
    struct spool_frame frames[SPOOL_PUSH_RECORDS];
    uint64_t seq = reading->from + reading->count;
    uint64_t end = segment->first_seq + segment->count; /* behind the last that is wanted */
    if (end > reading->until)
        end = reading->until;
    if (!spool_split(reading->spool, segment, frames, err))
        return false;
    for (; seq < end && !reading->full; seq++) {
        struct bytes record = frames[seq - segment->first_seq].record;
        if (record.length == 0) {
            while (seq < end && frames[seq - segment->first_seq].record.length == 0)
                seq++;
            reading->damaged_to = seq - 1;
            reading->full = true;
        } else if (!fits(reading, record.length)) {
            reading->full = true;
        } else {
            if (!reading->each(reading->ctx, seq, record, err))
                return false;
            reading->count++;
            reading->bytes += record.length;
        }
    }
    return true;
}

/* Segments follow each other here: nothing is removed before it is receipted or lost. */
static bool read_row(struct reading *reading, const struct segment *segment, struct err *err)
{
    uint64_t next = reading->from + reading->count;
    if (segment != NULL && segment->first_seq <= next)
        return segment->first_seq + segment->count <= next || read_segment(reading, segment, err);
    reading->damaged_to = segment != NULL ? segment->first_seq - 1 : reading->until - 1;
    reading->full = true;
    return true;
}

static bool reads_on(const struct reading *reading)
{
    return !reading->full && reading->from + reading->count < reading->until;
}

static bool read_rows(struct reading *reading, const struct stream *stream, struct err *err)
{
    struct sqlite *db = reading->spool->db;
    sqlite3_stmt *query = sqlite_query(db, SPOOL_SEGMENT_FROM);
    sqlite_bind_int(query, ":low", spool_id(stream->lane, stream->number, 1));
    sqlite_bind_int(query, ":from", spool_id(stream->lane, stream->number, reading->from));
    sqlite_bind_int(query, ":to", spool_id(stream->lane, stream->number, reading->until - 1));
    bool row = true, ok = true;
    while (ok && reads_on(reading)) {
        if (!sqlite_row(db, query, &row, err))
            return false;
        if (!row)
            return true;
        struct segment segment = spool_segment_row(query);
        ok = read_row(reading, &segment, err);
    }
    (void)sqlite3_reset(query);
    return ok;
}

/* What is newest stands in slots, and is read without a look at the database. */
static bool read_range(struct reading *reading, const struct stream *stream, struct err *err)
{
    struct spool *spool = reading->spool;
    size_t count = spool_slots_count(spool, stream->number, stream->lane);
    bool rows =
        count == 0 || reading->from < spool_id_seq(spool_slots_entry(spool, stream->lane, 0)->id);
    if (rows && !read_rows(reading, stream, err))
        return false;
    for (size_t i = 0; i < count && reads_on(reading); i++) {
        struct segment segment = spool_slots_segment(spool, stream->lane, i);
        if (!read_row(reading, &segment, err))
            return false;
    }
    return !reads_on(reading) || read_row(reading, NULL, err);
}

/* The declaration that `seq` is in, as far as it is not receipted. */
static struct spool_found lost_from(const struct stream_books *books, uint64_t seq)
{
    const struct spool_lost_range *lost = spool_lost_at(&books->lost, seq);
    if (lost == NULL)
        return (struct spool_found){.first = seq};
    uint64_t acked = spool_acked_next_in(&books->acked, seq);
    uint64_t end = acked <= lost->last ? acked : lost->last + 1;
    return (struct spool_found){.first = seq, .count = end - seq, .lost = lost->why};
}

static bool read_owed(struct reading *reading, struct stream *stream, struct spool_found *ret_found,
                      struct err *err)
{
    uint64_t done = stream_books_next_done(&stream->now, reading->from);
    reading->until = done <= stream->last_seq ? done : stream->last_seq + 1;
    if (!read_range(reading, stream, err))
        return false;
    if (reading->count > 0 || reading->damaged_to == 0) {
        *ret_found = (struct spool_found){.first = reading->from, .count = reading->count};
        return true;
    }
    if (!spool_lose(reading->spool, stream->incarnation, stream->lane, reading->from,
                    reading->damaged_to, SPOOL_LOST_DAMAGED, err))
        return false;
    *ret_found = lost_from(&stream->now, reading->from);
    return true;
}

bool spool_read(struct spool *spool, uint64_t incarnation, int lane, uint64_t from_seq,
                size_t max_records, size_t max_bytes,
                bool (*each)(void *ctx, uint64_t seq, struct bytes body, struct err *err),
                void *ctx, struct spool_found *ret_found, struct err *err)
{
    struct stream *stream = spool_find(spool, incarnation, lane);
    uint64_t first = from_seq > 0 ? from_seq : 1;
    if (stream != NULL)
        first = spool_acked_next_out(&stream->now.acked, first);
    struct spool_found found = {.first = first};
    if (stream != NULL && first <= stream->last_seq) {
        struct reading reading = {
            .spool = spool,
            .from = first,
            .max_records = max_records,
            .max_bytes = max_bytes,
            .each = each,
            .ctx = ctx,
        };
        found = lost_from(&stream->now, first);
        if (found.count == 0 && !read_owed(&reading, stream, &found, err))
            return false;
    }
    *ret_found = found;
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
    if (!spool_split(newest->spool, segment, frames, err))
        return false;
    for (size_t i = segment->count; i > 0 && newest->left > 0; i--) {
        if (frames[i - 1].record.length == 0)
            continue;
        if (!newest->each(newest->ctx, stream != NULL ? stream->incarnation : 0,
                          segment->first_seq + i - 1, frames[i - 1].record, err))
            return false;
        newest->left--;
    }
    return true;
}

static bool newest_of_slots(struct newest *newest, int lane, struct err *err)
{
    struct spool *spool = newest->spool;
    for (size_t i = spool_slots_count(spool, spool->number, lane); i > 0 && newest->left > 0; i--) {
        struct segment segment = spool_slots_segment(spool, lane, i - 1);
        if (!newest_of_segment(newest, &segment, err))
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
    if (!newest_of_slots(&newest, lane, err))
        return false;
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
