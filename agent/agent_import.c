/* SPDX-License-Identifier: Apache-2.0 */
/* State that comes in a file instead of over the line: every part goes the way it would have gone
 * had it come from the broker, and is trusted no more. */
#include "agent/agent_parts.h"

#include "proto/limits.h"

#include <string.h>

static bool take_root(struct agent *agent, struct bytes envelope, struct err *err)
{
    return agent_take_root(agent, trust_version(agent->trust) + 1, envelope, err);
}

/* One that is not wanted any more is no fault of the file: the line may have brought it too. */
static bool take_blob(struct agent *agent, struct bytes blob, struct err *err)
{
    uint8_t digest[32];
    struct err why = {0};
    sha256(blob, digest);
    if (registrar_blob(agent->registrar, digest, blob, &why) || why.code == ERR_NOT_FOUND)
        return true;
    if (err != NULL)
        *err = why;
    return false;
}

static bool take_part(struct agent *agent, const struct import *import, struct err *err)
{
    struct bytes part = buf_bytes(&import->part);
    switch (import->kind) {
    case MUSTER__IMPORT_KIND__IMPORT_ROOT:
        return take_root(agent, part, err);
    case MUSTER__IMPORT_KIND__IMPORT_MANIFEST:
        return agent_take_manifest(agent, part, true, err);
    default:
        return take_blob(agent, part, err);
    }
}

static bool tell(struct agent *agent, bool whole, struct arena *arena, Muster__ClientReply *reply,
                 struct err *err)
{
    Muster__ImportReply *told = arena_alloc(arena, sizeof *told);
    uint8_t(*blobs)[32] = arena_alloc(arena, LIMIT_MANIFEST_ITEMS * sizeof *blobs);
    if (told == NULL || blobs == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for an answer");
    muster__import_reply__init(told);
    told->lacks = arena_alloc(arena, LIMIT_MANIFEST_ITEMS * sizeof *told->lacks);
    if (told->lacks == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for an answer");
    size_t count = registrar_lacks(agent->registrar, blobs, LIMIT_MANIFEST_ITEMS);
    told->n_lacks = count < LIMIT_MANIFEST_ITEMS ? count : LIMIT_MANIFEST_ITEMS;
    for (size_t i = 0; i < told->n_lacks; i++)
        told->lacks[i] = (ProtobufCBinaryData){.len = 32, .data = blobs[i]};
    char stale[FRESHNESS_WHY_CHARS];
    agent_look_at_freshness(agent, stale);
    told->stale = arena_copy(arena, stale, strlen(stale) + 1);
    if (told->stale == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for an answer");
    told->device = (char *)(uintptr_t)agent->settings->device;
    told->root_version = trust_version(agent->trust);
    told->manifest_version = registrar_manifest_version(agent->registrar);
    told->whole = whole;
    reply->import = told;
    return true;
}

bool agent_import(struct agent *agent, struct import *import, const Muster__ImportQuery *query,
                  struct arena *arena, Muster__ClientReply *reply, struct err *err)
{
    bool whole = false;
    if (query->kind != MUSTER__IMPORT_KIND__IMPORT_ASK &&
        query->kind != MUSTER__IMPORT_KIND__IMPORT_SETTLE) {
        if (!import_add(import, query, &whole, err))
            return false;
        bool taken = !whole || take_part(agent, import, err);
        if (whole)
            import_end(import);
        if (!taken)
            return false;
    }
    agent_pump(agent);
    return tell(agent, whole, arena, reply, err);
}
