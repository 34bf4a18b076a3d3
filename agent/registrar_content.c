/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "base/file.h"
#include "base/log.h"
#include "proto/refusal.h"
#include "proto/sealed.h"

#include <inttypes.h>
#include <string.h>
#include <zstd.h>

/* The output buffer is as long as the signed header says and never grows: a blob that unfolds to
 * more is refused without being unfolded. */
static bool content_unfold(const struct registry_item *item, struct bytes blob, struct buf *content,
                           struct err *err)
{
    unsigned long long stated = ZSTD_getFrameContentSize(blob.data, blob.length);
    if (stated == ZSTD_CONTENTSIZE_ERROR)
        return err_set(err, ERR_INVALID, "%s: its blob is not a zstd frame", item->name);
    if (stated != ZSTD_CONTENTSIZE_UNKNOWN && stated != item->length)
        return err_set(err, ERR_INVALID, "%s: its blob holds %llu bytes, the header says %" PRIu64,
                       item->name, stated, item->length);
    size_t room = (size_t)item->length;
    content->limit = room + 1;
    uint8_t *to = buf_reserve(content, room + 1, err); /* one more: an empty file has a place too */
    if (to == NULL)
        return false;
    size_t made = ZSTD_decompress(to, room, blob.data, blob.length);
    if (ZSTD_isError(made))
        return err_set(err, ERR_INVALID, "%s: its blob does not unfold to %zu bytes: %s",
                       item->name, room, ZSTD_getErrorName(made));
    if (made != room)
        return err_set(err, ERR_INVALID, "%s: its blob holds %zu bytes, the header says %zu",
                       item->name, made, room);
    content->length = made;
    uint8_t digest[32];
    sha256(buf_bytes(content), digest);
    if (memcmp(digest, item->sha256, sizeof digest) != 0)
        return err_set(err, ERR_INVALID, "%s: its content has another hash than the header says",
                       item->name);
    return true;
}

/* What is not the document is no reason to look for a key. */
static bool content_unseal(const char *sealing_key, const struct registry_item *item,
                           struct bytes blob, struct buf *content, struct err *err)
{
    uint8_t digest[32];
    struct sealing_key *key = NULL;
    if (blob.length != item->length)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_LENGTH, ERR_INVALID,
                      "%s: its blob has %zu bytes, the header says %" PRIu64, item->name,
                      blob.length, item->length);
    sha256(blob, digest);
    if (memcmp(digest, item->sha256, sizeof digest) != 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_HASH, ERR_INVALID,
                      "%s: its blob has another hash than the header says", item->name);
    if (!sealing_key_read(sealing_key, &key, err)) {
        refuse_as(err, MUSTER__REFUSAL__REFUSAL_CONTENT_SEALED);
        if (err->code != ERR_NO_MEMORY)
            err->code = ERR_UNAVAILABLE; /* says nothing of the content: tried again */
        return err_context(err, "%s is sealed, and the key that opens it cannot be used",
                           item->name);
    }
    bool opened = sealed_open(key, blob, content, err);
    sealing_key_free(key);
    return opened || err_context(err, "%s", item->name);
}

static enum content_outcome blob_fetch(const struct registry *registry,
                                       const struct registry_item *item, struct buf *ret_blob,
                                       struct err *err)
{
    struct err why = {0};
    uint8_t digest[32];
    if (!registry_blob_read(registry, item->blob, LIMIT_BLOB_BYTES, ret_blob, &why)) {
        if (why.code == ERR_NO_MEMORY) {
            *err = why;
            return CONTENT_BROKEN;
        }
        if (why.code == ERR_NOT_FOUND)
            return CONTENT_NO_BLOB;
    } else {
        sha256(buf_bytes(ret_blob), digest);
        if (memcmp(digest, item->blob, sizeof digest) == 0)
            return CONTENT_MADE;
    }
    /* Unreadable or damaged: out of the way, so that it is fetched again. */
    return registry_blob_remove(registry, item->blob, err) ? CONTENT_NO_BLOB : CONTENT_BROKEN;
}

static bool refuses(const struct err *why)
{
    return why->code == ERR_INVALID || why->code == ERR_REFUSED;
}

enum content_outcome content_make(const struct registry *registry, const char *sealing_key,
                                  const struct registry_item *item, struct buf *ret_content,
                                  struct err *err)
{
    struct buf blob = {0};
    struct buf content = {0};
    struct err why = {0};
    enum content_outcome outcome = blob_fetch(registry, item, &blob, err);
    if (outcome == CONTENT_MADE &&
        !(item->sealed ? content_unseal(sealing_key, item, buf_bytes(&blob), &content, &why)
                       : content_unfold(item, buf_bytes(&blob), &content, &why))) {
        outcome = refuses(&why) ? CONTENT_REFUSED : CONTENT_BROKEN;
        *err = why;
    }
    buf_done(&blob);
    if (outcome == CONTENT_MADE)
        *ret_content = content;
    else
        buf_done(&content);
    return outcome;
}

static void hash_part(void *ctx, struct bytes part)
{
    sha256_add(ctx, part);
}

bool content_hash(const struct registry *registry, uint64_t generation, const char *name,
                  uint8_t ret_sha256[32], struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    if (!registry_document_path(registry, generation, name, path, err))
        return false;
    struct sha256_state *state = sha256_begin();
    if (state == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to hash %s", path);
    uint8_t digest[32];
    bool read = file_scan(path, hash_part, state, err);
    sha256_end(state, digest);
    if (read)
        memcpy(ret_sha256, digest, sizeof digest);
    return read;
}

static bool read_document(const struct registrar *registrar, const struct registry_item *item,
                          size_t limit_bytes, struct buf *ret_content, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    uint8_t digest[32];
    if (item->length > limit_bytes)
        return err_set(err, ERR_INVALID, "longer than %zu bytes", limit_bytes);
    if (!registry_document_path(registrar->registry, registrar->held.current.number, item->name,
                                path, err) ||
        !file_read(path, limit_bytes, ret_content, err))
        return false;
    sha256(buf_bytes(ret_content), digest);
    return memcmp(digest, registry_item_content(item), sizeof digest) == 0 ||
           err_set(err, ERR_INVALID, "%s is not what was applied", path);
}

bool registrar_documents(const struct registrar *registrar, Muster__DocumentKind kind,
                         size_t limit_bytes,
                         void (*each)(void *ctx, const char *name, struct bytes content), void *ctx)
{
    const struct registry_items *list = &registrar->held.current.list;
    bool all = true;
    for (size_t i = 0; i < list->count; i++) {
        struct buf content = {.limit = limit_bytes};
        struct err err = {0};
        if (list->items[i].kind != (int)kind)
            continue;
        if (read_document(registrar, &list->items[i], limit_bytes, &content, &err))
            each(ctx, list->items[i].name, buf_bytes(&content));
        else
            log_warn("document %s cannot be used: %s", list->items[i].name, err.text);
        all = all && err.code == ERR_NONE;
        secret_done(&content);
    }
    return all;
}
