/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/unfold.h"

#include "proto/limits.h"
#include "proto/refusal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { STEP_BYTES = 128 * 1024, COPY_LEVEL = 3 };

static bool no_form(struct err *err, const char *what)
{
    return refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_FORM, ERR_INVALID, "%s", what);
}

static bool other_length(struct err *err, unsigned long long made, uint64_t length)
{
    return refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_LENGTH, ERR_INVALID,
                  "it unfolds to %llu bytes, the header says %" PRIu64, made, length);
}

static bool failed(struct err *err, size_t code, uint64_t length)
{
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return err_set(err, ERR_NO_MEMORY, "no memory to unfold %" PRIu64 " bytes", length);
    if (ZSTD_getErrorCode(code) == ZSTD_error_dstSize_tooSmall)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_LENGTH, ERR_INVALID,
                      "it unfolds to more than %" PRIu64 " bytes, as the header says", length);
    return refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_FORM, ERR_INVALID,
                  "it does not unfold to %" PRIu64 " bytes: %s", length, ZSTD_getErrorName(code));
}

static bool frame_check(struct bytes frame, uint64_t length, struct err *err)
{
    unsigned long long stated = ZSTD_getFrameContentSize(frame.data, frame.length);
    if (stated == ZSTD_CONTENTSIZE_ERROR)
        return no_form(err, "it is not a zstd frame");
    if (stated != ZSTD_CONTENTSIZE_UNKNOWN && stated != length)
        return other_length(err, stated, length);
    size_t bytes = ZSTD_findFrameCompressedSize(frame.data, frame.length);
    return (!ZSTD_isError(bytes) && bytes == frame.length) ||
           no_form(err, "it is not one whole zstd frame");
}

static size_t unfold_frame(struct bytes frame, struct bytes base, uint8_t *to, size_t room)
{
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    if (zstd == NULL)
        return (size_t)-ZSTD_error_memory_allocation;
    size_t made = base.data != NULL ? ZSTD_DCtx_refPrefix(zstd, base.data, base.length) : 0;
    if (!ZSTD_isError(made))
        made = ZSTD_decompressDCtx(zstd, to, room, frame.data, frame.length);
    (void)ZSTD_freeDCtx(zstd);
    return made;
}

bool unfold(struct bytes frame, struct bytes base, uint64_t length, struct buf *ret_content,
            struct err *err)
{
    if (!frame_check(frame, length, err))
        return false;
    size_t room = (size_t)length;
    struct buf content = {.limit = room + 1};
    uint8_t *to =
        buf_reserve(&content, room + 1, err); /* one more: an empty file has a place too */
    if (to == NULL)
        return false;
    size_t made = unfold_frame(frame, base, to, room);
    bool good = ZSTD_isError(made) ? failed(err, made, length)
                                   : made == room || other_length(err, made, length);
    content.length = good ? made : 0;
    if (good)
        *ret_content = content;
    else
        buf_done(&content);
    return good;
}

bool fold(struct bytes content, struct buf *ret_frame, struct err *err)
{
    struct buf frame = {.limit = ZSTD_compressBound(content.length)};
    uint8_t *to = buf_reserve(&frame, frame.limit, err);
    if (to == NULL)
        return false;
    size_t made = ZSTD_compress(to, frame.limit, content.data, content.length, COPY_LEVEL);
    if (ZSTD_isError(made)) {
        buf_done(&frame);
        return err_set(err, ERR_NO_MEMORY, "no copy of %zu bytes: %s", content.length,
                       ZSTD_getErrorName(made));
    }
    frame.length = made;
    *ret_frame = frame;
    return true;
}

struct unfolding {
    ZSTD_DStream *zstd;
    uint64_t length, made;
    bool ended;
    bool (*write)(void *ctx, struct bytes part, struct err *err);
    void *ctx;
    uint8_t out[STEP_BYTES];
};

bool unfolding_begin(uint64_t length, bool (*write)(void *ctx, struct bytes part, struct err *err),
                     void *ctx, struct unfolding **ret_unfolding, struct err *err)
{
    struct unfolding *unfolding = calloc(1, sizeof *unfolding);
    if (unfolding != NULL)
        unfolding->zstd = ZSTD_createDStream();
    if (unfolding == NULL || unfolding->zstd == NULL ||
        ZSTD_isError(ZSTD_DCtx_setParameter(unfolding->zstd, ZSTD_d_windowLogMax,
                                            LIMIT_CONTENT_WINDOW_LOG))) {
        unfolding_free(unfolding);
        return err_set(err, ERR_NO_MEMORY, "no memory to unfold %" PRIu64 " bytes", length);
    }
    unfolding->length = length;
    unfolding->write = write;
    unfolding->ctx = ctx;
    *ret_unfolding = unfolding;
    return true;
}

bool unfolding_add(struct unfolding *unfolding, struct bytes part, struct err *err)
{
    ZSTD_inBuffer in = {.src = part.data, .size = part.length};
    bool full = false; /* more may come out without anything going in */
    while (in.pos < in.size || full) {
        if (unfolding->ended)
            return no_form(err, "something follows its zstd frame");
        ZSTD_outBuffer out = {.dst = unfolding->out, .size = sizeof unfolding->out};
        size_t left = ZSTD_decompressStream(unfolding->zstd, &out, &in);
        if (ZSTD_isError(left))
            return failed(err, left, unfolding->length);
        unfolding->ended = left == 0;
        full = out.pos == out.size && left != 0;
        unfolding->made += out.pos;
        if (unfolding->made > unfolding->length)
            return other_length(err, unfolding->made, unfolding->length);
        if (out.pos > 0 &&
            !unfolding->write(unfolding->ctx, bytes_of(unfolding->out, out.pos), err))
            return false;
    }
    return true;
}

bool unfolding_end(const struct unfolding *unfolding, struct err *err)
{
    if (!unfolding->ended)
        return no_form(err, "its zstd frame is not whole");
    return unfolding->made == unfolding->length ||
           other_length(err, unfolding->made, unfolding->length);
}

void unfolding_free(struct unfolding *unfolding)
{
    if (unfolding == NULL)
        return;
    (void)ZSTD_freeDStream(unfolding->zstd);
    free(unfolding);
}
