/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "base/file.h"
#include "base/log.h"
#include "proto/sealed.h"

#include <string.h>

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
