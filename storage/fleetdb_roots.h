/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_ROOTS_H
#define STORAGE_FLEETDB_ROOTS_H

#include "storage/fleetdb.h"

/*
 * The chain of roots, without gaps, and what follows from a new one: which terminals know it, which
 * manifests are still of an older one, and under which row a document was signed again. Signatures
 * are the caller's; here they are bytes. Versions are 1..INT64_MAX.
 */
struct fleetdb_root {
    uint64_t version, epoch;
    int64_t issued_ms, published_ms;
    struct bytes envelope;
};

/* The one after the newest, the one before the first, or the first of all: ERR_REFUSED where that
 * would leave a gap. What is there already is `*ret_added` false; with other bytes ERR_CONFLICT. */
bool fleetdb_root_add(struct fleetdb *db, const struct fleetdb_root *root, bool *ret_added,
                      struct err *err) MUSTER_CHECK;
/* Appends its Envelope. ERR_NOT_FOUND. */
bool fleetdb_root_get(struct fleetdb *db, uint64_t version, struct buf *out,
                      struct err *err) MUSTER_CHECK;
/* Of a fleet whose root keys are gone: the chain as it was is forgotten and another begins with
 * this root, in one transaction, with an audit row. */
bool fleetdb_roots_begin(struct fleetdb *db, const struct fleetdb_root *root,
                         struct err *err) MUSTER_CHECK;
/* Both 0: there is none. */
bool fleetdb_root_range(struct fleetdb *db, uint64_t *ret_first, uint64_t *ret_newest,
                        struct err *err) MUSTER_CHECK;
/* The first after `after` (0 to begin); its envelope is appended to `out` and points into it. */
bool fleetdb_root_next(struct fleetdb *db, uint64_t after, struct fleetdb_root *ret_root,
                       struct buf *out, bool *ret_found, struct err *err) MUSTER_CHECK;
/* How many devices that are not retired last said that they know this version, and no newer one. */
bool fleetdb_root_devices(struct fleetdb *db, uint64_t version, int64_t *ret_devices,
                          struct err *err) MUSTER_CHECK;

/* The first device after `after` (0 to begin) that is not retired and whose manifest was made under
 * another root than `root_version`. `*ret_found` false: the end. */
bool fleetdb_manifest_behind_next(struct fleetdb *db, uint64_t root_version, int64_t after,
                                  struct fleetdb_device *ret_device, bool *ret_found,
                                  struct err *err) MUSTER_CHECK;
bool fleetdb_manifests_behind(struct fleetdb *db, uint64_t root_version, int64_t *ret_count,
                              struct err *err) MUSTER_CHECK;

/* What a device is assigned, ascending by name, beside the newest document of the same name, kind
 * and content for the same devices: the row itself, unless it was signed again. */
struct fleetdb_signed {
    const char *name;
    int64_t document, newest; /* rows */
    struct bytes header, newest_header;
};
/* What the callback is given is valid during the call; false from it ends the walk with its err. */
bool fleetdb_signed_each(struct fleetdb *db, int64_t device,
                         bool (*each)(void *ctx, const struct fleetdb_signed *row, struct err *err),
                         void *ctx, struct err *err) MUSTER_CHECK;
/* The assignment of this name is to another document from now on, in the same mode. */
bool fleetdb_assignment_move(struct fleetdb *db, int64_t device, const char *name, int64_t document,
                             struct err *err) MUSTER_CHECK;

#endif
