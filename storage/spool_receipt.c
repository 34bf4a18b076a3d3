/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_state.h"

#include <stdio.h>

enum {
    FORGET_SEGMENTS = 1024, /* at most in one call */
    GRACE_STEPS = 16,       /* receipts are told apart by a sixteenth of the grace window */
    VACUUM_PAGES = 2048,    /* given back to the file system in one call */
    VACUUM_MIN_BYTES = 256 * 1024,
    CLOCK_SAVE_MS = 10 * 60 * 1000,
};

struct receipt {
    struct stream *stream;
    struct spool_acked acked; /* what will hold when it is committed */
};

static bool check(const struct spool *spool, const struct stream *stream, uint64_t cumulative,
                  const struct spool_range *ranges, size_t range_count, struct err *err)
{
    uint64_t highest = cumulative;
    for (size_t i = 0; i < range_count; i++) {
        if (ranges[i].first == 0 || ranges[i].first > ranges[i].last)
            return err_set(err, ERR_INVALID, "receipt: a range that is empty or starts at 0");
        if (ranges[i].last > highest)
            highest = ranges[i].last;
    }
    /* Of an earlier incarnation the fleet may know more than is left here: a disk that lost power
     * had not kept what it had promised. What is left is committed all the same. */
    if (highest > stream->last_seq && stream->number == spool->number)
        return err_set(
            err, ERR_REFUSED, "receipt: up to seq %llu of lane %d, where only %llu were given",
            (unsigned long long)highest, stream->lane, (unsigned long long)stream->last_seq);
    return true;
}

/* Rounded up, so that grace is never cut short. 0 means over. */
static int64_t receipt_time(const struct spool *spool)
{
    int64_t step = spool->grace_ms / GRACE_STEPS + 1;
    int64_t now_ms = spool_powered_ms(spool);
    int64_t at_ms = (now_ms + step - 1) / step * step;
    return at_ms > 0 ? at_ms : step;
}

/* Of first..last what the stream has. */
static bool add_held(struct receipt *receipt, uint64_t first, uint64_t last, int64_t at_ms,
                     struct err *err)
{
    if (last > receipt->stream->last_seq)
        last = receipt->stream->last_seq;
    return first > last || spool_acked_add(&receipt->acked, first, last, at_ms, err);
}

static bool merge(struct spool *spool, struct receipt *receipt, uint64_t cumulative,
                  const struct spool_range *ranges, size_t range_count, struct err *err)
{
    int64_t at_ms = receipt_time(spool);
    spool_acked_settle(&receipt->acked, spool_powered_ms(spool) - spool->grace_ms);
    if (!add_held(receipt, 1, cumulative, at_ms, err))
        return false;
    for (size_t i = 0; i < range_count; i++) {
        if (!add_held(receipt, ranges[i].first, ranges[i].last, at_ms, err))
            return false;
    }
    return true;
}

static bool write_receipt(struct spool *spool, void *ctx, struct err *err)
{
    const struct receipt *receipt = ctx;
    return spool_stream_write(spool, receipt->stream, &receipt->acked, err);
}

bool spool_receipt(struct spool *spool, uint64_t incarnation, int lane, uint64_t cumulative,
                   const struct spool_range *ranges, size_t range_count, struct err *err)
{
    struct receipt receipt = {.stream = spool_find(spool, incarnation, lane)};
    if (receipt.stream == NULL)
        return true;
    if (!check(spool, receipt.stream, cumulative, ranges, range_count, err) ||
        !spool_acked_copy(&receipt.stream->acked, &receipt.acked, err))
        return false;
    uint64_t known = spool_acked_total(&receipt.acked);
    bool ok = merge(spool, &receipt, cumulative, ranges, range_count, err);
    bool news = ok && spool_acked_total(&receipt.acked) > known;
    ok = ok && (!news || spool_reserved(spool, write_receipt, &receipt, err));
    if (!ok || !news) {
        spool_acked_done(&receipt.acked);
        return ok;
    }
    spool_acked_done(&receipt.stream->acked);
    receipt.stream->acked = receipt.acked;
    return spool_stream_age(spool, receipt.stream, err);
}

struct forgetting {
    size_t segments_left;
    size_t records;
};

/* The leading segments of first..last that lie in it wholly. */
static bool remove_range(struct spool *spool, struct stream *stream,
                         const struct spool_acked_range *range, struct forgetting *forgetting,
                         struct err *err)
{
    int64_t from = spool_id(stream->lane, stream->number, range->first);
    int64_t last = from - 1;
    uint64_t records = 0;
    size_t segments = 0;
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_LIST);
    sqlite_bind_int(query, ":from", from);
    sqlite_bind_int(query, ":to", spool_id(stream->lane, stream->number, range->last));
    sqlite_bind_int(query, ":limit", (int64_t)forgetting->segments_left);
    bool row = false;
    do {
        if (!sqlite_row(spool->db, query, &row, err))
            return false;
        uint64_t count = row ? sqlite_column_u64(query, 1) : 0;
        if (row && spool_id_seq(sqlite3_column_int64(query, 0)) + count - 1 > range->last) {
            (void)sqlite3_reset(query);
            break;
        }
        if (row) {
            last = sqlite3_column_int64(query, 0);
            records += count;
            segments++;
        }
    } while (row);
    if (segments == 0)
        return true;
    query = sqlite_query(spool->db, SPOOL_SEGMENT_DELETE);
    sqlite_bind_int(query, ":from", from);
    sqlite_bind_int(query, ":to", last);
    stream->removing += records;
    forgetting->segments_left -= segments;
    forgetting->records += records;
    return sqlite_run(spool->db, query, err);
}

static bool stream_closed(const struct spool *spool, const struct stream *stream)
{
    return stream->number != spool->number &&
           stream->removed + stream->removing == stream->last_seq;
}

static bool forget_stream(struct spool *spool, struct stream *stream, struct forgetting *forgetting,
                          struct err *err)
{
    for (size_t i = 0; i < stream->acked.count && forgetting->segments_left > 0; i++) {
        if (stream->acked.ranges[i].at_ms == 0 &&
            !remove_range(spool, stream, &stream->acked.ranges[i], forgetting, err))
            return false;
    }
    if (stream_closed(spool, stream)) {
        sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_STREAM_DELETE);
        sqlite_bind_int(query, ":number", stream->number);
        sqlite_bind_int(query, ":lane", stream->lane);
        return sqlite_run(spool->db, query, err);
    }
    return stream->removing == 0 || spool_stream_write(spool, stream, &stream->acked, err);
}

static void forget_undo(struct spool *spool)
{
    for (size_t i = 0; i < spool->stream_count; i++)
        spool->streams[i].removing = 0;
}

static bool forget(struct spool *spool, void *ctx, struct err *err)
{
    struct forgetting *forgetting = ctx;
    *forgetting = (struct forgetting){.segments_left = FORGET_SEGMENTS};
    forget_undo(spool);
    for (size_t i = 0; i < spool->stream_count; i++) {
        if (!forget_stream(spool, &spool->streams[i], forgetting, err))
            return false;
    }
    if (forgetting->records == 0 && spool_powered_ms(spool) - spool->saved_ms < CLOCK_SAVE_MS)
        return true;
    return spool_clock_save(spool, err);
}

/* Free pages are used again first; only a file that has become much too large shrinks. */
static bool give_back(struct spool *spool, struct err *err)
{
    int64_t free_pages = 0, pages = 0, ignored = 0;
    if (!sqlite_pragma(spool->db, &free_pages, err, "PRAGMA freelist_count") ||
        !sqlite_pragma(spool->db, &pages, err, "PRAGMA page_count"))
        return false;
    if (free_pages < pages / 2 || free_pages * spool->page_bytes < VACUUM_MIN_BYTES)
        return true;
    char sql[64];
    (void)snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
    return sqlite_exec(spool->db, sql, err) &&
           sqlite_pragma(spool->db, &ignored, err, "PRAGMA wal_checkpoint(PASSIVE)");
}

bool spool_forget(struct spool *spool, size_t *ret_removed_records, struct err *err)
{
    struct forgetting forgetting = {0};
    int64_t over_ms = spool_powered_ms(spool) - spool->grace_ms;
    for (size_t i = 0; i < spool->stream_count; i++)
        spool_acked_settle(&spool->streams[i].acked, over_ms);
    if (!spool_reserved(spool, forget, &forgetting, err)) {
        forget_undo(spool);
        return false;
    }
    for (size_t i = spool->stream_count; i > 0; i--) {
        struct stream *stream = &spool->streams[i - 1];
        bool closed = stream_closed(spool, stream);
        stream->removed += stream->removing;
        stream->removing = 0;
        if (closed)
            spool_streams_remove(spool, i - 1);
    }
    *ret_removed_records = forgetting.records;
    struct err why = {0};
    if (!give_back(spool, &why) && why.code != ERR_FULL)
        return err_set(err, why.code, "%s", why.text);
    return spool_ballast(spool, err);
}
