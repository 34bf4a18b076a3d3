/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_DESIRED_H
#define STORAGE_FLEETDB_DESIRED_H

#include "storage/fleetdb.h"

/*
 * What terminals should hold: blobs, documents, assignments, and the newest manifest of each
 * device. Signatures and messages are the caller's; here they are bytes. Versions are 1..INT64_MAX.
 * What a callback is given is valid during the call only; false from it ends the walk with its err.
 */
enum { FLEETDB_NAME_CHARS = 48 };

bool fleetdb_blob_put(struct fleetdb *db, const uint8_t sha256[32], struct bytes content,
                      int64_t now_ms, struct err *err) MUSTER_CHECK;
/* Appends to `out`; ERR_NOT_FOUND. */
bool fleetdb_blob_get(struct fleetdb *db, const uint8_t sha256[32], struct buf *out,
                      struct err *err) MUSTER_CHECK;
/* Removes blobs that no document names and that are older than `before_ms`. */
bool fleetdb_blob_forget(struct fleetdb *db, int64_t before_ms, struct err *err) MUSTER_CHECK;

struct fleetdb_encoding {
    int coding;
    uint8_t blob[32];
    uint64_t size; /* of the blob; filled when read */
    bool delta;
    uint8_t base[32]; /* delta: SHA-256 of the content it starts from */
};

enum { FLEETDB_ENCODINGS_MAX = 8 };
struct fleetdb_document {
    char name[FLEETDB_NAME_CHARS + 1];
    int kind;
    uint64_t epoch, version, length, minimum_version;
    uint8_t sha256[32];
    int64_t published_ms;
    struct bytes header; /* signed envelope */
    const struct fleetdb_encoding *encodings;
    size_t encoding_count;
};
/* ERR_CONFLICT: this version of the name is there. ERR_NOT_FOUND: an encoding's blob is not. */
bool fleetdb_document_add(struct fleetdb *db, const struct fleetdb_document *document,
                          struct err *err) MUSTER_CHECK;
/* All versions, by name, newest first. */
bool fleetdb_document_each(struct fleetdb *db,
                           bool (*each)(void *ctx, const struct fleetdb_document *document,
                                        struct err *err),
                           void *ctx, struct err *err) MUSTER_CHECK;

/* Where a name stands; all zero when there is none of that name. */
struct fleetdb_standing {
    uint64_t newest_version;
    uint64_t minimum_version; /* highest ever signed */
    uint64_t epoch;           /* highest ever signed */
    int kind;                 /* of the newest */
};
bool fleetdb_document_standing(struct fleetdb *db, const char *name,
                               struct fleetdb_standing *ret_standing, struct err *err) MUSTER_CHECK;

/* `*ret_changed` is false when it was assigned like this before. ERR_NOT_FOUND: no such document.
 */
bool fleetdb_assign(struct fleetdb *db, int64_t device, const char *name, uint64_t version,
                    int mode, int64_t now_ms, bool *ret_changed, struct err *err) MUSTER_CHECK;
bool fleetdb_unassign(struct fleetdb *db, int64_t device, const char *name, bool *ret_changed,
                      struct err *err) MUSTER_CHECK;
/* What is assigned to a device, ascending by name. */
bool fleetdb_assigned_each(struct fleetdb *db, int64_t device,
                           bool (*each)(void *ctx, const struct fleetdb_document *document,
                                        int mode, struct err *err),
                           void *ctx, struct err *err) MUSTER_CHECK;

/* Replaces the device's manifest. ERR_CONFLICT: the held one is not older. */
bool fleetdb_manifest_put(struct fleetdb *db, int64_t device, uint64_t version,
                          struct bytes envelope, int64_t now_ms, struct err *err) MUSTER_CHECK;
/* Appends the envelope; version 0 and nothing appended when there is none. `out` may be NULL. */
bool fleetdb_manifest_get(struct fleetdb *db, int64_t device, uint64_t *ret_version,
                          struct buf *out, struct err *err) MUSTER_CHECK;
/* The manifest version that the device last said it holds, as it said it; 0: never said. */
bool fleetdb_manifest_reported(struct fleetdb *db, int64_t device, uint64_t *ret_version,
                               struct err *err) MUSTER_CHECK;

/* Cursors over what the broker should hold, for a walk of any length in steps: the first device
 * that has a manifest, after `after` (0 to begin); the first blob that any device is assigned,
 * after `after` (all zero to begin). `*ret_found` false: the end. */
bool fleetdb_manifest_next(struct fleetdb *db, int64_t after, int64_t *ret_device, char ret_id[33],
                           bool *ret_found, struct err *err) MUSTER_CHECK;
bool fleetdb_wanted_blob_next(struct fleetdb *db, const uint8_t after[32], uint8_t ret_sha256[32],
                              bool *ret_found, struct err *err) MUSTER_CHECK;

#endif
