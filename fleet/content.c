/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/content.h"

#include "base/utf8.h"
#include "proto/key_block.h"
#include "proto/limits.h"
#include "proto/seal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
    CONTENT_LEVEL = 19,
    CONTENT_WINDOW_LOG = 23, /* 8 MiB, the window of level 19 */
    CHUNK_BYTES = 64 * 1024,
};

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
    size_t bound = ZSTD_compressBound(content.length);
    uint8_t *frame = malloc(bound);
    if (frame == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to compress %zu bytes", content.length);
    size_t size = ZSTD_compress(frame, bound, content.data, content.length, CONTENT_LEVEL);
    bool ok = false;
    if (ZSTD_isError(size))
        err_set(err, ERR_IO, "compressing %zu bytes: %s", content.length, ZSTD_getErrorName(size));
    else if (size > LIMIT_BLOB_BYTES)
        err_set(err, ERR_FULL, "compressed, the content has %zu bytes, more than the %d of a blob",
                size, LIMIT_BLOB_BYTES);
    else
        ok = buf_append(out, frame, size, err);
    free(frame);
    return ok;
}

/* Feeds what the frame holds to `hash`, at most `length` bytes. */
static bool hash_frame(ZSTD_DCtx *context, struct bytes blob, uint64_t length, uint8_t *chunk,
                       struct sha256_state *hash, struct err *err)
{
    ZSTD_inBuffer in = {.src = blob.data, .size = blob.length};
    uint64_t total = 0;
    for (size_t left = 1; left != 0;) {
        ZSTD_outBuffer piece = {.dst = chunk, .size = CHUNK_BYTES};
        left = ZSTD_decompressStream(context, &piece, &in);
        if (ZSTD_isError(left))
            return err_set(err, ERR_INVALID, "the blob does not decompress: %s",
                           ZSTD_getErrorName(left));
        total += piece.pos;
        if (total > length || (left != 0 && piece.pos == 0 && in.pos == in.size))
            return err_set(err, ERR_INVALID, "the blob does not hold the %" PRIu64 " bytes named",
                           length);
        sha256_add(hash, bytes_of(chunk, piece.pos));
    }
    return true;
}

static bool hash_blob(struct bytes blob, uint64_t length, uint8_t ret_digest[32], struct err *err)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    uint8_t *chunk = malloc(CHUNK_BYTES);
    struct sha256_state *hash = sha256_begin();
    bool ok = false;
    if (context == NULL || chunk == NULL || hash == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory to decompress a blob");
    } else {
        (void)ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, CONTENT_WINDOW_LOG);
        ok = hash_frame(context, blob, length, chunk, hash, err);
    }
    uint8_t digest[32];
    if (hash != NULL)
        sha256_end(hash, digest);
    if (ok)
        memcpy(ret_digest, digest, sizeof digest);
    free(chunk);
    ZSTD_freeDCtx(context);
    return ok;
}

bool content_verify(struct bytes blob, uint64_t length, const uint8_t sha256[32], struct err *err)
{
    if (length > LIMIT_DOCUMENT_BYTES)
        return err_set(err, ERR_INVALID,
                       "%" PRIu64 " bytes of content are more than the %d allowed", length,
                       LIMIT_DOCUMENT_BYTES);
    size_t frame_bytes = ZSTD_findFrameCompressedSize(blob.data, blob.length);
    if (ZSTD_isError(frame_bytes) || frame_bytes != blob.length)
        return err_set(err, ERR_INVALID, "the blob is not one whole zstd frame");
    unsigned long long stated = ZSTD_getFrameContentSize(blob.data, blob.length);
    if (stated != length)
        return err_set(err, ERR_INVALID,
                       "the blob's frame does not state the %" PRIu64 " bytes of "
                       "the header",
                       length);
    uint8_t digest[32];
    if (!hash_blob(blob, length, digest, err))
        return false;
    if (memcmp(digest, sha256, sizeof digest) != 0)
        return err_set(err, ERR_INVALID, "the blob's content does not hash to the header's sha256");
    return true;
}
