/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_SCOPE_H
#define STORAGE_FLEETDB_SCOPE_H

#include "storage/fleetdb.h"

/*
 * The part of the fleet that somebody may see and change: all of it, or the devices that stand now
 * in a store of the merchants, or of the regions, that his token names (table token_place).
 */
struct fleetdb_scope {
    int64_t token; /* 0: the whole fleet */
};

static inline bool fleetdb_scope_is_whole(struct fleetdb_scope scope)
{
    return scope.token == 0;
}
/* `device` by its row. A device that stands nowhere is in the whole fleet's scope alone. */
bool fleetdb_scope_holds(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                         bool *ret_holds, struct err *err) MUSTER_CHECK;
/* The same by the device's id; of one that is not known it says no. */
bool fleetdb_scope_holds_id(struct fleetdb *db, struct fleetdb_scope scope, const char *id,
                            bool *ret_holds, struct err *err) MUSTER_CHECK;
/* Or held it at any time, so that what it sold then is in the scope's results. */
bool fleetdb_scope_held_id(struct fleetdb *db, struct fleetdb_scope scope, const char *id,
                           bool *ret_held, struct err *err) MUSTER_CHECK;
/* Whether it stood there at that moment: what happened then is the scope's to know, for ever, and
 * is nobody else's. */
bool fleetdb_scope_held_at(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                           int64_t at_ms, bool *ret_held, struct err *err) MUSTER_CHECK;
/* Whether content is of a document that is for all, or for a device there; by its SHA-256. */
bool fleetdb_scope_holds_blob(struct fleetdb *db, struct fleetdb_scope scope,
                              const uint8_t sha256[32], bool *ret_holds,
                              struct err *err) MUSTER_CHECK;
/* Since when it stands in the scope without a break; 0: the scope is the whole fleet. What was
 * before is not the scope's to know. */
bool fleetdb_scope_since(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                         int64_t *ret_since_ms, struct err *err) MUSTER_CHECK;
/* Whether all that is counted over its life (records, losses, bytes) may be of that time. */
bool fleetdb_scope_counts(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                          bool *ret_counts, struct err *err) MUSTER_CHECK;

#endif
