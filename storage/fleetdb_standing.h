/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_STANDING_H
#define STORAGE_FLEETDB_STANDING_H

#include "storage/fleetdb_scope.h"

/*
 * Where a device stood, what its life was and which logical terminals it carried, from when to
 * when: so a sale counts for the shop that it was made in, whatever has been moved since. Spans
 * are half open, [from_ms, to_ms), in true time.
 */

struct fleetdb_stand {
    int64_t standing;                /* its row, > 0 */
    int64_t store, merchant, region; /* rows; 0: none */
    enum fleetdb_life life;
    /* Any other moment of it has the same answer, until something changes: INT64_MIN from the
     * first, INT64_MAX to the newest. */
    int64_t from_ms, to_ms;
};
/* The one in force at `at_ms`; before the device's first one, that one. Every device has one. */
bool fleetdb_standing_at(struct fleetdb *db, int64_t device, int64_t at_ms,
                         struct fleetdb_stand *ret_stand, struct err *err) MUSTER_CHECK;

struct fleetdb_carried {
    int64_t carried;          /* row of device_terminal; 0: the slot carried none */
    int64_t logical_terminal; /* row; 0 */
    int64_t from_ms, to_ms;   /* as above */
};
/* Which logical terminal was in the device's slot. Before the slot's first one, that one, unless
 * another device carried it before. */
bool fleetdb_carried_at(struct fleetdb *db, int64_t device, uint32_t slot, int64_t at_ms,
                        struct fleetdb_carried *ret_carried, struct err *err) MUSTER_CHECK;

/* Who changes something, and what for. `who` NULL: musterd by itself. */
struct fleetdb_change {
    const char *who, *why;
    int64_t now_ms;
};
/* Where a device stands and its life are told in device.store and device.life_cycle, a store's
 * merchant and region in its own row. Whoever has changed one of them calls this in the same
 * transaction: where the newest standing no longer says so, it ends and the next begins, at now_ms
 * or, if the clock went back, where the newest began. Nothing changed: nothing is written. */
bool fleetdb_standing_follow(struct fleetdb *db, int64_t device,
                             const struct fleetdb_change *change, struct err *err) MUSTER_CHECK;
/* The same for all devices of a store. */
bool fleetdb_standing_follow_store(struct fleetdb *db, int64_t store,
                                   const struct fleetdb_change *change,
                                   struct err *err) MUSTER_CHECK;

/* What people are shown of what was in the scope then; texts live during the call only, "" where
 * there is none. */
struct fleetdb_standing_view {
    int64_t standing, from_ms, to_ms; /* to_ms 0: still so */
    const char *life, *merchant, *store, *region, *why, *who;
};
/* Oldest first, but what was over when it began. */
bool fleetdb_standing_each(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                           bool (*each)(void *ctx, const struct fleetdb_standing_view *view,
                                        struct err *err),
                           void *ctx, struct err *err) MUSTER_CHECK;

struct fleetdb_carried_view {
    int64_t from_ms, to_ms; /* to_ms 0: still so */
    const char *device;
    uint32_t slot;
    const char *acquirer, *tid, *mid;
};
/* What a device carried, by slot, and in a slot oldest first; in a part of the fleet, from when to
 * when it did so there. */
bool fleetdb_carried_each(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                          bool (*each)(void *ctx, const struct fleetdb_carried_view *view,
                                       struct err *err),
                          void *ctx, struct err *err) MUSTER_CHECK;
/* Who carried the logical terminals of this TID, by acquirer and MID, then oldest first. */
bool fleetdb_carriers_each(struct fleetdb *db, struct fleetdb_scope scope, const char *tid,
                           bool (*each)(void *ctx, const struct fleetdb_carried_view *view,
                                        struct err *err),
                           void *ctx, struct err *err) MUSTER_CHECK;

#endif
