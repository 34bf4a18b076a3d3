/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_PARCEL_H
#define FLEET_PARCEL_H

#include "storage/fleetdb_documents.h"

/*
 * Bytes of any length as blobs: one, up to LIMIT_BLOB_BYTES; else pieces of LIMIT_PIECE_BYTES and
 * a list of their hashes, which is a blob too. No more than one blob is in memory at once.
 */
struct parcel {
    bool (*put)(void *ctx, const uint8_t sha256[32], struct bytes blob, struct err *err);
    void *ctx;
    struct buf held, list; /* zero to begin with */
    uint64_t size;
};
bool parcel_add(struct parcel *parcel, struct bytes part, struct err *err) MUSTER_CHECK;
/* Fills blob, size, piece_bytes and pieces_size. */
bool parcel_end(struct parcel *parcel, struct fleetdb_encoding *encoding,
                struct err *err) MUSTER_CHECK;
void parcel_done(struct parcel *parcel);

/* Where blobs are got from: appends to `out`, or ERR_NOT_FOUND. */
struct parcel_source {
    bool (*get)(void *ctx, const uint8_t sha256[32], struct buf *out, struct err *err);
    void *ctx;
};
/* Gives the bytes in order, a blob at a time, each after its hash was compared. */
struct parcel_reader {
    struct parcel_source source;
    const struct fleetdb_encoding *encoding;
    struct buf list, blob; /* zero to begin with, as are these */
    size_t at;             /* in the list */
    uint64_t left;
    bool begun;
};
/* `*ret_part` is valid until the next call; empty: that was all. ERR_INVALID: a hash, a size or the
 * list is not as the encoding says. */
bool parcel_next(struct parcel_reader *reader, struct bytes *ret_part,
                 struct err *err) MUSTER_CHECK;
void parcel_reader_done(struct parcel_reader *reader);
/* As the terminals will ask: sizes and counts that fit each other, within the limits. */
bool parcel_check(const struct fleetdb_encoding *encoding, struct err *err) MUSTER_CHECK;

#endif
