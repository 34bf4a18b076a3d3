/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "base/file.h"
#include "base/log.h"
#include "proto/limits.h"
#include "proto/sealed.h"

#include <stdio.h>
#include <string.h>

static bool read_document(const struct registrar *registrar, uint64_t generation,
                          const struct registry_item *item, size_t limit_bytes,
                          struct buf *ret_content, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    uint8_t digest[32];
    if (item->length > limit_bytes)
        return err_set(err, ERR_INVALID, "longer than %zu bytes", limit_bytes);
    if (!registry_document_path(registrar->registry, generation, item->name, path, err) ||
        !file_read(path, limit_bytes, ret_content, err))
        return false;
    sha256(buf_bytes(ret_content), digest);
    return memcmp(digest, registry_item_content(item), sizeof digest) == 0 ||
           err_set(err, ERR_INVALID, "%s is not what was applied", path);
}

static bool documents_of(const struct registrar *registrar,
                         const struct registry_generation *generation, Muster__DocumentKind kind,
                         size_t limit_bytes,
                         void (*each)(void *ctx, const char *name, struct bytes content), void *ctx)
{
    const struct registry_items *list = &generation->list;
    bool all = true;
    for (size_t i = 0; i < list->count; i++) {
        struct buf content = {.limit = limit_bytes};
        struct err err = {0};
        if (list->items[i].kind != (int)kind)
            continue;
        if (read_document(registrar, generation->number, &list->items[i], limit_bytes, &content,
                          &err))
            each(ctx, list->items[i].name, buf_bytes(&content));
        else
            log_warn("document %s cannot be used: %s", list->items[i].name, err.text);
        all = all && err.code == ERR_NONE;
        secret_done(&content);
    }
    return all;
}

bool registrar_documents(const struct registrar *registrar, Muster__DocumentKind kind,
                         size_t limit_bytes,
                         void (*each)(void *ctx, const char *name, struct bytes content), void *ctx)
{
    return documents_of(registrar, &registrar->held.current, kind, limit_bytes, each, ctx);
}

bool registrar_good_documents(const struct registrar *registrar, Muster__DocumentKind kind,
                              size_t limit_bytes,
                              void (*each)(void *ctx, const char *name, struct bytes content),
                              void *ctx)
{
    return documents_of(registrar, trial_good(registrar), kind, limit_bytes, each, ctx);
}

const uint8_t *registrar_good_digest(const struct registrar *registrar)
{
    return trial_good(registrar)->digest;
}

bool registrar_sealed(const struct registrar *registrar, const char *name, struct buf *ret_content,
                      struct err *err)
{
    const struct registry_item *item = sync_item_of(&registrar->held.current.list, name);
    if (registrar->held.current.number == 0 || item == NULL)
        return err_set(err, ERR_NOT_FOUND, "%s is not in force", name);
    return read_document(registrar, registrar->held.current.number, item, LIMIT_SEALED_BYTES,
                         ret_content, err);
}

/* It is in force, and the manifest wants it to be. */
static bool is_in_force(const struct registrar *registrar, const struct sync_want *want)
{
    const struct registry_item *held = sync_item_of(&registrar->held.current.list, want->item.name);
    return want->mode == MUSTER__ASSIGN_MODE__MODE_REPAIR && registrar->held.current.number != 0 &&
           held != NULL && sync_same_content(held, &want->item);
}

/* Somebody else's to place: it is held nowhere here, and its slot is compared all the same. */
static bool is_observed(const struct sync_want *want)
{
    return want->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR &&
           want->refusal == MUSTER__REFUSAL__REFUSAL_NONE;
}

size_t registrar_keys(const struct registrar *registrar, struct key_wanted *ret_wanted, size_t max)
{
    const struct sync_wants *wants = registrar_wants(registrar);
    size_t count = 0;
    for (size_t i = 0; wants != NULL && i < wants->count; i++) {
        const struct sync_want *want = &wants->wants[i];
        if (want->item.kind != (int)MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK ||
            (!is_observed(want) && !is_in_force(registrar, want)))
            continue;
        if (count++ >= max)
            continue;
        struct key_wanted *wanted = &ret_wanted[count - 1];
        *wanted = (struct key_wanted){.placement = want->key, .mode = want->mode};
        (void)snprintf(wanted->name, sizeof wanted->name, "%s", want->item.name);
        memcpy(wanted->sha256, want->item.sha256, sizeof wanted->sha256);
    }
    return count;
}

static void package_fill(const struct sync_want *want, struct package_wanted *wanted)
{
    memset(wanted, 0, sizeof *wanted); /* all of it is compared */
    wanted->kind = (Muster__DocumentKind)want->item.kind;
    wanted->mode = want->mode;
    (void)snprintf(wanted->name, sizeof wanted->name, "%s", want->item.name);
    (void)snprintf(wanted->package_version, sizeof wanted->package_version, "%s",
                   want->package_version);
    (void)snprintf(wanted->model, sizeof wanted->model, "%s", want->model);
    memcpy(wanted->sha256, want->item.sha256, sizeof wanted->sha256);
}

/* Of a package with an owner his file counts, and not what runs. */
static bool is_asked_for(const struct registrar *registrar, const struct sync_want *want,
                         bool observed)
{
    if (!package_kind((Muster__DocumentKind)want->item.kind))
        return false;
    return observed
               ? is_observed(want) && owned_path(&registrar->others.owned, want->item.name) == NULL
               : is_in_force(registrar, want);
}

size_t registrar_packages(const struct registrar *registrar, struct package_wanted *ret_wanted,
                          size_t max)
{
    const struct sync_wants *wants = registrar->outdated ? NULL : registrar_wants(registrar);
    size_t count = 0;
    for (int observed = 0; wants != NULL && observed < 2; observed++)
        for (size_t i = 0; i < wants->count && count < max; i++)
            if (is_asked_for(registrar, &wants->wants[i], observed != 0))
                package_fill(&wants->wants[i], &ret_wanted[count++]);
    return count;
}

bool registrar_file(const struct registrar *registrar, const char *name, char *path,
                    struct err *err)
{
    const struct registry_held *held = &registrar->held;
    if (held->current.number == 0 || sync_item_of(&held->current.list, name) == NULL)
        return err_set(err, ERR_NOT_FOUND, "%s is not in force", name);
    return registry_document_path(registrar->registry, held->current.number, name, path, err);
}
