/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_TRUETIME_H
#define FLEET_TRUETIME_H

#include "storage/fleetdb_clock.h"

/*
 * When a record was really made, whatever the terminal's clock said. Pure: no clock, no database.
 *
 * A terminal's time since boot runs on through every setting of its clock, and is off by no more
 * than the crystal's drift. What ties it to true time are facts that hold for any honest terminal,
 * whatever a broker delays or replays:
 *   - what arrived at T was made before T: at most;
 *   - a welcome that says w was asked for before w and came after it: at most then, at least later;
 *   - a boot began after the boot before it had ended.
 * From all facts of a boot together follows an interval for each of its moments; half of it is the
 * stated bound. A boot with no fact of the second kind at or before it has no lower end: unknown.
 * Nothing is more than 1500 days old when it arrives: what would be is unknown too.
 * The clock itself is never evidence: one that stands still while the terminal is off looks right.
 */
enum {
    TRUETIME_PPM = 100, /* a crystal's drift, unless set otherwise */
    TRUETIME_PPM_MAX = 100000,
    TRUETIME_KIND_MAX = FLEETDB_FACTS_MAX / 2,
};

/* Adds what is not known yet; of too many facts the one that tells least goes. False: nothing new,
 * or no moment that can be. */
bool truetime_add(struct fleetdb_boot *boot, struct fleetdb_fact fact, int64_t ppm);
/* A welcome of fleet time `fleet_ms`, asked for and received at these moments of the boot. */
bool truetime_sight(struct fleetdb_boot *boot, int64_t fleet_ms, int64_t asked_ms, int64_t came_ms,
                    int64_t ppm);
/* `after` began when `before`, of which `last_ms` is the latest moment that is known, had ended:
 * what that says of `after`, and of `before`. */
bool truetime_follows(struct fleetdb_boot *after, const struct fleetdb_boot *before,
                      int64_t last_ms, int64_t ppm);
bool truetime_precedes(struct fleetdb_boot *before, const struct fleetdb_boot *after,
                       int64_t last_ms, int64_t ppm);

struct truetime_span {
    int64_t lower_ms, upper_ms; /* INT64_MIN, INT64_MAX: nobody knows */
};
struct truetime_span truetime_at(const struct fleetdb_boot *boot, int64_t boot_ms, int64_t ppm);

struct truetime_record {
    int64_t boot_ms; /* 0: not said */
    int64_t wall_ms; /* as the terminal's clock had it */
    int64_t received_ms;
};
struct truetime_judged {
    int64_t at_ms;
    int64_t bound_ms; /* FLEETDB_BOUND_UNKNOWN: at_ms is a guess */
};
/* `boot` NULL: it is not known. */
struct truetime_judged truetime_judge(const struct fleetdb_boot *boot,
                                      const struct truetime_record *record, int64_t ppm);

/* How much faster than true time the boot's clock runs, give or take `*ret_known_ppb`. False: not
 * seen for long enough. */
bool truetime_drift(const struct fleetdb_boot *boot, int64_t *ret_ppb, int64_t *ret_known_ppb);

#endif
