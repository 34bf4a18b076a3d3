/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SPOOL_SALVAGE_H
#define STORAGE_SPOOL_SALVAGE_H

#include "storage/pages.h"
#include "storage/spool_state.h"

/*
 * What is sound in a damaged database, gathered from its raw pages and put into a new one under the
 * old ids. The damaged file lies at PATH.salvage from the moment it gives way until all of it that
 * is sound is committed; a power cut in between begins the work again, and what is there already
 * is left as it is. Nothing is taken whose id or bytes are in doubt:
 * - whose incarnation a number stands for is told by a stream's row with a good sum, else by the
 *   chain, else by the keys that were spent;
 * - a segment's ids must lie between those of its neighbours, and below the chain's ceiling;
 * - a record must have a good checksum;
 * - a receipt is believed only in a row with a good sum: else the records are sent again.
 * What is missing in between is declared by the open that follows.
 */

struct salvage_stream {
    uint64_t incarnation, last_seq, ceiling;
    uint32_t number;
    int lane;
    bool held; /* it has a segment that is put into the new database */
    bool row;  /* it had a row with a good sum: `acked` is to be believed */
    struct spool_acked acked;
};

struct salvage_segment {
    int64_t id;
    struct pages_place place;
    const struct spool_slot_entry *slot; /* where it stood there instead; NULL: in a row */
    uint16_t count;
    bool doubtful;
};

struct salvage_lost {
    int64_t id;
    uint64_t last;
    enum spool_loss why;
};

struct salvage {
    struct spool *spool;
    const struct spool_chain *chain;
    struct pages *pages;
    int64_t powered_max_ms;
    bool another;                   /* it is another device's, or nobody can tell */
    bool told;                      /* it says whose it is */
    struct salvage_stream *streams; /* by number, then lane */
    size_t stream_count, stream_capacity;
    struct salvage_segment *segments; /* by id */
    size_t segment_count, segment_capacity;
    struct spool_slots slots[SPOOL_LANES];
    struct salvage_lost *lost; /* by id */
    size_t lost_count, lost_capacity;
    uint64_t records;
};

enum {
    SALVAGE_ROW_BYTES = SPOOL_PUSH_BYTES + 128 * 1024, /* a segment with its framing */
    SALVAGE_STREAMS = 3 * SPOOL_CHAIN_ENTRIES + 1000,
};

/* spool_salvage_find.c: what is there. Nothing is written. */
bool salvage_find(struct salvage *salvage, struct err *err) MUSTER_CHECK;
struct salvage_stream *salvage_stream_of(const struct salvage *salvage, uint32_t number, int lane);
/* The root page of a table: the same in every database that the same migrations made. */
bool salvage_root(const struct salvage *salvage, const char *table, uint32_t *ret_root,
                  struct err *err) MUSTER_CHECK;
/* spool_salvage_slots.c: those of the newest round that are there with all their parts. */
bool salvage_find_slots(struct salvage *salvage, struct err *err) MUSTER_CHECK;
void salvage_done(struct salvage *salvage);

#endif
