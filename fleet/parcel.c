/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/parcel.h"

#include "proto/limits.h"
#include "proto/seal.h"

#include <inttypes.h>
#include <string.h>

/* ---- making ---- */

static bool put_piece(struct parcel *parcel, struct bytes piece, struct err *err)
{
    uint8_t digest[32];
    sha256(piece, digest);
    return parcel->put(parcel->ctx, digest, piece, err) &&
           buf_append(&parcel->list, digest, sizeof digest, err);
}

/* Sends what is held, as far as it is whole pieces; all of it at the end. */
static bool put_pieces(struct parcel *parcel, bool all, struct err *err)
{
    size_t at = 0;
    while (parcel->held.length - at >= LIMIT_PIECE_BYTES || (all && at < parcel->held.length)) {
        size_t left = parcel->held.length - at;
        size_t length = left < LIMIT_PIECE_BYTES ? left : LIMIT_PIECE_BYTES;
        if (!put_piece(parcel, bytes_of(parcel->held.data + at, length), err))
            return false;
        at += length;
    }
    buf_consume(&parcel->held, at);
    return true;
}

bool parcel_add(struct parcel *parcel, struct bytes part, struct err *err)
{
    for (size_t at = 0; at < part.length;) {
        size_t room = LIMIT_BLOB_BYTES + 1 - parcel->held.length;
        size_t length = part.length - at < room ? part.length - at : room;
        if (!buf_append(&parcel->held, part.data + at, length, err))
            return false;
        at += length;
        parcel->size += length;
        if (parcel->size > LIMIT_CONTENT_BYTES)
            return err_set(err, ERR_FULL, "what is sent has more than the %d bytes allowed",
                           LIMIT_CONTENT_BYTES);
        if (parcel->held.length > LIMIT_BLOB_BYTES && !put_pieces(parcel, false, err))
            return false;
    }
    return true;
}

bool parcel_end(struct parcel *parcel, struct fleetdb_encoding *encoding, struct err *err)
{
    bool pieces = parcel->size > LIMIT_BLOB_BYTES;
    if (pieces && !put_pieces(parcel, true, err))
        return false;
    struct bytes blob = buf_bytes(pieces ? &parcel->list : &parcel->held);
    sha256(blob, encoding->blob);
    encoding->size = blob.length;
    encoding->piece_bytes = pieces ? LIMIT_PIECE_BYTES : 0;
    encoding->pieces_size = pieces ? parcel->size : 0;
    return parcel->put(parcel->ctx, encoding->blob, blob, err);
}

void parcel_done(struct parcel *parcel)
{
    buf_done(&parcel->held);
    buf_done(&parcel->list);
}

/* ---- reading ---- */

bool parcel_check(const struct fleetdb_encoding *encoding, struct err *err)
{
    if (encoding->size == 0 || encoding->size > LIMIT_BLOB_BYTES)
        return err_set(err, ERR_INVALID, "a blob of %" PRIu64 " bytes is not in 1..%d",
                       encoding->size, LIMIT_BLOB_BYTES);
    if (encoding->piece_bytes == 0)
        return encoding->pieces_size == 0 ||
               err_set(err, ERR_INVALID, "the size of pieces is given, and they have none");
    if (encoding->piece_bytes != LIMIT_PIECE_BYTES)
        return err_set(err, ERR_INVALID, "pieces of %" PRIu32 " bytes: terminals take %d",
                       encoding->piece_bytes, LIMIT_PIECE_BYTES);
    if (encoding->pieces_size == 0 || encoding->pieces_size > LIMIT_CONTENT_BYTES)
        return err_set(err, ERR_INVALID, "pieces of %" PRIu64 " bytes in all are not in 1..%d",
                       encoding->pieces_size, LIMIT_CONTENT_BYTES);
    uint64_t count = (encoding->pieces_size + LIMIT_PIECE_BYTES - 1) / LIMIT_PIECE_BYTES;
    return encoding->size == count * 32 ||
           err_set(err, ERR_INVALID,
                   "a list of %" PRIu64 " bytes is not that of the %" PRIu64 " pieces stated",
                   encoding->size, count);
}

/* Into `blob`, which is emptied first. */
static bool get(const struct parcel_source *source, const uint8_t sha[32], uint64_t size,
                struct buf *blob, struct err *err)
{
    uint8_t digest[32];
    buf_clear(blob);
    if (!source->get(source->ctx, sha, blob, err))
        return false;
    sha256(buf_bytes(blob), digest);
    if (memcmp(digest, sha, sizeof digest) != 0)
        return err_set(err, ERR_INVALID, "a blob's bytes do not hash to its name");
    return blob->length == size ||
           err_set(err, ERR_INVALID, "a blob has %zu bytes, not the %" PRIu64 " stated",
                   blob->length, size);
}

/* The only blob, or the list of the pieces that follow. */
static bool begin(struct parcel_reader *reader, struct bytes *ret_part, struct err *err)
{
    const struct fleetdb_encoding *encoding = reader->encoding;
    reader->list.limit = reader->blob.limit = LIMIT_BLOB_BYTES;
    if (!parcel_check(encoding, err) ||
        !get(&reader->source, encoding->blob, encoding->size, &reader->list, err))
        return false;
    reader->begun = true;
    reader->left = encoding->pieces_size;
    if (encoding->piece_bytes == 0) {
        reader->at = reader->list.length;
        *ret_part = buf_bytes(&reader->list);
    }
    return true;
}

bool parcel_next(struct parcel_reader *reader, struct bytes *ret_part, struct err *err)
{
    const uint64_t piece = reader->encoding->piece_bytes;
    *ret_part = bytes_of(NULL, 0);
    if (!reader->begun && (!begin(reader, ret_part, err) || ret_part->length > 0))
        return reader->begun;
    if (reader->at >= reader->list.length)
        return true;
    uint64_t size = reader->left < piece ? reader->left : piece;
    if (!get(&reader->source, reader->list.data + reader->at, size, &reader->blob, err))
        return false;
    reader->at += 32;
    reader->left -= size;
    *ret_part = buf_bytes(&reader->blob);
    return true;
}

void parcel_reader_done(struct parcel_reader *reader)
{
    buf_done(&reader->list);
    buf_done(&reader->blob);
}
