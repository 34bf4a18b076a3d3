/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frames.h"

#include <stdlib.h>
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

/* ---- unpack ---- */

/* ZSTD_DDict by a name of its own. */
static const ZSTD_DDict *ddict_of(const struct frame_dictionary *dictionary)
{
    return (const ZSTD_DDict *)dictionary;
}

bool frame_dictionary_read(struct bytes bytes, struct frame_dictionary **ret_dictionary,
                           struct err *err)
{
    ZSTD_DDict *ddict = ZSTD_createDDict(bytes.data, bytes.length);
    if (!ddict)
        return no_memory(err);
    *ret_dictionary = (struct frame_dictionary *)ddict;
    return true;
}

void frame_dictionary_free(struct frame_dictionary *dictionary)
{
    (void)ZSTD_freeDDict((ZSTD_DDict *)dictionary);
}

struct frame_room {
    ZSTD_DCtx *zstd;
    struct buf whole; /* a frame with its first bytes */
};

bool frame_room_make(struct frame_room **ret_room, struct err *err)
{
    struct frame_room *room = calloc(1, sizeof *room);
    if (!room)
        return no_memory(err);
    room->zstd = ZSTD_createDCtx();
    if (!room->zstd) {
        frame_room_free(room);
        return no_memory(err);
    }
    *ret_room = room;
    return true;
}

void frame_room_free(struct frame_room *room)
{
    if (!room)
        return;
    (void)ZSTD_freeDCtx(room->zstd);
    buf_done(&room->whole);
    free(room);
}

static bool decompress(struct frame_room *room, struct bytes frame,
                       const struct frame_dictionary *dictionary, size_t limit, struct buf *out,
                       struct err *err)
{
    size_t size = 0;
    if (!check_frame(frame, limit, &size, err))
        return false;
    uint8_t *to = buf_reserve(out, size ? size : 1, err);
    if (!to)
        return false;
    size_t got = ZSTD_decompress_usingDDict(room->zstd, to, size, frame.data, frame.length,
                                            ddict_of(dictionary));
    /* Our own want of memory must not read as a batch that nobody can decode. */
    if (ZSTD_isError(got) && ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation)
        return err_set(err, ERR_NO_MEMORY, "zstd: %s", ZSTD_getErrorName(got));
    if (ZSTD_isError(got))
        return err_set(err, ERR_INVALID, "zstd: %s", ZSTD_getErrorName(got));
    out->length += got;
    return true;
}

bool frame_unpack(struct frame_room *room, struct bytes frame,
                  const struct frame_dictionary *dictionary, size_t limit, struct buf *out,
                  struct err *err)
{
    if (!dictionary)
        return decompress(room, frame, NULL, limit, out, err);
    if (frame.length == 0)
        return true;
    buf_clear(&room->whole);
    return buf_append(&room->whole, magic, sizeof magic, err) &&
           buf_append(&room->whole, frame.data, frame.length, err) &&
           decompress(room, buf_bytes(&room->whole), dictionary, limit, out, err);
}
