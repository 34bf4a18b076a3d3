/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/content.h"

#include "base/utf8.h"
#include "fleet/frame.h"
#include "proto/key_block.h"
#include "proto/limits.h"
#include "proto/seal.h"

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
    if (kind == MUSTER__DOCUMENT_KIND__DOCUMENT_FILE)
        return true;
    if (kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK)
        return key_block_check(content, err);
    const uint8_t *nul = memchr(content.data, 0, content.length);
    if (nul != NULL)
        return err_set(err, ERR_INVALID, "byte %zu of the content is NUL, but this kind is text",
                       (size_t)(nul - content.data));
    if (!utf8_valid(content))
        return err_set(err, ERR_INVALID,
                       "the content is not UTF-8, but this kind is text; convert it, or publish it "
                       "as kind file");
    return true;
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

struct unfolding {
    const struct content_spec *spec;
    ZSTD_DCtx *context; /* NULL: the bytes are the content */
    uint8_t *chunk;
    struct sha256_state *hash;
    uint64_t made;
    bool begun, ended;
};

static bool make(struct unfolding *unfolding, struct bytes part, struct err *err)
{
    const struct content_spec *spec = unfolding->spec;
    unfolding->made += part.length;
    if (unfolding->made > spec->length)
        return err_set(err, ERR_INVALID, "the blob holds more than the %" PRIu64 " bytes named",
                       spec->length);
    sha256_add(unfolding->hash, part);
    return spec->each == NULL || spec->each(spec->ctx, part, err);
}

/* A frame must state its content's size: who unfolds it wants to know before. */
static bool check_start(const struct unfolding *unfolding, struct bytes part, struct err *err)
{
    unsigned long long stated = ZSTD_getFrameContentSize(part.data, part.length);
    if (stated == ZSTD_CONTENTSIZE_ERROR)
        return err_set(err, ERR_INVALID, "the blob is not a zstd frame");
    return stated == unfolding->spec->length ||
           err_set(err, ERR_INVALID,
                   "the blob's frame does not state the %" PRIu64 " bytes of the header",
                   unfolding->spec->length);
}

static bool take_frame(struct unfolding *unfolding, struct bytes part, struct err *err)
{
    ZSTD_inBuffer in = {.src = part.data, .size = part.length};
    if (!unfolding->begun && !check_start(unfolding, part, err))
        return false;
    unfolding->begun = true;
    for (bool full = true; in.pos < in.size || full;) {
        ZSTD_outBuffer out = {.dst = unfolding->chunk, .size = CHUNK_BYTES};
        if (unfolding->ended)
            return in.pos == in.size ||
                   err_set(err, ERR_INVALID, "the blob is not one whole zstd frame");
        size_t left = ZSTD_decompressStream(unfolding->context, &out, &in);
        if (ZSTD_isError(left))
            return err_set(err, ERR_INVALID, "the blob does not decompress: %s",
                           ZSTD_getErrorName(left));
        if (!make(unfolding, bytes_of(unfolding->chunk, out.pos), err))
            return false;
        unfolding->ended = left == 0;
        full = out.pos == out.size;
    }
    return true;
}

static bool take(void *ctx, struct bytes part, struct err *err)
{
    struct unfolding *unfolding = ctx;
    return unfolding->context != NULL ? take_frame(unfolding, part, err)
                                      : make(unfolding, part, err);
}

static bool begin(struct unfolding *unfolding, const struct fleetdb_encoding *encoding,
                  struct err *err)
{
    bool sealed = encoding->coding == MUSTER__CONTENT_CODING__CONTENT_CMS;
    int window_log = encoding->delta ? FRAME_DELTA_WINDOW_LOG : FRAME_WINDOW_LOG;
    struct bytes base = unfolding->spec->base;
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

/* Ends the hash in any case. */
static bool finish(struct unfolding *unfolding, bool ok, struct err *err)
{
    uint8_t digest[32] = {0};
    const struct content_spec *spec = unfolding->spec;
    if (unfolding->hash != NULL)
        sha256_end(unfolding->hash, digest);
    if (!ok)
        return false;
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

bool content_unfold(const struct parcel_source *source, const struct fleetdb_encoding *encoding,
                    const struct content_spec *spec, struct err *err)
{
    struct unfolding unfolding = {.spec = spec};
    if (!check_spec(encoding, spec, err))
        return false;
    bool ok =
        begin(&unfolding, encoding, err) && parcel_read(source, encoding, take, &unfolding, err);
    ok = finish(&unfolding, ok, err);
    free(unfolding.chunk);
    ZSTD_freeDCtx(unfolding.context);
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
