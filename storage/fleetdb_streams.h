/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_STREAMS_H
#define STORAGE_FLEETDB_STREAMS_H

#include "storage/fleetdb.h"

/*
 * What of each stream (one lane of one incarnation) is settled: committed, or declared lost. The
 * functions that write are steps of one transaction of the caller's.
 */
struct fleetdb_range {
    uint64_t first, last; /* inclusive */
};
enum { FLEETDB_RANGES_MAX = 512, FLEETDB_STREAMS_MAX = 2048 /* open of one device */ };
struct fleetdb_stream {
    int64_t stream; /* 0: without a row: not known yet, or closed */
    uint64_t incarnation;
    int lane;
    bool closed;         /* its incarnation is: 1..cumulative are settled for ever */
    uint64_t last_seq;   /* the highest that is known to have been given */
    uint64_t cumulative; /* every seq 1..cumulative is settled */
    size_t range_count;  /* and these beyond, ascending, not touching */
    struct fleetdb_range ranges[FLEETDB_RANGES_MAX];
};
/* A stream that is not known is an empty one. */
bool fleetdb_stream_read(struct fleetdb *db, int64_t device, uint64_t incarnation, int lane,
                         struct fleetdb_stream *ret_stream, struct err *err) MUSTER_CHECK;
/* Whether the device may have another stream, where FLEETDB_STREAMS_MAX are open at the most. Of
 * which there are only words give way to records: `*ret_gave_way`, one was forgotten for it. */
bool fleetdb_stream_room(struct fleetdb *db, int64_t device, bool *ret_room, bool *ret_gave_way,
                         struct err *err) MUSTER_CHECK;
/* Gives a new stream its row, for which there has to be room; never lowers last_seq. A closed
 * stream cannot be written. */
bool fleetdb_stream_write(struct fleetdb *db, int64_t device, struct fleetdb_stream *stream,
                          int64_t now_ms, struct err *err) MUSTER_CHECK;

struct fleetdb_claim {
    uint64_t incarnation;
    int lane;
    uint64_t last_seq;    /* 0: not said */
    struct bytes boot_id; /* of the boot that made it: 16 bytes, or empty: not said */
    uint64_t listed;      /* number of the hello that says so, 0: it is not one */
};
/* What the device says of a stream, known or not yet. Never lowers anything; a closed incarnation
 * is left alone unless it is said to have given more. `*ret_kept` false: the device has
 * FLEETDB_STREAMS_MAX open already, and nothing but its word for this one. */
bool fleetdb_stream_claim(struct fleetdb *db, int64_t device, const struct fleetdb_claim *claim,
                          int64_t now_ms, bool *ret_kept, struct err *err) MUSTER_CHECK;

/* Seqs that were declared lost, a part of what is settled; ascending, touching only where the
 * reasons differ. More than FLEETDB_LOST_MAX are not taken; records that come all the same may
 * split them, hence the room. */
struct fleetdb_lost {
    uint64_t first, last;
    int64_t reason; /* LossReason, 1..7 */
};
enum { FLEETDB_LOST_MAX = 4096, FLEETDB_LOST_ROOM = FLEETDB_LOST_MAX + 4096, FLEETDB_LOSSES = 8 };
struct fleetdb_losses {
    size_t count;
    struct fleetdb_lost ranges[FLEETDB_LOST_ROOM];
};
bool fleetdb_losses_read(struct fleetdb *db, int64_t stream, struct fleetdb_losses *ret_losses,
                         struct err *err) MUSTER_CHECK;
bool fleetdb_losses_write(struct fleetdb *db, int64_t stream, const struct fleetdb_losses *losses,
                          struct err *err) MUSTER_CHECK;

/* The seqs of a stream under which other content was sent and not given up yet, ascending, at most
 * `max`. */
bool fleetdb_stream_conflicts(struct fleetdb *db, int64_t device, uint64_t incarnation, int lane,
                              uint64_t *ret_seqs, size_t max, size_t *ret_count,
                              struct err *err) MUSTER_CHECK;
/* Whether other content was sent only once for any seq of the stream. However many there are, that
 * costs the same: it is asked for each. */
bool fleetdb_stream_conflict_first(struct fleetdb *db, int64_t device, uint64_t incarnation,
                                   int lane, bool *ret_first, struct err *err) MUSTER_CHECK;
/* The device will not send its content for first..last again. */
bool fleetdb_conflicts_settle(struct fleetdb *db, int64_t device, uint64_t incarnation, int lane,
                              uint64_t first, uint64_t last, int64_t now_ms,
                              struct err *err) MUSTER_CHECK;

#endif
