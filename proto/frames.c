/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frames.h"

#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { MATCHES_LEAST = 7 }; /* the longest that zstd lets one ask for */

static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};

static bool no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no memory for zstd");
}

static size_t compress(ZSTD_CCtx *zstd, struct bytes content, struct bytes dictionary,
                       const struct frame_way *way, uint8_t *to, size_t room)
{
    /* The seal vouches for the bytes, so no checksum; the size lets the receiver refuse early; the
     * batch says which dictionary. */
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, way->level);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 0);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 1);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_dictIDFlag, 0);
    if (way->patternless)
        ZSTD_CCtx_setParameter(zstd, ZSTD_c_minMatch, MATCHES_LEAST);
    if (dictionary.length > 0) {
        size_t loaded = ZSTD_CCtx_loadDictionary(zstd, dictionary.data, dictionary.length);
        if (ZSTD_isError(loaded))
            return loaded;
    }
    return ZSTD_compress2(zstd, to, room, content.data, content.length);
}

bool frame_pack(struct bytes content, struct bytes dictionary, const struct frame_way *way,
                struct buf *out, struct err *err)
{
    if (content.length == 0)
        return true;
    size_t room = ZSTD_compressBound(content.length);
    uint8_t *frame = buf_reserve(out, room, err);
    if (!frame)
        return false;
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    if (!zstd)
        return no_memory(err);
    size_t size = compress(zstd, content, dictionary, way, frame, room);
    ZSTD_freeCCtx(zstd);
    if (ZSTD_isError(size))
        return err_set(err, ERR_NO_MEMORY, "zstd: %s", ZSTD_getErrorName(size));
    if (dictionary.length > 0) {
        size -= sizeof magic;
        memmove(frame, frame + sizeof magic, size);
    }
    out->length += size;
    return true;
}

static bool check_frame(struct bytes frame, size_t limit, size_t *ret_size, struct err *err)
{
    unsigned long long size = ZSTD_getFrameContentSize(frame.data, frame.length);
    if (size == ZSTD_CONTENTSIZE_ERROR)
        return err_set(err, ERR_INVALID, "not a zstd frame");
    if (size == ZSTD_CONTENTSIZE_UNKNOWN)
        return err_set(err, ERR_INVALID, "a zstd frame that does not say its size");
    if (size > limit)
        return err_set(err, ERR_INVALID, "a zstd frame of %llu bytes, %zu are the most", size,
                       limit);
    unsigned dictionary = ZSTD_getDictID_fromFrame(frame.data, frame.length);
    if (dictionary)
        return err_set(err, ERR_INVALID, "a zstd frame for dictionary %u, which is not known",
                       dictionary);
    if (ZSTD_findFrameCompressedSize(frame.data, frame.length) != frame.length)
        return err_set(err, ERR_INVALID, "not one whole zstd frame");
    *ret_size = (size_t)size;
    return true;
}

static bool decompress(struct bytes frame, struct bytes dictionary, size_t limit, struct buf *out,
                       struct err *err)
{
    size_t size = 0;
    if (!check_frame(frame, limit, &size, err))
        return false;
    uint8_t *room = buf_reserve(out, size ? size : 1, err);
    if (!room)
        return false;
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    if (!zstd)
        return no_memory(err);
    size_t got = ZSTD_decompress_usingDict(zstd, room, size, frame.data, frame.length,
                                           dictionary.data, dictionary.length);
    ZSTD_freeDCtx(zstd);
    /* Our own want of memory must not read as a batch that nobody can decode. */
    if (ZSTD_isError(got) && ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation)
        return err_set(err, ERR_NO_MEMORY, "zstd: %s", ZSTD_getErrorName(got));
    if (ZSTD_isError(got))
        return err_set(err, ERR_INVALID, "zstd: %s", ZSTD_getErrorName(got));
    out->length += got;
    return true;
}

bool frame_unpack(struct bytes frame, struct bytes dictionary, size_t limit, struct buf *out,
                  struct err *err)
{
    if (dictionary.length == 0)
        return decompress(frame, dictionary, limit, out, err);
    if (frame.length == 0)
        return true;
    struct buf whole = {0};
    bool ok = buf_append(&whole, magic, sizeof magic, err) &&
              buf_append(&whole, frame.data, frame.length, err) &&
              decompress(buf_bytes(&whole), dictionary, limit, out, err);
    buf_done(&whole);
    return ok;
}
