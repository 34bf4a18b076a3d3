/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_CLOCK_H
#define STORAGE_FLEETDB_CLOCK_H

#include "storage/fleetdb.h"

/*
 * What is known of the true time of devices' boots (fleet/truetime.h does the arithmetic), and the
 * records that are to be judged again when more becomes known. The functions that write are steps
 * of one transaction of the caller's.
 */
struct fleetdb_fact {
    int64_t boot_ms, fleet_ms;
    bool at_least; /* true time at boot_ms was at least fleet_ms; else at most */
};
enum {
    FLEETDB_FACTS_MAX = 32,   /* of a boot */
    FLEETDB_BOOTS_MAX = 256,  /* of a device; of older ones nothing is known any more */
    FLEETDB_BOOTS_AFTER = 8,  /* followed up of one boot */
    FLEETDB_LOOSE_MS = 10000, /* records known better than this are not judged again */
    FLEETDB_BOUND_UNKNOWN = -1,
    FLEETDB_BOUND_NEVER = -2, /* from before times were corrected */
};
struct fleetdb_boot {
    int64_t boot;   /* its row, 0: none */
    int64_t before; /* row of the boot before it, 0: not known */
    size_t fact_count;
    struct fleetdb_fact facts[FLEETDB_FACTS_MAX];
};

/* The row of a boot id, a new one if need be. */
bool fleetdb_boot_find(struct fleetdb *db, int64_t device, struct bytes boot_id, int64_t now_ms,
                       int64_t *ret_boot, struct err *err) MUSTER_CHECK;
bool fleetdb_boot_read(struct fleetdb *db, int64_t boot, struct fleetdb_boot *ret_boot,
                       struct err *err) MUSTER_CHECK;
/* Facts and `before`; the boot's records will be judged again. */
bool fleetdb_boot_write(struct fleetdb *db, const struct fleetdb_boot *boot,
                        struct err *err) MUSTER_CHECK;
/* The boots that name it as the one before, newest first. */
bool fleetdb_boot_after(struct fleetdb *db, int64_t boot, int64_t ret_boots[FLEETDB_BOOTS_AFTER],
                        size_t *ret_count, struct err *err) MUSTER_CHECK;
/* The latest moment of which the boot itself has told: its facts, its events and samples. */
bool fleetdb_boot_last(struct fleetdb *db, int64_t boot, int64_t *ret_boot_ms,
                       struct err *err) MUSTER_CHECK;

bool fleetdb_boot_is(struct fleetdb *db, int64_t boot, struct bytes boot_id, bool *ret_is,
                     struct err *err) MUSTER_CHECK;

/* Which boot an incarnation ran in, 0: not known. The first word counts. */
bool fleetdb_boot_of(struct fleetdb *db, int64_t device, uint64_t incarnation, int64_t *ret_boot,
                     struct err *err) MUSTER_CHECK;
bool fleetdb_boot_claim(struct fleetdb *db, int64_t device, uint64_t incarnation, int64_t boot,
                        struct err *err) MUSTER_CHECK;

/* Records to be judged again: some of one lane of one incarnation. */
struct fleetdb_loose {
    int64_t id, boot_ms, wall_ms, received_ms, at_ms, bound_ms;
    uint64_t seq;
};
struct fleetdb_redo {
    int64_t device; /* whose they are; before: of one behind this one */
    int64_t id, boot;
    int lane;
    size_t count;
    struct fleetdb_loose *loose; /* the caller's, `max` of them */
    size_t max;
};
/* Of the next device that has any, in the order of their rows: what waits longest there. `*ret_any`
 * false: behind that device there is nothing to do. */
bool fleetdb_redo_next(struct fleetdb *db, struct fleetdb_redo *redo, bool *ret_any,
                       struct err *err) MUSTER_CHECK;
bool fleetdb_redo_write(struct fleetdb *db, int lane, const struct fleetdb_loose *judged,
                        struct err *err) MUSTER_CHECK;
/* These were judged. */
bool fleetdb_redo_done(struct fleetdb *db, const struct fleetdb_redo *redo,
                       struct err *err) MUSTER_CHECK;

/* The device's clock as last compared. */
struct fleetdb_device_clock {
    int64_t checked_ms; /* fleet time; 0: never */
    int64_t offset_ms;  /* its clock minus the fleet's */
    int64_t width_ms;   /* give or take half of this */
    int64_t drift_ppb, drift_known_ppb;
    int64_t jumps, jump_ms, jumped_ms;
};
bool fleetdb_clock_read(struct fleetdb *db, int64_t device, struct fleetdb_device_clock *ret_clock,
                        struct err *err) MUSTER_CHECK;
bool fleetdb_clock_write(struct fleetdb *db, int64_t device,
                         const struct fleetdb_device_clock *clock, struct err *err) MUSTER_CHECK;

#endif
