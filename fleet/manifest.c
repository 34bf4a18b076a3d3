/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/manifest.h"

#include "proto/unpack.h"

#include <string.h>

static bool copy_bytes(struct arena *arena, struct bytes from, ProtobufCBinaryData *to)
{
    to->len = from.length;
    to->data = from.length == 0 ? NULL : arena_copy(arena, from.data, from.length);
    return from.length == 0 || to->data != NULL;
}

static Muster__Encoding *copy_encoding(struct arena *arena, const struct fleetdb_encoding *from)
{
    Muster__Encoding *encoding = arena_alloc(arena, sizeof *encoding);
    if (encoding == NULL)
        return NULL;
    muster__encoding__init(encoding);
    encoding->coding = (Muster__ContentCoding)from->coding;
    encoding->size = from->size;
    encoding->piece_bytes = from->piece_bytes;
    encoding->pieces_size = from->pieces_size;
    size_t base_bytes = from->delta ? sizeof from->base : 0;
    bool copied = copy_bytes(arena, bytes_of(from->blob, sizeof from->blob), &encoding->blob) &&
                  copy_bytes(arena, bytes_of(from->base, base_bytes), &encoding->base_sha256) &&
                  copy_bytes(arena, from->data, &encoding->data);
    return copied ? encoding : NULL;
}

static Muster__ManifestItem *copy_item(struct arena *arena, const struct fleetdb_document *from,
                                       int mode)
{
    Muster__ManifestItem *item = arena_alloc(arena, sizeof *item);
    if (item == NULL)
        return NULL;
    muster__manifest_item__init(item);
    item->mode = (Muster__AssignMode)mode;
    item->encodings = arena_alloc(arena, from->encoding_count * sizeof(*item->encodings));
    if (item->encodings == NULL || !copy_bytes(arena, from->header, &item->header))
        return NULL;
    for (size_t i = 0; i < from->encoding_count; i++) {
        item->encodings[i] = copy_encoding(arena, &from->encodings[i]);
        if (item->encodings[i] == NULL)
            return NULL;
        item->n_encodings++;
    }
    return item;
}

bool manifest_add(struct manifest *manifest, const struct fleetdb_document *document, int mode,
                  struct err *err)
{
    if (manifest->item_count == LIMIT_MANIFEST_ITEMS)
        return err_set(err, ERR_FULL, "a manifest holds %d documents at the most",
                       LIMIT_MANIFEST_ITEMS);
    if (manifest->last_name != NULL && strcmp(document->name, manifest->last_name) <= 0)
        return err_set(err, ERR_INVALID, "document %s is out of order in the manifest",
                       document->name);
    const char *name = arena_copy(&manifest->arena, document->name, strlen(document->name) + 1);
    Muster__ManifestItem *item = copy_item(&manifest->arena, document, mode);
    if (name == NULL || item == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for document %s in the manifest",
                       document->name);
    manifest->last_name = name;
    manifest->items[manifest->item_count++] = item;
    return true;
}

bool manifest_add_action(struct manifest *manifest, const struct fleetdb_action *action,
                         struct err *err)
{
    if (manifest->action_count == LIMIT_MANIFEST_ACTIONS)
        return err_set(err, ERR_CONFLICT, "a manifest holds %d actions at the most",
                       LIMIT_MANIFEST_ACTIONS);
    Muster__Action *added = arena_alloc(&manifest->arena, sizeof *added);
    if (added == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for an action in the manifest");
    muster__action__init(added);
    added->id = arena_copy(&manifest->arena, action->name, strlen(action->name) + 1);
    added->note = arena_copy(&manifest->arena, action->note, strlen(action->note) + 1);
    added->kind = (Muster__ActionKind)action->kind;
    added->expires_ms = action->expires_ms;
    added->limit_bytes = action->limit_bytes;
    added->since_epoch = action->since_epoch;
    added->since_version = action->since_version;
    added->generation_digest.len = action->digest.length;
    if (action->digest.length > 0)
        added->generation_digest.data =
            arena_copy(&manifest->arena, action->digest.data, action->digest.length);
    manifest->actions[manifest->action_count++] = added;
    return (added->id != NULL && added->note != NULL &&
            (action->digest.length == 0 || added->generation_digest.data != NULL)) ||
           err_set(err, ERR_NO_MEMORY, "no memory for an action in the manifest");
}

static void stamp_actions(const struct manifest *manifest, const struct manifest_stamp *stamp)
{
    for (size_t i = 0; i < manifest->action_count; i++) {
        if (manifest->actions[i]->since_version != 0)
            continue;
        manifest->actions[i]->since_epoch = stamp->epoch;
        manifest->actions[i]->since_version = stamp->version;
    }
}

static bool pack_manifest(const struct manifest *manifest, const struct manifest_stamp *stamp,
                          struct buf *out, struct err *err)
{
    stamp_actions(manifest, stamp);
    Muster__Manifest message = MUSTER__MANIFEST__INIT;
    message.device = (char *)stamp->device;
    message.epoch = stamp->epoch;
    message.version = stamp->version;
    message.root_version = stamp->root_version;
    message.issued_ms = stamp->issued_ms;
    message.n_items = manifest->item_count;
    message.items = (Muster__ManifestItem **)manifest->items;
    message.n_actions = manifest->action_count;
    message.actions = (Muster__Action **)manifest->actions;
    return pack(&message.base, out, err);
}

bool manifest_seal(const struct manifest *manifest, const struct manifest_stamp *stamp,
                   const struct sign_key *director, struct buf *out, struct err *err)
{
    struct buf body = {0};
    size_t before = out->length;
    bool ok = pack_manifest(manifest, stamp, &body, err) &&
              seal("manifest", stamp->device, buf_bytes(&body), &director, 1, true, out, err);
    buf_done(&body);
    size_t size = out->length - before;
    if (ok && size > LIMIT_MANIFEST_BYTES) {
        out->length = before;
        return err_set(err, ERR_FULL, "the manifest would have %zu bytes, more than the %d allowed",
                       size, LIMIT_MANIFEST_BYTES);
    }
    return ok;
}

void manifest_done(struct manifest *manifest)
{
    arena_done(&manifest->arena);
    *manifest = (struct manifest){0};
}
