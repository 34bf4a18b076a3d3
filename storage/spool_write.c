/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions that change streams, and what they may use when pushes have used up the rest. */
#include "storage/spool_state.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool set_limit(struct spool *spool, int64_t pages, struct err *err)
{
    int64_t ignored = 0;
    if (spool->limit_pages == pages)
        return true;
    if (!sqlite_pragma(spool->db, &ignored, err, "PRAGMA max_page_count=%lld", (long long)pages))
        return false;
    spool->limit_pages = pages;
    return true;
}

bool spool_limit(struct spool *spool, struct err *err)
{
    int64_t pages = spool->push_pages, held = 0;
    if (spool->tight) {
        if (!sqlite_pragma(spool->db, &held, err, "PRAGMA page_count"))
            return false;
        held = held < spool->tight_pages ? spool->tight_pages : held;
        pages = held < pages ? held : pages;
    }
    return set_limit(spool, pages, err);
}

bool spool_ballast(struct spool *spool, struct err *err)
{
    struct stat held;
    spool->tight = false;
    const size_t length = (size_t)spool_ballast_bytes(spool);
    if (stat(spool->ballast_path, &held) == 0 && held.st_size == (off_t)length)
        return true;
    uint8_t *zeros = calloc(1, length);
    if (zeros == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the ballast file");
    struct err why = {0};
    bool ok = file_write(spool->ballast_path, bytes_of(zeros, length), 0600, &why);
    free(zeros);
    spool->tight = !ok;
    return ok || why.code == ERR_FULL || err_set(err, why.code, "%s", why.text);
}

/* A full disk has left pages in the WAL that the database could not grow by. They go first: then
 * the WAL starts over within the space it has. */
bool spool_ballast_release(struct spool *spool)
{
    int64_t ignored = 0;
    if (!file_exists(spool->ballast_path) || !file_remove(spool->ballast_path, NULL))
        return false;
    spool->tight = true;
    /* The WAL needs the rest. Else a small file would keep the newest few results, and give up all
     * that were taken before them. */
    spool->tight_pages = spool_ballast_bytes(spool) / 4 / spool->page_bytes;
    return sqlite_pragma(spool->db, &ignored, NULL, "PRAGMA wal_checkpoint(PASSIVE)");
}

static bool transact(struct spool *spool, bool (*write)(struct spool *, void *, struct err *),
                     void *ctx, struct err *err)
{
    if (!sqlite_begin(spool->db, err))
        return false;
    if (write(spool, ctx, err) && spool_edits_write(spool, err) && spool_slots_mark(spool, err) &&
        sqlite_commit(spool->db, err)) {
        spool_edits_apply(spool);
        spool_slots_apply(spool);
        return true;
    }
    sqlite_rollback(spool->db);
    spool_edits_drop(spool);
    spool_slots_drop(spool);
    return false;
}

bool spool_reserved(struct spool *spool, bool (*write)(struct spool *, void *, struct err *),
                    void *ctx, struct err *err)
{
    struct err why = {0};
    if (!spool_in_place(spool, err) || !set_limit(spool, spool->all_pages, err))
        return false;
    bool done = transact(spool, write, ctx, &why);
    if (!done && why.code == ERR_FULL && spool_ballast_release(spool))
        done = transact(spool, write, ctx, &why);
    /* What is committed is committed: a push sets the limit itself if this fails. */
    (void)!spool_limit(spool, NULL);
    return done || err_set(err, why.code, "%s", why.text);
}

static bool copy_books(const struct stream_books *from, struct stream_books *ret_copy,
                       struct err *err)
{
    struct stream_books copy = *from;
    if (!spool_acked_copy(&from->acked, &copy.acked, err))
        return false;
    if (!spool_lost_copy(&from->lost, &copy.lost, err)) {
        spool_acked_done(&copy.acked);
        return false;
    }
    *ret_copy = copy;
    return true;
}

static void books_done(struct stream_books *books)
{
    spool_acked_done(&books->acked);
    spool_lost_done(&books->lost);
}

bool spool_edit(struct spool *spool, struct stream *stream, struct err *err)
{
    if (stream->changing)
        return true;
    if (!copy_books(&stream->now, &stream->next, err))
        return err_context(err, "spool %s", spool->path);
    stream->changing = true;
    return true;
}

static bool write_row(struct spool *spool, const struct stream *stream, struct err *err)
{
    struct buf acked = {0};
    sqlite3_stmt *query =
        sqlite_query(spool->db, stream->closing ? SPOOL_STREAM_DELETE : SPOOL_STREAM_UPDATE);
    sqlite_bind_int(query, ":number", stream->number);
    sqlite_bind_int(query, ":lane", stream->lane);
    bool ok = stream->closing || spool_acked_encode(&stream->next.acked, &acked, err);
    if (ok && !stream->closing) {
        sqlite_bind_u64(query, ":last_seq", stream->last_seq);
        sqlite_bind_bytes(query, ":acked", buf_bytes(&acked));
        sqlite_bind_int(
            query, ":sum",
            spool_stream_sum(stream->number, stream->lane, stream->incarnation, buf_bytes(&acked)));
    }
    ok = ok && sqlite_run(spool->db, query, err);
    buf_done(&acked);
    return ok;
}

static bool insert_lost(struct spool *spool, const struct stream *stream,
                        const struct spool_lost_range *range, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_LOST_INSERT);
    sqlite_bind_int(query, ":id", spool_id(stream->lane, stream->number, range->first));
    sqlite_bind_u64(query, ":last", range->last);
    sqlite_bind_int(query, ":reason", range->why);
    return sqlite_run(spool->db, query, err);
}

static bool same(const struct spool_lost_range *a, const struct spool_lost_range *b)
{
    return a->first == b->first && a->last == b->last && a->why == b->why;
}

/* Only the rows that differ: a stream may have many. */
static bool write_lost(struct spool *spool, const struct stream *stream, struct err *err)
{
    const struct spool_lost *now = &stream->now.lost, *next = &stream->next.lost;
    size_t head = 0, tail = 0;
    while (head < now->count && head < next->count && same(&now->ranges[head], &next->ranges[head]))
        head++;
    while (tail < now->count - head && tail < next->count - head &&
           same(&now->ranges[now->count - 1 - tail], &next->ranges[next->count - 1 - tail]))
        tail++;
    if (head + tail < now->count) {
        sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_LOST_DELETE);
        uint64_t first = now->ranges[head].first, last = now->ranges[now->count - 1 - tail].last;
        sqlite_bind_int(query, ":from", spool_id(stream->lane, stream->number, first));
        sqlite_bind_int(query, ":to", spool_id(stream->lane, stream->number, last));
        if (!sqlite_run(spool->db, query, err))
            return false;
    }
    for (size_t i = head; i < next->count - tail; i++) {
        if (!insert_lost(spool, stream, &next->ranges[i], err))
            return false;
    }
    return true;
}

/* When the oldest record owed was committed. */
static bool read_age(struct spool *spool, struct stream *stream, struct stream_books *books,
                     struct err *err)
{
    uint64_t seq = stream_books_next_owed(books, 1);
    books->unsent_ms = spool_powered_ms(spool);
    if (seq > stream->last_seq)
        return true;
    int64_t id = spool_id(stream->lane, stream->number, seq);
    for (size_t i = spool_slots_count(spool, stream->number, stream->lane); i > 0; i--) {
        const struct spool_slot_entry *entry = spool_slots_entry(spool, stream->lane, i - 1);
        if (entry->id <= id) {
            books->unsent_ms = entry->powered_ms;
            return true;
        }
    }
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_POWERED);
    sqlite_bind_int(query, ":from", spool_id(stream->lane, stream->number, 1));
    sqlite_bind_int(query, ":to", id);
    return sqlite_value(spool->db, query, books->unsent_ms, &books->unsent_ms, err);
}

bool spool_stream_age(struct spool *spool, struct stream *stream, struct err *err)
{
    return read_age(spool, stream, &stream->now, err);
}

bool spool_edits_write(struct spool *spool, struct err *err)
{
    for (size_t i = 0; i < spool->stream_count; i++) {
        struct stream *stream = &spool->streams[i];
        if (stream->changing &&
            (!write_row(spool, stream, err) || !write_lost(spool, stream, err) ||
             !read_age(spool, stream, &stream->next, err)))
            return false;
    }
    return true;
}

void spool_edits_apply(struct spool *spool)
{
    size_t kept = 0;
    for (size_t i = 0; i < spool->stream_count; i++) {
        struct stream *stream = &spool->streams[i];
        if (stream->changing) {
            books_done(&stream->now);
            stream->now = stream->next;
            stream->next = (struct stream_books){0};
            stream->changing = false;
        }
        if (stream->closing)
            books_done(&stream->now);
        else
            spool->streams[kept++] = *stream;
    }
    spool->stream_count = kept;
    for (size_t i = 0; i < SPOOL_LANES; i++) {
        spool->lane_bytes[i] -= spool->lane_removing[i];
        spool->lane_removing[i] = 0;
    }
}

void spool_edits_drop(struct spool *spool)
{
    for (size_t i = 0; i < spool->stream_count; i++) {
        struct stream *stream = &spool->streams[i];
        if (stream->changing)
            books_done(&stream->next);
        stream->next = (struct stream_books){0};
        stream->changing = stream->closing = false;
    }
    memset(spool->lane_removing, 0, sizeof spool->lane_removing);
}

void spool_streams_done(struct spool *spool)
{
    spool_edits_drop(spool);
    for (size_t i = 0; i < spool->stream_count; i++)
        books_done(&spool->streams[i].now);
    free(spool->streams);
    spool->streams = NULL;
    spool->stream_count = spool->stream_capacity = 0;
}
