/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/content.h"

#include "fleet/frame.h"
#include "proto/limits.h"
#include "proto/seal.h"
#include "proto/validate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { CHUNK_BYTES = 64 * 1024 };

bool content_check(Muster__DocumentKind kind, struct bytes content, struct err *err)
{
    if (content.length == 0)
        return err_set(err, ERR_INVALID, "the content is empty; a document needs at least a byte");
    if (content.length > LIMIT_DOCUMENT_BYTES)
        return err_set(err, ERR_INVALID, "the content has %zu bytes, more than the %d allowed",
                       content.length, LIMIT_DOCUMENT_BYTES);
    return validate_document(kind, content, err);
}

bool content_encode(struct bytes content, struct buf *out, struct err *err)
{
    struct buf frame = {0};
    bool ok = frame_make(content, bytes_of(NULL, 0), &frame, err);
    if (ok && frame.length > LIMIT_BLOB_BYTES)
        ok = err_set(err, ERR_FULL,
                     "compressed, the content has %zu bytes, more than the %d of a blob",
                     frame.length, LIMIT_BLOB_BYTES);
    ok = ok && buf_append(out, frame.data, frame.length, err);
    buf_done(&frame);
    return ok;
}

/* ---- unfolding ---- */

struct content_unfolding {
    struct content_spec spec;
    struct parcel_reader reader;
    ZSTD_DCtx *context; /* NULL: the bytes are the content */
    uint8_t *chunk;
    struct sha256_state *hash;
    ZSTD_inBuffer in; /* of the reader's part */
    uint64_t made;
    bool full; /* the last chunk was, so that there may be more without more input */
    bool begun, ended;
};

static bool make(struct content_unfolding *unfolding, struct bytes part, struct err *err)
{
    const struct content_spec *spec = &unfolding->spec;
    unfolding->made += part.length;
    if (unfolding->made > spec->length)
        return err_set(err, ERR_INVALID, "the blob holds more than the %" PRIu64 " bytes named",
                       spec->length);
    sha256_add(unfolding->hash, part);
    return spec->each == NULL || spec->each(spec->ctx, part, err);
}

/* A frame must state its content's size: who unfolds it wants to know before. */
static bool check_start(const struct content_unfolding *unfolding, struct bytes part,
                        struct err *err)
{
    unsigned long long stated = ZSTD_getFrameContentSize(part.data, part.length);
    if (stated == ZSTD_CONTENTSIZE_ERROR)
        return err_set(err, ERR_INVALID, "the blob is not a zstd frame");
    return stated == unfolding->spec.length ||
           err_set(err, ERR_INVALID,
                   "the blob's frame does not state the %" PRIu64 " bytes of the header",
                   unfolding->spec.length);
}

static bool take(struct content_unfolding *unfolding, struct bytes part, struct err *err)
{
    if (unfolding->context == NULL)
        return make(unfolding, part, err);
    if (!unfolding->begun && !check_start(unfolding, part, err))
        return false;
    unfolding->begun = true;
    unfolding->in = (ZSTD_inBuffer){.src = part.data, .size = part.length};
    return true;
}

/* One chunk of what the part unfolds to. */
static bool unfold_chunk(struct content_unfolding *unfolding, struct err *err)
{
    ZSTD_outBuffer out = {.dst = unfolding->chunk, .size = CHUNK_BYTES};
    if (unfolding->ended) {
        unfolding->full = false;
        return unfolding->in.pos == unfolding->in.size ||
               err_set(err, ERR_INVALID, "the blob is not one whole zstd frame");
    }
    size_t left = ZSTD_decompressStream(unfolding->context, &out, &unfolding->in);
    if (ZSTD_isError(left))
        return err_set(err, ERR_INVALID, "the blob does not decompress: %s",
                       ZSTD_getErrorName(left));
    unfolding->ended = left == 0;
    unfolding->full = out.pos == out.size;
    return make(unfolding, bytes_of(unfolding->chunk, out.pos), err);
}

static bool set_up(struct content_unfolding *unfolding, struct err *err)
{
    const struct fleetdb_encoding *encoding = unfolding->reader.encoding;
    bool sealed = encoding->coding == MUSTER__CONTENT_CODING__CONTENT_CMS;
    int window_log = encoding->delta ? FRAME_DELTA_WINDOW_LOG : FRAME_WINDOW_LOG;
    struct bytes base = unfolding->spec.base;
    unfolding->hash = sha256_begin();
    if (!sealed) {
        unfolding->context = ZSTD_createDCtx();
        unfolding->chunk = malloc(CHUNK_BYTES);
    }
    if (unfolding->hash == NULL || (!sealed && !(unfolding->context && unfolding->chunk)))
        return err_set(err, ERR_NO_MEMORY, "no memory to unfold a blob");
    if (sealed)
        return true;
    size_t set = ZSTD_DCtx_setParameter(unfolding->context, ZSTD_d_windowLogMax, window_log);
    if (!ZSTD_isError(set) && encoding->delta)
        set = ZSTD_DCtx_refPrefix(unfolding->context, base.data, base.length);
    return !ZSTD_isError(set) ||
           err_set(err, ERR_IO, "unfolding a blob: %s", ZSTD_getErrorName(set));
}

static bool finish(struct content_unfolding *unfolding, struct err *err)
{
    uint8_t digest[32];
    const struct content_spec *spec = &unfolding->spec;
    sha256_end(unfolding->hash, digest);
    unfolding->hash = NULL;
    if ((unfolding->context != NULL && !unfolding->ended) || unfolding->made != spec->length)
        return err_set(err, ERR_INVALID, "the blob does not hold the %" PRIu64 " bytes named",
                       spec->length);
    return memcmp(digest, spec->sha256, sizeof digest) == 0 ||
           err_set(err, ERR_INVALID, "the blob's content does not hash to the header's sha256");
}

/* Terminals refuse a manifest whole if a frame in pieces is much longer than its content. */
static bool check_spec(const struct fleetdb_encoding *encoding, const struct content_spec *spec,
                       struct err *err)
{
    uint64_t most = encoding->delta ? LIMIT_DOCUMENT_BYTES : LIMIT_CONTENT_BYTES;
    if (spec->length > most)
        return err_set(err, ERR_INVALID,
                       "%" PRIu64 " bytes of content are more than the %" PRIu64 " allowed%s",
                       spec->length, most, encoding->delta ? " of a delta" : "");
    uint64_t longest = spec->length + spec->length / 128 + LIMIT_FRAME_SLACK_BYTES;
    return encoding->pieces_size <= longest ||
           err_set(err, ERR_INVALID,
                   "pieces of %" PRIu64 " bytes in all for %" PRIu64
                   " bytes of content: terminals take %" PRIu64,
                   encoding->pieces_size, spec->length, longest);
}

bool content_begin(const struct parcel_source *source, const struct fleetdb_encoding *encoding,
                   const struct content_spec *spec, struct content_unfolding **ret_unfolding,
                   struct err *err)
{
    if (!check_spec(encoding, spec, err))
        return false;
    struct content_unfolding *unfolding = calloc(1, sizeof *unfolding);
    if (unfolding == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to unfold a blob");
    unfolding->spec = *spec;
    unfolding->reader.source = *source;
    unfolding->reader.encoding = encoding;
    if (!set_up(unfolding, err)) {
        content_free(unfolding);
        return false;
    }
    *ret_unfolding = unfolding;
    return true;
}

bool content_step(struct content_unfolding *unfolding, uint64_t budget_bytes, bool *ret_done,
                  struct err *err)
{
    *ret_done = false;
    for (uint64_t spent = 0; spent < budget_bytes;) {
        struct bytes part;
        uint64_t made = unfolding->made;
        if (unfolding->in.pos < unfolding->in.size || unfolding->full) {
            if (!unfold_chunk(unfolding, err))
                return false;
        } else if (!parcel_next(&unfolding->reader, &part, err)) {
            return false;
        } else if (part.length == 0) {
            *ret_done = true;
            return finish(unfolding, err);
        } else {
            spent += part.length;
            if (!take(unfolding, part, err))
                return false;
        }
        spent += unfolding->made - made;
    }
    return true;
}

void content_free(struct content_unfolding *unfolding)
{
    uint8_t digest[32];
    if (unfolding == NULL)
        return;
    if (unfolding->hash != NULL)
        sha256_end(unfolding->hash, digest);
    parcel_reader_done(&unfolding->reader);
    free(unfolding->chunk);
    ZSTD_freeDCtx(unfolding->context);
    free(unfolding);
}

bool content_unfold(const struct parcel_source *source, const struct fleetdb_encoding *encoding,
                    const struct content_spec *spec, struct err *err)
{
    struct content_unfolding *unfolding;
    bool done = false;
    if (!content_begin(source, encoding, spec, &unfolding, err))
        return false;
    bool ok = content_step(unfolding, UINT64_MAX, &done, err);
    content_free(unfolding);
    return ok;
}

static bool get_only(void *ctx, const uint8_t sha[32], struct buf *out, struct err *err)
{
    const struct bytes *blob = ctx;
    (void)sha;
    return buf_append(out, blob->data, blob->length, err);
}

bool content_verify(struct bytes blob, uint64_t length, const uint8_t sha[32], struct err *err)
{
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD,
                                        .size = blob.length};
    const struct parcel_source source = {get_only, &blob};
    const struct content_spec spec = {.length = length, .sha256 = sha};
    sha256(blob, encoding.blob);
    return content_unfold(&source, &encoding, &spec, err);
}
