/* SPDX-License-Identifier: Apache-2.0 */
/* What is given up one by one, and what is asked for again. */
#include "storage/spool_state.h"

struct loss {
    struct stream *stream;
    uint64_t first, last;
    enum spool_loss why;
};

static bool write_loss(struct spool *spool, void *ctx, struct err *err)
{
    const struct loss *loss = ctx;
    return spool_edit(spool, loss->stream, err) &&
           spool_lost_add(&loss->stream->next.lost, &loss->stream->next.acked, loss->first,
                          loss->last, loss->why, err);
}

bool spool_lose(struct spool *spool, uint64_t incarnation, int lane, uint64_t first, uint64_t last,
                enum spool_loss why, struct err *err)
{
    struct loss loss = {spool_find(spool, incarnation, lane), first > 0 ? first : 1, last, why};
    if (why <= SPOOL_HELD || why >= SPOOL_LOSSES)
        return err_set(err, ERR_INVALID, "%d is no reason to give records up", (int)why);
    if (loss.stream == NULL)
        return true;
    if (loss.last > loss.stream->last_seq)
        loss.last = loss.stream->last_seq;
    if (stream_books_next_owed(&loss.stream->now, loss.first) > loss.last)
        return true;
    return spool_reserved(spool, write_loss, &loss, err);
}

struct recall {
    struct stream *stream;
    struct spool_acked kept; /* what the fleet still holds */
};

static bool forgotten(struct recall *recall, uint64_t first, uint64_t last, struct err *err)
{
    struct stream_books *next = &recall->stream->next;
    return first > last ||
           spool_lost_add(&next->lost, &next->acked, first, last, SPOOL_LOST_FORGOTTEN, err);
}

/* Of a range that was receipted, what is in no segment any more. */
static bool recall_range(struct spool *spool, struct recall *recall,
                         const struct spool_acked_range *range, struct err *err)
{
    const struct stream *stream = recall->stream;
    uint64_t at = range->first; /* the lowest seq not looked at yet */
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_SPANS);
    sqlite_bind_int(query, ":low", spool_id(stream->lane, stream->number, 1));
    sqlite_bind_int(query, ":from", spool_id(stream->lane, stream->number, range->first));
    sqlite_bind_int(query, ":to", spool_id(stream->lane, stream->number, range->last));
    bool row = false;
    while (sqlite_row(spool->db, query, &row, err)) {
        if (!row)
            return forgotten(recall, at, range->last, err);
        uint64_t first = spool_id_seq(sqlite3_column_int64(query, 0));
        uint64_t end = first + sqlite_column_u64(query, 1);
        if (!forgotten(recall, at, first - 1, err))
            break;
        at = end > at ? end : at;
    }
    (void)sqlite3_reset(query);
    return false;
}

static bool write_recall(struct spool *spool, void *ctx, struct err *err)
{
    struct recall *recall = ctx;
    struct stream *stream = recall->stream;
    if ((stream->number == spool->number && !spool_slots_empty(spool, stream->lane, err)) ||
        !spool_edit(spool, stream, err) ||
        !spool_acked_keep(&stream->next.acked, &recall->kept, err))
        return false;
    for (size_t i = 0; i < stream->now.acked.count; i++) {
        if (!recall_range(spool, recall, &stream->now.acked.ranges[i], err))
            return false;
    }
    return true;
}

static bool gather_kept(struct recall *recall, uint64_t cumulative,
                        const struct spool_range *ranges, size_t range_count, struct err *err)
{
    uint64_t last = recall->stream->last_seq;
    if (cumulative > 0 &&
        !spool_acked_add(&recall->kept, 1, cumulative < last ? cumulative : last, 0, err))
        return false;
    for (size_t i = 0; i < range_count; i++) {
        const struct spool_range *range = &ranges[i];
        if (range->first == 0 || range->first > range->last)
            return err_set(err, ERR_INVALID, "again: a range that is empty or starts at 0");
        if (range->first <= last &&
            !spool_acked_add(&recall->kept, range->first, range->last < last ? range->last : last,
                             0, err))
            return false;
    }
    return true;
}

static bool covers(const struct spool_acked *kept, const struct spool_acked *acked)
{
    for (size_t i = 0; i < acked->count; i++) {
        if (spool_acked_next_out(kept, acked->ranges[i].first) <= acked->ranges[i].last)
            return false;
    }
    return true;
}

bool spool_again(struct spool *spool, uint64_t incarnation, int lane, uint64_t cumulative,
                 const struct spool_range *ranges, size_t range_count, struct err *err)
{
    struct recall recall = {.stream = spool_find(spool, incarnation, lane)};
    if (recall.stream == NULL)
        return true;
    bool ok = gather_kept(&recall, cumulative, ranges, range_count, err);
    if (ok && !covers(&recall.kept, &recall.stream->now.acked))
        ok = spool_reserved(spool, write_recall, &recall, err);
    spool_acked_done(&recall.kept);
    return ok;
}
