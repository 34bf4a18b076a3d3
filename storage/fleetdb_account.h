/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_ACCOUNT_H
#define STORAGE_FLEETDB_ACCOUNT_H

#include "storage/fleetdb_streams.h"

/*
 * The account of every record: which incarnations are closed, what devices say to have open, and
 * the sums. The functions that write are steps of one transaction of the caller's.
 */
enum { FLEETDB_LANES = 3, FLEETDB_LOST_UNKNOWN = 7 };

/* All that is left of an incarnation that neither side has anything open of. */
struct fleetdb_closed {
    uint64_t last[FLEETDB_LANES], lost[FLEETDB_LANES]; /* [lane - 1] */
};
bool fleetdb_closed_read(struct fleetdb *db, int64_t device, uint64_t incarnation, bool *ret_closed,
                         struct fleetdb_closed *ret_what, struct err *err) MUSTER_CHECK;
/* It goes on all the same: its streams get rows again, of which what the totals hold already is
 * marked as counted. */
bool fleetdb_closed_reopen(struct fleetdb *db, int64_t device, uint64_t incarnation, int64_t now_ms,
                           struct err *err) MUSTER_CHECK;

/* The newest hello. */
struct fleetdb_hello {
    uint64_t number; /* of complete ones; 0: none yet */
    uint64_t incarnation, starts;
    int64_t boot_ms, received_ms;
    int64_t reset_ms; /* when `starts` began anew, 0: never; and the newest before that: */
    uint64_t before_incarnation;
    int64_t before_boot_ms;
};
bool fleetdb_hello_read(struct fleetdb *db, int64_t device, bool *ret_any,
                        struct fleetdb_hello *ret_hello, struct err *err) MUSTER_CHECK;
bool fleetdb_hello_write(struct fleetdb *db, int64_t device, const struct fleetdb_hello *hello,
                         struct err *err) MUSTER_CHECK;
/* Whether the incarnation is closed, or anything was heard of it before `then_ms`. */
bool fleetdb_incarnation_older(struct fleetdb *db, int64_t device, uint64_t incarnation,
                               int64_t then_ms, bool *ret_older, struct err *err) MUSTER_CHECK;
/* Closes incarnations that the hello did not name, is not running and of which nothing is missing:
 * one small row and the totals are left. At most `max`; the next hello closes more. */
bool fleetdb_close_incarnations(struct fleetdb *db, int64_t device,
                                const struct fleetdb_hello *hello, size_t max, int64_t now_ms,
                                size_t *ret_closed, struct err *err) MUSTER_CHECK;
/* A receipt says more of the stream than is held, or does not any more. `*ret_news`: it was not
 * marked so within the last `quiet_ms`. */
bool fleetdb_stream_restored(struct fleetdb *db, int64_t stream, bool is, int64_t now_ms,
                             int64_t quiet_ms, bool *ret_news, struct err *err) MUSTER_CHECK;

/* submitted = committed + buffered + lost + unaccounted; in records, cut off at INT64_MAX. */
struct fleetdb_account {
    uint64_t submitted;
    uint64_t committed;
    uint64_t buffered;             /* the device says that it holds them */
    uint64_t lost[FLEETDB_LOSSES]; /* by LossReason; [0] is 0, [7] the unknown tail */
    uint64_t unaccounted;          /* nobody knows where they are */
    uint64_t open, closed;         /* streams */
    uint64_t conflicts;            /* contents sent under an id that holds another */
    uint64_t refused;              /* ids of them that were not given up yet */
};
void fleetdb_account_add(struct fleetdb_account *sum, const struct fleetdb_account *more);

/* By lane, from the intervals. With `check_rows` every record that they say is committed must have
 * its row, or have had it until it was removed by age, and what has none is unaccounted: that reads
 * the index of all of the device's rows. */
bool fleetdb_account_of(struct fleetdb *db, int64_t device, bool check_rows,
                        struct fleetdb_account ret_lanes[FLEETDB_LANES],
                        struct err *err) MUSTER_CHECK;
/* The first `count` devices whose ids come after `after`, ascending by id, from the intervals
 * alone;
 * "" is before all. */
bool fleetdb_account_each(struct fleetdb *db, const char *after, size_t count,
                          bool (*each)(void *ctx, const char *id,
                                       const struct fleetdb_account lanes[FLEETDB_LANES],
                                       struct err *err),
                          void *ctx, struct err *err) MUSTER_CHECK;
/* Of all devices; looks at incomplete streams only. */
bool fleetdb_unaccounted(struct fleetdb *db, uint64_t *ret_records, struct err *err) MUSTER_CHECK;

#endif
