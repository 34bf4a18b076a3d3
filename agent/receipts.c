/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/receipts.h"

#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <string.h>

static bool ascending(Muster__SeqRange *const *ranges, size_t count, uint64_t below,
                      struct spool_range *ret_ranges, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct spool_range range = {.first = ranges[i]->first, .last = ranges[i]->last};
        if (range.first <= below || range.last < range.first)
            return err_set(err, ERR_INVALID,
                           "receipt range %" PRIu64 " to %" PRIu64
                           ": expected ascending ranges beyond %" PRIu64,
                           range.first, range.last, below);
        ret_ranges[i] = range;
        below = range.last;
    }
    return true;
}

bool receipts_ranges(const Muster__StreamReceipt *stream, struct arena *arena,
                     struct spool_range **ret_ranges, struct err *err)
{
    if (stream->lane < 1 || (int)stream->lane > SPOOL_LANES)
        return err_set(err, ERR_INVALID, "receipt for lane %d: expected 1 to %d", (int)stream->lane,
                       (int)SPOOL_LANES);
    struct spool_range *ranges = arena_alloc(arena, (stream->n_ranges + 1) * sizeof *ranges);
    if (ranges == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a receipt's ranges");
    if (!ascending(stream->ranges, stream->n_ranges, stream->cumulative, ranges, err))
        return false;
    *ret_ranges = ranges;
    return true;
}

static uint64_t lost_now(const struct spool *spool)
{
    struct spool_stats stats;
    spool_stats(spool, &stats);
    return stats.records_lost;
}

/* A receipt repeats its refusals until they are settled: only what is new is told on. */
static bool take_refused(struct spool *spool, const Muster__StreamReceipt *stream,
                         struct receipts_taken *taken, struct err *err)
{
    for (size_t i = 0; i < stream->n_refused && taken->lost_count < RECEIPTS_LOST; i++) {
        const struct receipts_range range = {
            .incarnation = stream->incarnation,
            .lane = (int)stream->lane,
            .first = stream->refused[i]->first,
            .last = stream->refused[i]->last,
        };
        if (range.first < 1 || range.last < range.first)
            return err_set(err, ERR_INVALID, "refused range %" PRIu64 " to %" PRIu64, range.first,
                           range.last);
        uint64_t before = lost_now(spool);
        if (!spool_lose(spool, range.incarnation, range.lane, range.first, range.last,
                        SPOOL_LOST_CONFLICT, err))
            return false;
        if (lost_now(spool) > before)
            taken->lost[taken->lost_count++] = range;
    }
    return true;
}

static bool take_stream(struct spool *spool, const Muster__StreamReceipt *stream,
                        struct arena *arena, struct receipts_taken *taken, struct err *err)
{
    struct spool_range *ranges = NULL;
    return receipts_ranges(stream, arena, &ranges, err) &&
           spool_receipt(spool, stream->incarnation, (int)stream->lane, stream->cumulative, ranges,
                         stream->n_ranges, err) &&
           take_refused(spool, stream, taken, err);
}

static bool receipt_check(const Muster__Receipt *receipt, const char *device, int64_t not_before_ms,
                          struct err *err)
{
    if (strcmp(receipt->device, device) != 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DEVICE, ERR_REFUSED, "a receipt for device %s",
                      receipt->device);
    return receipt->issued_ms >= not_before_ms ||
           refuse(err, MUSTER__REFUSAL__REFUSAL_RECEIPT_OLD, ERR_REFUSED,
                  "a receipt from before the fleet's database was restored");
}

/* NULL: refused. */
static const Muster__Receipt *verify(const struct trust *trust, const char *device,
                                     struct bytes envelope, int64_t not_before_ms,
                                     struct arena *arena, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_RECEIPT_BYTES,
                                                .max_elements = 16384};
    struct bytes body;
    ProtobufCMessage *message = NULL;
    if (envelope.length > LIMIT_RECEIPT_BYTES) {
        refuse(err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
               "a receipt of %zu bytes: expected at most %d", envelope.length,
               (int)LIMIT_RECEIPT_BYTES);
        return NULL;
    }
    if (!unseal("receipt", device, envelope, trust_keys(trust, MUSTER__ROLE__ROLE_RECEIPT), &body,
                err) ||
        !unpack(&muster__receipt__descriptor, body, &limits, arena, &message, err)) {
        refuse_unread(err, MUSTER__REFUSAL__REFUSAL_SIGNATURE);
        return NULL;
    }
    const Muster__Receipt *receipt = (const Muster__Receipt *)message;
    return receipt_check(receipt, device, not_before_ms, err) ? receipt : NULL;
}

bool receipts_take(struct spool *spool, const struct trust *trust, const char *device,
                   struct bytes envelope, int64_t not_before_ms, struct arena *arena,
                   struct receipts_taken *ret_taken, struct err *err)
{
    const Muster__Receipt *receipt = verify(trust, device, envelope, not_before_ms, arena, err);
    ret_taken->receipt = receipt;
    ret_taken->lost_count = 0;
    if (receipt == NULL)
        return false;
    bool ok = true;
    for (size_t i = 0; i < receipt->n_streams; i++) {
        struct err one = {0};
        if (take_stream(spool, receipt->streams[i], arena, ret_taken, &one))
            continue;
        if (one.code == ERR_INVALID || one.code == ERR_REFUSED)
            refuse_as(&one, MUSTER__REFUSAL__REFUSAL_RECEIPT_STREAM);
        if ((ok || one.code == ERR_IO) && err != NULL)
            *err = one;
        ok = false;
    }
    return ok;
}
