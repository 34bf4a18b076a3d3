/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_DESIRED_H
#define STORAGE_FLEETDB_DESIRED_H

#include "storage/fleetdb_blobs.h"
#include "storage/fleetdb_documents.h"

/*
 * What terminals should hold: which documents they are assigned, and the newest manifest of each.
 * What a callback is given is valid during the call only; false from it ends the walk with its err.
 */

/* `document` is its row, of that name; one of a name for each device. `*ret_changed` is false when
 * it was assigned like this before. */
bool fleetdb_assign(struct fleetdb *db, int64_t device, const char *name, int64_t document,
                    int mode, int64_t now_ms, bool *ret_changed, struct err *err) MUSTER_CHECK;
/* From now on, until another document is assigned under the name, it is to be had whole alone.
 * `*ret_changed` is false when it was so before, or nothing is assigned. */
bool fleetdb_assign_whole(struct fleetdb *db, int64_t device, const char *name, bool *ret_changed,
                          struct err *err) MUSTER_CHECK;
bool fleetdb_unassign(struct fleetdb *db, int64_t device, const char *name, bool *ret_changed,
                      struct err *err) MUSTER_CHECK;
/* What is assigned to a device, ascending by name. */
bool fleetdb_assigned_each(struct fleetdb *db, int64_t device,
                           bool (*each)(void *ctx, const struct fleetdb_document *document,
                                        int mode, struct err *err),
                           void *ctx, struct err *err) MUSTER_CHECK;

/* Ordered by (epoch, version). */
struct fleetdb_manifest {
    uint64_t epoch, version, root_version;
    int64_t issued_ms;
    /* The blobs that it names and does not carry itself; not filled when read. */
    const uint8_t (*blobs)[32];
    size_t blob_count;
};
/* Replaces the device's manifest, and what is wanted for it. ERR_CONFLICT: the held one is not
 * older. */
bool fleetdb_manifest_put(struct fleetdb *db, int64_t device,
                          const struct fleetdb_manifest *manifest, struct bytes envelope,
                          struct err *err) MUSTER_CHECK;
/* Appends the envelope; all zero and nothing appended when there is none. `out` may be NULL. */
bool fleetdb_manifest_get(struct fleetdb *db, int64_t device, struct fleetdb_manifest *ret_manifest,
                          struct buf *out, struct err *err) MUSTER_CHECK;
/* The epoch and version that the device last said it holds, as it said it; 0: never said. */
bool fleetdb_manifest_reported(struct fleetdb *db, int64_t device, uint64_t *ret_epoch,
                               uint64_t *ret_version, struct err *err) MUSTER_CHECK;
/* Hash of the content that the device last said it holds under the name, in its registry and not in
 * another system's file. `*ret_newest`: it said so having had its newest manifest. */
bool fleetdb_item_held(struct fleetdb *db, int64_t device, const char *name, uint8_t ret_sha256[32],
                       bool *ret_found, bool *ret_newest, struct err *err) MUSTER_CHECK;

/* Cursor, for a walk of any length in steps: the first device that has a manifest, after `after`
 * (0 to begin). `*ret_found` false: the end. */
struct fleetdb_manifest_at {
    int64_t device;
    char id[33];
    bool retired; /* nothing is meant for it any more */
};
bool fleetdb_manifest_next(struct fleetdb *db, int64_t after, struct fleetdb_manifest_at *ret_at,
                           bool *ret_found, struct err *err) MUSTER_CHECK;

#endif
