/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SPOOL_ACKED_H
#define STORAGE_SPOOL_ACKED_H

#include "base/buf.h"

/*
 * What of one stream has been receipted, and when: ascending ranges of seq that do not overlap,
 * each with the powered-on time of its receipt (rounded up by the caller, so that receipts close
 * in time join). at_ms 0: its grace is over. A seq once in keeps the time of its first receipt,
 * or a later one where ranges had to be joined to stay within bounds.
 */
struct spool_acked_range {
    uint64_t first, last;
    int64_t at_ms;
};

struct spool_acked {
    struct spool_acked_range *ranges;
    size_t count;
};

enum { SPOOL_ACKED_MAX = 256 }; /* ranges with a gap between them */

void spool_acked_done(struct spool_acked *acked);
bool spool_acked_copy(const struct spool_acked *from, struct spool_acked *ret_copy,
                      struct err *err) MUSTER_CHECK;
/* Adds first..last. A range beyond the bound is left out: it will be sent and receipted again;
 * one that starts at 1 is always taken. */
bool spool_acked_add(struct spool_acked *acked, uint64_t first, uint64_t last, int64_t at_ms,
                     struct err *err) MUSTER_CHECK;
/* Leaves in what is in `only` too. */
bool spool_acked_keep(struct spool_acked *acked, const struct spool_acked *only,
                      struct err *err) MUSTER_CHECK;
/* Grace is over for what was receipted up to `until_ms`. */
void spool_acked_settle(struct spool_acked *acked, int64_t until_ms);

uint64_t spool_acked_total(const struct spool_acked *acked);
uint64_t spool_acked_highest(const struct spool_acked *acked); /* 0: none */
/* The lowest seq >= from that is not in. */
uint64_t spool_acked_next_out(const struct spool_acked *acked, uint64_t from);
/* The lowest seq >= from that is in; UINT64_MAX: none. */
uint64_t spool_acked_next_in(const struct spool_acked *acked, uint64_t from);

/* For each range three varints: first - last of the one before, last - first, at_ms. */
bool spool_acked_encode(const struct spool_acked *acked, struct buf *ret_bytes,
                        struct err *err) MUSTER_CHECK;
bool spool_acked_decode(struct bytes bytes, struct spool_acked *ret_acked,
                        struct err *err) MUSTER_CHECK;

#endif
