/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SEQ_BITS = 37, NUMBER_BITS = 24 };
static_assert(SPOOL_NUMBER_MAX == (1 << NUMBER_BITS) - 1, "numbers fill their bits");
static_assert(SPOOL_SEQ_MAX == ((uint64_t)1 << SEQ_BITS) - 1, "seqs fill their bits");

int64_t spool_id(int lane, uint32_t number, uint64_t seq)
{
    int64_t worth = SPOOL_LANES + 1 - lane;
    return worth << (NUMBER_BITS + SEQ_BITS) | (int64_t)number << SEQ_BITS | (int64_t)seq;
}

int spool_id_lane(int64_t id)
{
    return SPOOL_LANES + 1 - (int)(id >> (NUMBER_BITS + SEQ_BITS));
}

uint32_t spool_id_number(int64_t id)
{
    return (uint32_t)(id >> SEQ_BITS & SPOOL_NUMBER_MAX);
}

uint64_t spool_id_seq(int64_t id)
{
    return (uint64_t)id & SPOOL_SEQ_MAX;
}

struct stream *spool_find(const struct spool *spool, uint64_t incarnation, int lane)
{
    for (size_t i = spool->stream_count; i > 0; i--) {
        struct stream *stream = &spool->streams[i - 1];
        if (stream->incarnation == incarnation && stream->lane == lane)
            return stream;
    }
    return NULL;
}

struct stream *spool_find_number(const struct spool *spool, uint32_t number, int lane)
{
    for (size_t i = spool->stream_count; i > 0; i--) {
        struct stream *stream = &spool->streams[i - 1];
        if (stream->number == number && stream->lane == lane)
            return stream;
    }
    return NULL;
}

bool spool_streams_reserve(struct spool *spool, struct err *err)
{
    size_t wanted = spool->stream_count + SPOOL_LANES;
    if (wanted <= spool->stream_capacity)
        return true;
    size_t capacity = 2 * wanted;
    struct stream *streams = realloc(spool->streams, capacity * sizeof *streams);
    if (streams == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu streams", capacity);
    spool->streams = streams;
    spool->stream_capacity = capacity;
    return true;
}

void spool_streams_add(struct spool *spool, struct stream stream)
{
    size_t at = spool->stream_count++;
    for (; at > 0 && spool->streams[at - 1].number == stream.number &&
           spool->streams[at - 1].lane > stream.lane;
         at--)
        spool->streams[at] = spool->streams[at - 1];
    spool->streams[at] = stream;
}

void spool_streams_remove(struct spool *spool, size_t index)
{
    spool_acked_done(&spool->streams[index].acked);
    spool->stream_count--;
    memmove(&spool->streams[index], &spool->streams[index + 1],
            (spool->stream_count - index) * sizeof *spool->streams);
}

bool spool_stream_age(struct spool *spool, struct stream *stream, struct err *err)
{
    stream->unsent_ms = spool_powered_ms(spool);
    if (stream_drained(stream))
        return true;
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_POWERED);
    uint64_t seq = stream_first_unsent(stream);
    sqlite_bind_int(query, ":from", spool_id(stream->lane, stream->number, 1));
    sqlite_bind_int(query, ":to", spool_id(stream->lane, stream->number, seq));
    return sqlite_value(spool->db, query, stream->unsent_ms, &stream->unsent_ms, err);
}

bool spool_stream_write(struct spool *spool, const struct stream *stream,
                        const struct spool_acked *acked, struct err *err)
{
    struct buf bytes = {0};
    if (!spool_acked_encode(acked, &bytes, err)) {
        buf_done(&bytes);
        return false;
    }
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_STREAM_UPDATE);
    sqlite_bind_int(query, ":number", stream->number);
    sqlite_bind_int(query, ":lane", stream->lane);
    sqlite_bind_u64(query, ":last_seq", stream->last_seq);
    sqlite_bind_u64(query, ":removed", stream->removed + stream->removing);
    sqlite_bind_bytes(query, ":acked", buf_bytes(&bytes));
    bool ok = sqlite_run(spool->db, query, err);
    buf_done(&bytes);
    return ok;
}

/* The newest segment knows the last seq better than the row, and how late it already was. */
static bool load_tail(struct spool *spool, struct stream *stream, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_LAST);
    sqlite_bind_int(query, ":from", spool_id(stream->lane, stream->number, 1));
    sqlite_bind_int(query, ":to", spool_id(stream->lane, stream->number, SPOOL_SEQ_MAX));
    bool row = false;
    if (!sqlite_row(spool->db, query, &row, err))
        return false;
    if (!row)
        return true;
    uint64_t last = spool_id_seq(sqlite3_column_int64(query, 0)) + sqlite_column_u64(query, 1) - 1;
    if (last > stream->last_seq)
        stream->last_seq = last;
    int64_t powered_ms = sqlite3_column_int64(query, 2);
    if (powered_ms > spool->saved_ms)
        spool->saved_ms = powered_ms;
    (void)sqlite3_reset(query);
    return true;
}

static bool load_rows(struct spool *spool, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_STREAM_LIST);
    bool row = false;
    while (sqlite_row(spool->db, query, &row, err)) {
        if (!row)
            return true;
        struct stream stream = {
            .number = (uint32_t)sqlite3_column_int64(query, 0),
            .lane = sqlite3_column_int(query, 1),
            .incarnation = sqlite_column_u64(query, 2),
            .last_seq = sqlite_column_u64(query, 3),
            .removed = sqlite_column_u64(query, 4),
        };
        if (stream.lane < 1 || stream.lane > SPOOL_LANES || stream.number > SPOOL_NUMBER_MAX) {
            (void)err_set(err, ERR_IO, "spool %s: a stream's row is damaged", spool->path);
            break;
        }
        if (!spool_streams_reserve(spool, err) ||
            !spool_acked_decode(sqlite_column_bytes(query, 5), &stream.acked, err))
            break;
        spool_streams_add(spool, stream);
    }
    (void)sqlite3_reset(query);
    return false;
}

bool spool_streams_load(struct spool *spool, struct err *err)
{
    if (!load_rows(spool, err))
        return false;
    uint32_t newest = 0;
    for (size_t i = 0; i < spool->stream_count; i++) {
        if (!load_tail(spool, &spool->streams[i], err))
            return false;
        newest = spool->streams[i].number;
    }
    if (newest >= SPOOL_NUMBER_MAX)
        return err_set(err, ERR_FULL, "spool %s: no number left for another incarnation",
                       spool->path);
    spool->number = newest + 1;
    spool->incarnation = random_u64();
    return true;
}

struct segment spool_segment_row(sqlite3_stmt *statement)
{
    int64_t id = sqlite3_column_int64(statement, 0);
    return (struct segment){
        .id = id,
        .first_seq = spool_id_seq(id),
        .count = sqlite_column_u64(statement, 1),
        .body = sqlite_column_bytes(statement, 2),
    };
}

bool spool_segment_damaged(const struct spool *spool, int64_t id, struct err *err)
{
    const struct stream *stream = spool_find_number(spool, spool_id_number(id), spool_id_lane(id));
    return err_context(err, "spool %s: segment of incarnation %016" PRIx64 " lane %d seq %" PRIu64,
                       spool->path, stream != NULL ? stream->incarnation : 0, spool_id_lane(id),
                       spool_id_seq(id));
}
