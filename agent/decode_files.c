/* SPDX-License-Identifier: Apache-2.0 */
/* What is no protobuf: blobs, and the spool's chain. */
#include "agent/decode.h"

#include "base/utf8.h"
#include "proto/limits.h"
#include "storage/spool_chain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { SHOWN_BYTES = 4096 }; /* of a blob's content */

static void put_digest(json_t *object, const char *name, struct bytes content)
{
    uint8_t digest[32];
    sha256(content, digest);
    (void)json_object_set_new(object, name, decode_hex(bytes_of(digest, sizeof digest)));
}

/* Up to `limit` bytes and no more, whatever the frame says. */
static bool unfold(struct bytes in, size_t limit, struct buf *out, struct err *err)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer from = {.src = in.data, .size = in.length};
    size_t left = 1;
    bool ok = stream != NULL || err_set(err, ERR_NO_MEMORY, "no memory for zstd");
    while (ok && left != 0) {
        uint8_t *room = buf_reserve(out, ZSTD_DStreamOutSize(), err);
        ZSTD_outBuffer to = {.dst = room, .size = ZSTD_DStreamOutSize()};
        if (room == NULL) {
            ok = false;
            break;
        }
        left = ZSTD_decompressStream(stream, &to, &from);
        out->length += to.pos;
        if (ZSTD_isError(left))
            ok = err_set(err, ERR_INVALID, "byte %zu of a zstd frame: %s", from.pos,
                         ZSTD_getErrorName(left));
        else if (out->length > limit)
            ok = err_set(err, ERR_INVALID, "the zstd frame unfolds to more than %zu bytes", limit);
        else if (left != 0 && from.pos == from.size && to.pos < to.size)
            ok = err_set(err, ERR_INVALID, "the zstd frame ends in the middle, after %zu bytes",
                         from.pos);
    }
    if (ok && from.pos < from.size)
        ok = err_set(err, ERR_INVALID, "%zu bytes behind the zstd frame, from byte %zu on",
                     from.size - from.pos, from.pos);
    ZSTD_freeDStream(stream);
    return ok;
}

/* The lines of a text. */
static json_t *lines_of(struct bytes text)
{
    json_t *lines = json_array();
    while (text.length > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.length);
        size_t length = end != NULL ? (size_t)(end - text.data) : text.length;
        size_t shown = length > 0 && text.data[length - 1] == '\r' ? length - 1 : length;
        (void)json_array_append_new(lines, decode_text(bytes_of(text.data, shown)));
        length += end != NULL ? 1 : 0;
        text = bytes_of(text.data + length, text.length - length);
    }
    return lines;
}

bool decode_blob(struct bytes in, json_t **ret_root, struct err *err)
{
    struct buf content = {.limit = LIMIT_DOCUMENT_BYTES + 1024 * 1024};
    if (!unfold(in, LIMIT_DOCUMENT_BYTES, &content, err)) {
        buf_done(&content);
        return false;
    }
    struct bytes all = buf_bytes(&content), begin = all;
    if (begin.length > SHOWN_BYTES)
        begin.length = SHOWN_BYTES;
    bool text = utf8_valid(all) && (all.length == 0 || memchr(all.data, 0, all.length) == NULL);
    json_t *root = json_object();
    (void)json_object_set_new(root, "what", json_string("blob"));
    (void)json_object_set_new(root, "bytes", json_integer((json_int_t)in.length));
    put_digest(root, "blob_sha256", in);
    (void)json_object_set_new(root, "content_bytes", json_integer((json_int_t)all.length));
    put_digest(root, "content_sha256", all);
    (void)json_object_set_new(root, text ? "content" : "content_hex",
                              text ? lines_of(begin) : decode_hex(begin));
    if (begin.length < all.length)
        (void)json_object_set_new(root, "content_left_out",
                                  json_integer((json_int_t)(all.length - begin.length)));
    buf_done(&content);
    *ret_root = root;
    return true;
}

bool decode_chain(struct bytes in, json_t **ret_root, struct err *err)
{
    static const char *const lanes[SPOOL_LANES] = {"txn_ceiling", "event_ceiling",
                                                   "health_ceiling"};
    struct spool_chain chain;
    struct err why = {0};
    if (!spool_chain_of(in, &chain, &why))
        return err_set(err, why.code == ERR_IO ? ERR_INVALID : why.code,
                       "a chain of incarnations: %s", why.text);
    json_t *root = json_object(), *entries = json_array();
    (void)json_object_set_new(root, "what", json_string("chain"));
    (void)json_object_set_new(root, "bytes", json_integer((json_int_t)in.length));
    (void)json_object_set_new(root, "device",
                              decode_text(bytes_of(chain.device, strlen(chain.device))));
    (void)json_object_set_new(root, "starts", decode_number(chain.starts));
    (void)json_object_set_new(root, "edition", decode_number(chain.edition));
    for (size_t i = 0; i < chain.count; i++) {
        json_t *entry = json_object();
        (void)json_object_set_new(entry, "incarnation", decode_id(chain.entries[i].incarnation));
        for (size_t lane = 0; lane < SPOOL_LANES; lane++)
            (void)json_object_set_new(entry, lanes[lane],
                                      decode_number(chain.entries[i].ceiling[lane]));
        (void)json_array_append_new(entries, entry);
    }
    (void)json_object_set_new(root, "incarnations", entries);
    spool_chain_done(&chain);
    *ret_root = root;
    return true;
}
