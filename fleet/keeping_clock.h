/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_KEEPING_CLOCK_H
#define FLEET_KEEPING_CLOCK_H

#include "storage/fleetdb_keeping.h"

/*
 * Whether the wall clock says a time to remove records by: one that jumps ahead would make all of
 * them old. Pure. It is held against the time that was believed last and what has passed since by
 * the time since boot; over a start nobody knows how much that was. What is further off, ahead or
 * back, is doubted until it has gone on as time does for a while that musterd runs, counted over
 * restarts.
 */
enum {
    KEEPING_OFF_MS = 24 * 3600 * 1000,  /* further off is doubted */
    KEEPING_HELD_MS = 24 * 3600 * 1000, /* and believed when it has gone on for so long */
    KEEPING_SLIP_MS = 3600 * 1000,      /* which a time does that moves no more than this off */
};

struct keeping_clock {
    struct fleetdb_kept_clock note; /* outlives a restart */
    bool looked;                    /* since the start, the last time at ... */
    int64_t boot_ms;
};

/* Returns whether `wall_ms` may be gone by. */
bool keeping_clock_look(struct keeping_clock *clock, int64_t wall_ms, int64_t boot_ms);
/* For how much longer what is doubted has to go on; 0: nothing is doubted. */
int64_t keeping_clock_left_ms(const struct keeping_clock *clock);

#endif
