/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_BLOBS_H
#define STORAGE_FLEETDB_BLOBS_H

#include "storage/fleetdb.h"

/*
 * Content as it is sent, named by its hash; and what of it the broker was given to keep. A blob is
 * wanted while a manifest names it, or a list of pieces that has it.
 */
bool fleetdb_blob_put(struct fleetdb *db, const uint8_t sha256[32], struct bytes content,
                      int64_t now_ms, struct err *err) MUSTER_CHECK;
/* Appends to `out`; ERR_NOT_FOUND. */
bool fleetdb_blob_get(struct fleetdb *db, const uint8_t sha256[32], struct buf *out,
                      struct err *err) MUSTER_CHECK;
/* 0: there is none. */
bool fleetdb_blob_size(struct fleetdb *db, const uint8_t sha256[32], uint64_t *ret_size,
                       struct err *err) MUSTER_CHECK;

/* The blob `list` is a list of 32-byte hashes: keeps which pieces those are. ERR_INVALID: it is
 * none. ERR_NOT_FOUND names the piece that is not there. */
bool fleetdb_pieces_keep(struct fleetdb *db, const uint8_t list[32], struct err *err) MUSTER_CHECK;

/* Removes what no document and no manifest names, the broker does not hold, and is older than
 * `before_ms`. */
bool fleetdb_blob_forget(struct fleetdb *db, int64_t before_ms, struct err *err) MUSTER_CHECK;

/* Before it is given to the broker; and after the broker has taken it back: `*ret_wanted`, a
 * manifest names it again by now. */
bool fleetdb_blob_retained(struct fleetdb *db, const uint8_t sha256[32],
                           struct err *err) MUSTER_CHECK;
bool fleetdb_blob_withdrawn(struct fleetdb *db, const uint8_t sha256[32], bool *ret_wanted,
                            struct err *err) MUSTER_CHECK;
/* Whatever the broker holds and nobody wants is unwanted from now on, if it is not so already:
 * for the start, should the marks ever be wrong. */
bool fleetdb_blob_sweep(struct fleetdb *db, int64_t now_ms, struct err *err) MUSTER_CHECK;

/* What the device's manifest names, with the pieces of lists, and the broker was not given. */
bool fleetdb_named_blob_each(struct fleetdb *db, int64_t device,
                             bool (*each)(void *ctx, const uint8_t sha256[32], struct err *err),
                             void *ctx, struct err *err) MUSTER_CHECK;
/* Whether the device's manifest names it, or a list that has it. */
bool fleetdb_blob_is_named(struct fleetdb *db, int64_t device, const uint8_t sha256[32],
                           bool *ret_named, struct err *err) MUSTER_CHECK;
/* Whether `blob` is that list, or one of its pieces. */
bool fleetdb_blob_in_list(struct fleetdb *db, const uint8_t list[32], const uint8_t blob[32],
                          bool *ret_in, struct err *err) MUSTER_CHECK;

/* Cursors, in steps: the first wanted blob after `after` (all zero to begin); the first that the
 * broker holds though nobody has wanted it since before `before_ms`, after `*cursor` (zero to
 * begin), which moves. `*ret_found` false: the end. */
bool fleetdb_wanted_blob_next(struct fleetdb *db, const uint8_t after[32], uint8_t ret_sha256[32],
                              bool *ret_found, struct err *err) MUSTER_CHECK;
struct fleetdb_unwanted {
    int64_t since_ms, row;
    uint8_t sha256[32];
};
bool fleetdb_unwanted_blob_next(struct fleetdb *db, int64_t before_ms,
                                struct fleetdb_unwanted *cursor, bool *ret_found,
                                struct err *err) MUSTER_CHECK;

/* The blobs that a device's manifest names and does not carry itself; replaces those before.
 * fleetdb_manifest_put does it. */
bool fleetdb_manifest_blobs(struct fleetdb *db, int64_t device, const uint8_t (*blobs)[32],
                            size_t count, int64_t now_ms, struct err *err) MUSTER_CHECK;

struct fleetdb_blob_sums {
    int64_t blobs, bytes;       /* in the database */
    int64_t retained, unwanted; /* at the broker; of these, wanted by nobody */
};
bool fleetdb_blob_sums(struct fleetdb *db, struct fleetdb_blob_sums *ret_sums,
                       struct err *err) MUSTER_CHECK;

#endif
