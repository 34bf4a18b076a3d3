/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/frame.h"

#include "proto/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zstd.h>

enum {
    LEVEL = 19,
    LEVEL_DENSE = 3,
    WORKERS = 2, /* for what takes minutes */
    WINDOW_LOG_MIN = 10,
    FAR_BYTES = 4 * 1024 * 1024, /* beyond this level 19 alone does not find what moved far */
};

struct frame {
    struct frame_settings settings;
    ZSTD_CCtx *context;
    uint8_t *chunk;
    size_t chunk_bytes;
    uint64_t added;
};

static bool zstd_ok(size_t result, struct err *err)
{
    return !ZSTD_isError(result) ||
           err_set(err, ERR_IO, "compressing: %s", ZSTD_getErrorName(result));
}

static int window_log_of(const struct frame_settings *settings)
{
    const int most = settings->base.length == 0 ? FRAME_WINDOW_LOG : FRAME_DELTA_WINDOW_LOG;
    int log = WINDOW_LOG_MIN;
    while (log < most && (UINT64_C(1) << log) < settings->length + settings->base.length)
        log++;
    return log;
}

static bool set_up(struct frame *frame, struct err *err)
{
    const struct frame_settings *settings = &frame->settings;
    ZSTD_CCtx *context = frame->context;
    const int level = settings->dense ? LEVEL_DENSE : LEVEL;
    bool ok =
        zstd_ok(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level), err) &&
        zstd_ok(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log_of(settings)), err) &&
        zstd_ok(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 0), err) &&
        zstd_ok(ZSTD_CCtx_setPledgedSrcSize(context, settings->length), err);
    if (ok && settings->base.length + settings->length > FAR_BYTES)
        ok = zstd_ok(ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1), err);
    if (ok && settings->length > LIMIT_DOCUMENT_BYTES && !settings->dense)
        (void)ZSTD_CCtx_setParameter(context, ZSTD_c_nbWorkers, WORKERS); /* if it can */
    if (ok && settings->base.length > 0)
        ok = zstd_ok(ZSTD_CCtx_refPrefix(context, settings->base.data, settings->base.length), err);
    return ok;
}

bool frame_begin(const struct frame_settings *settings, struct frame **ret_frame, struct err *err)
{
    if (settings->base.length > LIMIT_DOCUMENT_BYTES ||
        (settings->base.length > 0 && settings->length > LIMIT_DOCUMENT_BYTES))
        return err_set(err, ERR_FULL, "a delta is made of %d bytes at the most, and from as many",
                       LIMIT_DOCUMENT_BYTES);
    struct frame *frame = calloc(1, sizeof *frame);
    if (frame == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to compress");
    frame->settings = *settings;
    frame->context = ZSTD_createCCtx();
    frame->chunk_bytes = ZSTD_CStreamOutSize();
    frame->chunk = malloc(frame->chunk_bytes);
    if (frame->context == NULL || frame->chunk == NULL)
        err_set(err, ERR_NO_MEMORY, "no memory to compress");
    else if (set_up(frame, err)) {
        *ret_frame = frame;
        return true;
    }
    frame_free(frame);
    return false;
}

void frame_free(struct frame *frame)
{
    if (frame == NULL)
        return;
    ZSTD_freeCCtx(frame->context);
    free(frame->chunk);
    free(frame);
}

/* Until all of `content` is taken in, or with ZSTD_e_end until all is out. */
static bool compress(struct frame *frame, struct bytes content, ZSTD_EndDirective how,
                     struct err *err)
{
    ZSTD_inBuffer in = {.src = content.data, .size = content.length};
    for (size_t left = 1; how == ZSTD_e_end ? left != 0 : in.pos < in.size;) {
        ZSTD_outBuffer piece = {.dst = frame->chunk, .size = frame->chunk_bytes};
        left = ZSTD_compressStream2(frame->context, &piece, &in, how);
        if (!zstd_ok(left, err) ||
            (piece.pos > 0 &&
             !frame->settings.out(frame->settings.ctx, bytes_of(frame->chunk, piece.pos), err)))
            return false;
    }
    return true;
}

bool frame_add(struct frame *frame, struct bytes content, struct err *err)
{
    frame->added += content.length;
    if (frame->added > frame->settings.length)
        return err_set(err, ERR_CONFLICT,
                       "the content is longer than the %" PRIu64 " bytes it had before",
                       frame->settings.length);
    return compress(frame, content, ZSTD_e_continue, err);
}

bool frame_end(struct frame *frame, struct err *err)
{
    if (frame->added != frame->settings.length)
        return err_set(err, ERR_CONFLICT,
                       "the content has %" PRIu64 " bytes, no longer the %" PRIu64 " it had before",
                       frame->added, frame->settings.length);
    return compress(frame, bytes_of(NULL, 0), ZSTD_e_end, err);
}

static bool append(void *ctx, struct bytes part, struct err *err)
{
    return buf_append(ctx, part.data, part.length, err);
}

bool frame_make(struct bytes content, struct bytes base, struct buf *out, struct err *err)
{
    struct frame *frame;
    const struct frame_settings settings = {
        .length = content.length, .base = base, .out = append, .ctx = out};
    if (!frame_begin(&settings, &frame, err))
        return false;
    bool ok = frame_add(frame, content, err) && frame_end(frame, err);
    frame_free(frame);
    return ok;
}
