/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/receipts.h"

#include "proto/hello.pb-c.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <string.h>

static bool take_stream(struct spool *spool, const Muster__StreamReceipt *stream,
                        struct arena *arena, struct err *err)
{
    if (stream->lane < 1 || (int)stream->lane > SPOOL_LANES)
        return err_set(err, ERR_INVALID, "receipt for lane %d: expected 1 to %d", (int)stream->lane,
                       (int)SPOOL_LANES);
    struct spool_range *ranges = arena_alloc(arena, (stream->n_ranges + 1) * sizeof *ranges);
    if (ranges == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a receipt's ranges");
    uint64_t below = stream->cumulative;
    for (size_t i = 0; i < stream->n_ranges; i++) {
        const Muster__SeqRange *range = stream->ranges[i];
        if (range->first <= below || range->last < range->first)
            return err_set(err, ERR_INVALID,
                           "receipt range %llu to %llu: expected ascending ranges beyond %llu",
                           (unsigned long long)range->first, (unsigned long long)range->last,
                           (unsigned long long)below);
        ranges[i] = (struct spool_range){.first = range->first, .last = range->last};
        below = range->last;
    }
    return spool_receipt(spool, stream->incarnation, (int)stream->lane, stream->cumulative, ranges,
                         stream->n_ranges, err);
}

bool receipts_take(struct spool *spool, const struct trust *trust, const char *device,
                   struct bytes envelope, struct arena *arena, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_RECEIPT_BYTES,
                                                .max_elements = 16384};
    if (envelope.length > LIMIT_RECEIPT_BYTES)
        return err_set(err, ERR_INVALID, "a receipt of %zu bytes: expected at most %d",
                       envelope.length, (int)LIMIT_RECEIPT_BYTES);
    struct bytes body;
    ProtobufCMessage *message = NULL;
    if (!unseal("receipt", device, envelope, trust_keys(trust, MUSTER__ROLE__ROLE_RECEIPT), &body,
                err) ||
        !unpack(&muster__receipt__descriptor, body, &limits, arena, &message, err))
        return false;
    const Muster__Receipt *receipt = (const Muster__Receipt *)message;
    if (strcmp(receipt->device, device) != 0)
        return err_set(err, ERR_REFUSED, "a receipt for device %s", receipt->device);
    bool ok = true;
    for (size_t i = 0; i < receipt->n_streams; i++) {
        struct err one = {0};
        if (!take_stream(spool, receipt->streams[i], arena, &one)) {
            if (ok && err != NULL)
                *err = one;
            ok = false;
        }
    }
    return ok;
}
