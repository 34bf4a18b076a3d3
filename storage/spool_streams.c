/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_state.h"

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

uint64_t stream_books_next_owed(const struct stream_books *books, uint64_t from)
{
    for (;;) {
        uint64_t seq = spool_acked_next_out(&books->acked, from);
        const struct spool_lost_range *lost = spool_lost_at(&books->lost, seq);
        if (lost == NULL)
            return seq;
        from = lost->last + 1;
    }
}

uint64_t stream_books_next_done(const struct stream_books *books, uint64_t from)
{
    uint64_t acked = spool_acked_next_in(&books->acked, from);
    uint64_t lost = spool_lost_next_in(&books->lost, from);
    return acked < lost ? acked : lost;
}

uint32_t spool_stream_sum(uint32_t number, int lane, uint64_t incarnation, struct bytes acked)
{
    uint8_t head[16];
    for (unsigned i = 0; i < 8; i++) {
        head[i] = (uint8_t)(((uint64_t)number << 8 | (uint64_t)lane) >> (8 * i));
        head[8 + i] = (uint8_t)(incarnation >> (8 * i));
    }
    return spool_segment_crc(spool_segment_crc(0, bytes_of(head, sizeof head)), acked);
}

bool spool_stream_insert(struct spool *spool, uint64_t incarnation, uint32_t number, int lane,
                         struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_STREAM_INSERT);
    sqlite_bind_int(query, ":number", number);
    sqlite_bind_int(query, ":lane", lane);
    sqlite_bind_u64(query, ":incarnation", incarnation);
    sqlite_bind_int(query, ":sum", spool_stream_sum(number, lane, incarnation, bytes_of(NULL, 0)));
    return sqlite_run(spool->db, query, err);
}

static bool damaged(struct spool *spool, const char *what, struct err *err)
{
    spool->damaged = true;
    return err_set(err, ERR_IO, "spool %s: %s is damaged", spool->path, what);
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
        };
        bool summed = sqlite3_column_type(query, 5) != SQLITE_NULL; /* not by earlier versions */
        if (stream.lane < 1 || stream.lane > SPOOL_LANES || stream.number > SPOOL_NUMBER_MAX ||
            stream.last_seq > SPOOL_SEQ_MAX ||
            (summed && sqlite3_column_int64(query, 5) !=
                           spool_stream_sum(stream.number, stream.lane, stream.incarnation,
                                            sqlite_column_bytes(query, 4)))) {
            (void)damaged(spool, "a stream's row", err);
            break;
        }
        struct err why = {0};
        if (!spool_streams_reserve(spool, err))
            break;
        if (!spool_acked_decode(sqlite_column_bytes(query, 4), &stream.now.acked, &why)) {
            spool->damaged = spool->damaged || why.code == ERR_IO;
            (void)err_set(err, why.code, "spool %s: %s", spool->path, why.text);
            break;
        }
        spool_streams_add(spool, stream);
    }
    (void)sqlite3_reset(query);
    return false;
}

/* The row under the statement's `id`; rows of a stream follow each other. */
static struct stream *stream_of(const struct spool *spool, int64_t id, struct stream *before)
{
    int lane = spool_id_lane(id);
    uint32_t number = spool_id_number(id);
    if (before != NULL && before->lane == lane && before->number == number)
        return before;
    return spool_find_number(spool, number, lane);
}

/* The newest segment knows the last seq better than the row, and how late it already was. */
static bool count_segment(struct spool *spool, struct stream *stream, sqlite3_stmt *query)
{
    uint64_t first = spool_id_seq(sqlite3_column_int64(query, 0));
    uint64_t count = sqlite_column_u64(query, 1);
    int64_t powered_ms = sqlite3_column_int64(query, 2);
    if (first == 0 || count == 0 || count > SPOOL_PUSH_RECORDS)
        return false;
    stream->now.held += count;
    if (first + count - 1 > stream->last_seq)
        stream->last_seq = first + count - 1;
    spool->lane_bytes[stream->lane - 1] += sqlite3_column_int64(query, 3);
    if (powered_ms > spool->saved_ms)
        spool->saved_ms = powered_ms;
    return true;
}

static bool load_segments(struct spool *spool, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_SIZES);
    struct stream *stream = NULL;
    int64_t behind = 0; /* the last segment; SQLite itself does not look whether ids ascend */
    bool row = false;
    while (sqlite_row(spool->db, query, &row, err)) {
        if (!row)
            return true;
        int64_t id = sqlite3_column_int64(query, 0);
        stream = stream_of(spool, id, stream);
        bool ascends = id >= behind;
        behind = id + sqlite3_column_int64(query, 1);
        if (!ascends || stream == NULL || !count_segment(spool, stream, query)) {
            (void)damaged(spool, "a segment's row", err);
            break;
        }
    }
    (void)sqlite3_reset(query);
    return false;
}

static uint64_t last_of(const struct spool_lost *lost)
{
    return lost->count > 0 ? lost->ranges[lost->count - 1].last : 0;
}

static bool load_lost(struct spool *spool, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_LOST_LIST);
    struct stream *stream = NULL;
    bool row = false;
    while (sqlite_row(spool->db, query, &row, err)) {
        if (!row)
            return true;
        int64_t id = sqlite3_column_int64(query, 0);
        struct spool_lost_range range = {
            .first = spool_id_seq(id),
            .last = sqlite_column_u64(query, 1),
            .why = (enum spool_loss)sqlite3_column_int(query, 2),
        };
        stream = stream_of(spool, id, stream);
        if (stream == NULL || range.first <= last_of(&stream->now.lost) ||
            range.last < range.first || range.last > stream->last_seq || range.why <= SPOOL_HELD ||
            range.why >= SPOOL_LOSSES) {
            (void)damaged(spool, "a row of what is lost", err);
            break;
        }
        if (!spool_lost_append(&stream->now.lost, range, err))
            break;
    }
    (void)sqlite3_reset(query);
    return false;
}

bool spool_streams_load(struct spool *spool, struct err *err)
{
    memset(spool->lane_bytes, 0, sizeof spool->lane_bytes);
    return load_rows(spool, err) && load_segments(spool, err) && load_lost(spool, err);
}

bool spool_number(struct spool *spool, struct err *err)
{
    uint32_t newest = 0;
    for (size_t i = 0; i < spool->stream_count; i++)
        newest = spool->streams[i].number;
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        int64_t id = 0;
        sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SPENT_LAST);
        sqlite_bind_int(query, ":from", spool_id(lane, 0, 0));
        sqlite_bind_int(query, ":to", spool_id(lane, SPOOL_NUMBER_MAX, SPOOL_SEQ_MAX));
        if (!sqlite_value(spool->db, query, 0, &id, err))
            return false;
        if (spool_id_number(id) > newest)
            newest = spool_id_number(id);
    }
    if (newest >= SPOOL_NUMBER_MAX)
        return err_set(err, ERR_FULL, "spool %s: no number left for another incarnation",
                       spool->path);
    spool->number = newest + 1;
    spool->incarnation = random_u64();
    return true;
}

static void tell(const struct stream *stream, struct spool_stream *ret_stream)
{
    *ret_stream = (struct spool_stream){
        .incarnation = stream->incarnation,
        .lane = stream->lane,
        .last_seq = stream->last_seq,
        .first_unsent = spool_acked_next_out(&stream->now.acked, 1),
        .receipted_to = spool_acked_highest(&stream->now.acked),
    };
}

size_t spool_streams(const struct spool *spool, struct spool_stream *ret_streams, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < spool->stream_count; i++) {
        const struct stream *stream = &spool->streams[i];
        if (spool_acked_next_out(&stream->now.acked, 1) > stream->last_seq)
            continue;
        if (count < max)
            tell(stream, &ret_streams[count]);
        count++;
    }
    return count;
}

size_t spool_unclosed(const struct spool *spool, struct spool_stream *ret_streams, size_t max)
{
    size_t count = 0;
    for (size_t end = spool->stream_count, begin = end; end > 0 && count < max; end = begin) {
        while (begin > 0 && spool->streams[begin - 1].number == spool->streams[end - 1].number)
            begin--;
        for (size_t i = begin; i < end && count < max; i++)
            tell(&spool->streams[i], &ret_streams[count++]);
    }
    return spool->stream_count;
}
