/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_RECEIPTS_H
#define FLEET_RECEIPTS_H

#include "storage/fleetdb_streams.h"

/*
 * The arithmetic of receipts: what is settled of a stream, as `cumulative` and ranges beyond;
 * and when a device is told. Pure: no clock, no database.
 */

/* Adds the seqs first..last (1 <= first <= last). ERR_FULL when that would need more than
 * FLEETDB_RANGES_MAX ranges; the stream is then unchanged. */
bool receipts_add(struct fleetdb_stream *stream, uint64_t first, uint64_t last,
                  struct err *err) MUSTER_CHECK;
/* Takes one seq out again. Where that needs a range too many the highest one is left out: a receipt
 * may say less than is true. */
void receipts_leave_out(struct fleetdb_stream *stream, uint64_t seq);
/* Leaves out `from` and everything above. */
void receipts_cut(struct fleetdb_stream *stream, uint64_t from);
bool receipts_has(const struct fleetdb_stream *stream, uint64_t seq);
/* Whether `seq` is settled, and the last seq up to which the same is true of all. */
bool receipts_span(const struct fleetdb_stream *stream, uint64_t seq, uint64_t *ret_last);
/* Whether all of first..last (first <= last) is. */
bool receipts_has_all(const struct fleetdb_stream *stream, uint64_t first, uint64_t last);

/* Coalescing. A device's first committed batch starts the wait; the receipt goes when the wait is
 * over, or at once when so many batches or records wait. */
struct receipts_policy {
    int64_t coalesce_ms;
    unsigned batches; /* 0: however many */
    uint64_t records; /* 0: however many */
};
enum {
    RECEIPTS_PACE_MAX_S = 6 * 3600,
    /* A device sends so many records ahead of its receipts (four times this) and no more. */
    RECEIPTS_PACED_RECORDS = 2000,
};
/* For a device that pays for each receipt and asked for one in `pace_s` at the most; 0: it did not.
 * A batch that cannot be decoded is worth one sooner. */
struct receipts_policy receipts_paced(const struct receipts_policy *policy, int64_t pace_s,
                                      bool undecodable);

struct receipts_wait {
    unsigned batches; /* committed and not yet receipted, 0: nothing is owed */
    uint64_t records; /* of these */
    int64_t since_ms; /* when the first of them was committed */
};
void receipts_owe(struct receipts_wait *wait, uint64_t records, int64_t now_ms);
/* How long until the receipt should go: 0 now, -1 nothing is owed. */
int64_t receipts_due_ms(const struct receipts_wait *wait, const struct receipts_policy *policy,
                        int64_t now_ms);

#endif
