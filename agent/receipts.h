/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_RECEIPTS_H
#define AGENT_RECEIPTS_H

#include "proto/arena.h"
#include "proto/hello.pb-c.h"
#include "proto/trust.h"
#include "storage/spool.h"

enum { RECEIPTS_LOST = 64 }; /* refused ranges taken from one receipt: the next one repeats them */

struct receipts_range {
    uint64_t incarnation;
    int lane;
    uint64_t first, last;
};

/* What a receipt did beside freeing records. */
struct receipts_taken {
    const Muster__Receipt *receipt; /* as it was signed, in the arena; NULL: not verified */
    size_t lost_count;              /* ranges of records given up by it, and not before */
    struct receipts_range lost[RECEIPTS_LOST];
};

/* Verifies a Receipt envelope against the receipt role and marks in the spool what it says is
 * committed; what it refuses because other content is held under the same ids is given up
 * (SPOOL_LOST_CONFLICT). Nothing is done unless signature, device and form are right, and it was
 * issued at `not_before_ms` or later. A stream whose claim is impossible is refused by itself
 * (ERR_REFUSED after the others were taken). ERR_IO: the spool failed. */
bool receipts_take(struct spool *spool, const struct trust *trust, const char *device,
                   struct bytes envelope, int64_t not_before_ms, struct arena *arena,
                   struct receipts_taken *ret_taken, struct err *err) MUSTER_CHECK;

/* The ranges of a StreamReceipt as the spool wants them; ERR_INVALID unless they ascend beyond
 * `cumulative`, in a lane that there is. */
bool receipts_ranges(const Muster__StreamReceipt *stream, struct arena *arena,
                     struct spool_range **ret_ranges, struct err *err) MUSTER_CHECK;

#endif
