/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SPOOL_LOST_H
#define STORAGE_SPOOL_LOST_H

#include "storage/spool.h"
#include "storage/spool_acked.h"

/*
 * What of one stream has been given up, and why: ascending ranges of seq that do not overlap;
 * neighbours differ in their reason. A seq once in keeps its first reason. The declaration of a
 * loss is receipted like a record: that is struct spool_acked's to know.
 */
struct spool_lost_range {
    uint64_t first, last;
    enum spool_loss why;
};

struct spool_lost {
    struct spool_lost_range *ranges;
    size_t count;
};

void spool_lost_done(struct spool_lost *lost);
bool spool_lost_copy(const struct spool_lost *from, struct spool_lost *ret_copy,
                     struct err *err) MUSTER_CHECK;
/* Adds what of first..last is neither in nor in `acked`. */
bool spool_lost_add(struct spool_lost *lost, const struct spool_acked *acked, uint64_t first,
                    uint64_t last, enum spool_loss why, struct err *err) MUSTER_CHECK;
/* Puts a range behind all others, as it was written down. */
bool spool_lost_append(struct spool_lost *lost, struct spool_lost_range range,
                       struct err *err) MUSTER_CHECK;
/* Takes out what of it `acked` has, with its grace over. */
bool spool_lost_settle(struct spool_lost *lost, const struct spool_acked *acked,
                       struct err *err) MUSTER_CHECK;

/* The range that `seq` is in, or NULL. */
const struct spool_lost_range *spool_lost_at(const struct spool_lost *lost, uint64_t seq);
/* The lowest seq >= from that is in; UINT64_MAX: none. */
uint64_t spool_lost_next_in(const struct spool_lost *lost, uint64_t from);
/* How many seqs are in and not in `acked`. */
uint64_t spool_lost_open(const struct spool_lost *lost, const struct spool_acked *acked);

#endif
