/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_state.h"

enum { GRACE_STEPS = 16 }; /* receipts are told apart by a sixteenth of the grace window */

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
    if (!spool_edit(spool, receipt->stream, err))
        return false;
    spool_acked_done(&receipt->stream->next.acked);
    return spool_acked_copy(&receipt->acked, &receipt->stream->next.acked, err);
}

bool spool_receipt(struct spool *spool, uint64_t incarnation, int lane, uint64_t cumulative,
                   const struct spool_range *ranges, size_t range_count, struct err *err)
{
    struct receipt receipt = {.stream = spool_find(spool, incarnation, lane)};
    if (receipt.stream == NULL)
        return true;
    if (!check(spool, receipt.stream, cumulative, ranges, range_count, err) ||
        !spool_acked_copy(&receipt.stream->now.acked, &receipt.acked, err))
        return false;
    uint64_t known = spool_acked_total(&receipt.acked);
    bool ok = merge(spool, &receipt, cumulative, ranges, range_count, err);
    if (ok && spool_acked_total(&receipt.acked) > known)
        ok = spool_reserved(spool, write_receipt, &receipt, err);
    spool_acked_done(&receipt.acked);
    return ok;
}
