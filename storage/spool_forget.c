/* SPDX-License-Identifier: Apache-2.0 */
/* What goes because its time is over: receipted and past its grace, or too old. */
#include "storage/spool_state.h"

#include <stdio.h>

enum {
    /* At most so many segments, or about so many bytes, in one call: payments wait meanwhile. */
    FORGET_SEGMENTS = 256,
    FORGET_BYTES = 1024 * 1024,
    VACUUM_PAGES = 512, /* given back to the file system in one call */
    VACUUM_MIN_BYTES = 256 * 1024,
    CLOCK_SAVE_MS = 10 * 60 * 1000,
};

static bool forget_receipted(struct spool *spool, struct stream *stream, struct removal *removal,
                             struct err *err)
{
    const struct spool_acked *acked = &stream->now.acked;
    for (size_t i = 0; i < acked->count && stream->now.held > 0; i++) {
        const struct spool_acked_range *range = &acked->ranges[i];
        if (range->at_ms == 0 &&
            !spool_remove(spool, stream, range->first, range->last, removal, err))
            return false;
    }
    return true;
}

static bool give_up_old(struct spool *spool, struct stream *stream, struct removal *removal,
                        struct err *err)
{
    int64_t age_ms = spool->lanes[stream->lane - 1].age_ms;
    const struct stream_books *books = stream->changing ? &stream->next : &stream->now;
    int64_t before_ms = spool_powered_ms(spool) - age_ms;
    uint64_t owed = stream_books_next_owed(books, 1);
    if (age_ms == 0 || owed > stream->last_seq || stream->now.unsent_ms >= before_ms)
        return true;
    struct removal old = *removal;
    old.before_ms = before_ms;
    old.why = SPOOL_LOST_AGE;
    bool ok = spool_remove(spool, stream, 1, stream->last_seq, &old, err);
    old.before_ms = removal->before_ms;
    old.why = removal->why;
    *removal = old;
    return ok;
}

static bool settled(const struct spool_acked *acked, const struct spool_lost_range *lost)
{
    for (size_t i = 0; i < acked->count; i++) {
        const struct spool_acked_range *range = &acked->ranges[i];
        if (range->at_ms == 0 && range->first <= lost->last && range->last >= lost->first)
            return true;
    }
    return false;
}

static bool forget_lost(struct spool *spool, struct stream *stream, struct err *err)
{
    bool any = false;
    for (size_t i = 0; i < stream->now.lost.count && !any; i++)
        any = settled(&stream->now.acked, &stream->now.lost.ranges[i]);
    return !any || (spool_edit(spool, stream, err) &&
                    spool_lost_settle(&stream->next.lost, &stream->next.acked, err));
}

/* All of it is receipted, no grace is left, no segment is held. */
static bool done(const struct spool *spool, const struct stream *stream)
{
    const struct stream_books *books = stream->changing ? &stream->next : &stream->now;
    for (size_t i = 0; i < books->acked.count; i++) {
        if (books->acked.ranges[i].at_ms != 0)
            return false;
    }
    return stream->number != spool->number && books->held == 0 &&
           spool_acked_next_out(&books->acked, 1) > stream->last_seq;
}

static bool forget_stream(struct spool *spool, struct stream *stream, struct removal *removal,
                          struct err *err)
{
    if (!forget_receipted(spool, stream, removal, err) ||
        !give_up_old(spool, stream, removal, err) || !forget_lost(spool, stream, err))
        return false;
    if (!done(spool, stream))
        return true;
    stream->closing = true;
    return spool_edit(spool, stream, err);
}

static bool forget(struct spool *spool, void *ctx, struct err *err)
{
    struct removal *removal = ctx;
    *removal = (struct removal){
        .segments_left = FORGET_SEGMENTS, .bytes_left = FORGET_BYTES, .before_ms = INT64_MAX};
    for (size_t i = 0; i < spool->stream_count; i++) {
        if (!forget_stream(spool, &spool->streams[i], removal, err))
            return false;
    }
    bool closing = false;
    for (size_t i = 0; i < spool->stream_count; i++)
        closing = closing || spool->streams[i].closing;
    if (closing && !spool_chain_save(spool, spool->ceiling, err))
        return false;
    if (removal->records > 0 && !spool_spent_trim(spool, err))
        return false;
    if (removal->records == 0 && spool_powered_ms(spool) - spool->saved_ms < CLOCK_SAVE_MS)
        return true;
    return spool_clock_save(spool, err);
}

static bool count_pages(struct spool *spool, int64_t *ret_pages, int64_t *ret_free, struct err *err)
{
    return sqlite_pragma(spool->db, ret_free, err, "PRAGMA freelist_count") &&
           sqlite_pragma(spool->db, ret_pages, err, "PRAGMA page_count");
}

/* A file from before the quota was lowered holds more than pushes may use now. */
static bool keep_quota(struct spool *spool, struct err *err)
{
    int64_t pages = 0, free_pages = 0;
    bool any = false;
    if (!count_pages(spool, &pages, &free_pages, err))
        return false;
    int64_t over = (pages - free_pages - spool->push_pages) * spool->page_bytes;
    if (pages <= spool->all_pages || over <= 0)
        return true;
    return spool_evict(spool, 0, 1, over < FORGET_BYTES ? over : FORGET_BYTES, &any, err);
}

/* Free pages are used again first; only a file that has become much too large shrinks. */
static bool give_back(struct spool *spool, struct err *err)
{
    int64_t free_pages = 0, pages = 0, ignored = 0;
    if (!count_pages(spool, &pages, &free_pages, err))
        return false;
    if (pages <= spool->all_pages &&
        (free_pages < pages / 2 || free_pages * spool->page_bytes < VACUUM_MIN_BYTES))
        return true;
    char sql[64];
    (void)snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
    return sqlite_exec(spool->db, sql, err) &&
           sqlite_pragma(spool->db, &ignored, err, "PRAGMA wal_checkpoint(PASSIVE)");
}

bool spool_forget(struct spool *spool, size_t *ret_removed_records, struct err *err)
{
    struct removal removal = {0};
    int64_t over_ms = spool_powered_ms(spool) - spool->grace_ms;
    for (size_t i = 0; i < spool->stream_count; i++)
        spool_acked_settle(&spool->streams[i].now.acked, over_ms);
    if (!spool_reserved(spool, forget, &removal, err) || !keep_quota(spool, err))
        return false;
    *ret_removed_records = removal.records;
    struct err why = {0};
    if (!give_back(spool, &why) && why.code != ERR_FULL)
        return err_set(err, why.code, "%s", why.text);
    return spool_ballast(spool, err);
}
