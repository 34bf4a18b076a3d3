/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/fleet.h"

#include "base/file.h"
#include "proto/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void must(bool ok, const char *what, const struct err *err)
{
    if (ok)
        return;
    (void)fprintf(stderr, "attack: %s: %s\n", what, err != NULL ? err->text : "failed");
    exit(1);
}

static ProtobufCBinaryData binary(struct bytes bytes)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)bytes.data, .len = bytes.length};
}

static char *text(const char *value)
{
    return (char *)(uintptr_t)value; /* protobuf-c has no const; it does not write */
}

/* ---- blobs ---- */

const struct buf *blobs_find(const struct blobs *blobs, const uint8_t sha256[32])
{
    for (size_t i = 0; i < blobs->count; i++)
        if (memcmp(blobs->list[i].sha256, sha256, 32) == 0)
            return &blobs->list[i].bytes;
    return NULL;
}

const uint8_t *blobs_add(struct blobs *blobs, struct bytes blob)
{
    uint8_t digest[32];
    sha256(blob, digest);
    for (size_t i = 0; i < blobs->count; i++)
        if (memcmp(blobs->list[i].sha256, digest, 32) == 0)
            return blobs->list[i].sha256;
    must(blobs->count < FLEET_BLOBS, "too many blobs", NULL);
    memcpy(blobs->list[blobs->count].sha256, digest, 32);
    must(buf_append(&blobs->list[blobs->count].bytes, blob.data, blob.length, NULL), "memory",
         NULL);
    return blobs->list[blobs->count++].sha256;
}

void blobs_done(struct blobs *blobs)
{
    for (size_t i = 0; i < blobs->count; i++)
        buf_done(&blobs->list[i].bytes);
    blobs->count = 0;
}

void fleet_pack(const struct fleet *fleet, struct bytes content, struct buf *out)
{
    size_t room = ZSTD_compressBound(content.length);
    uint8_t *to = buf_reserve(out, room, NULL);
    must(to != NULL, "memory", NULL);
    size_t made = ZSTD_compressCCtx(fleet->zstd, to, room, content.data, content.length, 3);
    must(!ZSTD_isError(made), "zstd", NULL);
    out->length += made;
}

void fleet_delta(const struct fleet *fleet, struct bytes base, struct bytes content,
                 struct buf *out)
{
    size_t room = ZSTD_compressBound(content.length);
    uint8_t *to = buf_reserve(out, room, NULL);
    must(to != NULL, "memory", NULL);
    must(!ZSTD_isError(ZSTD_CCtx_refPrefix(fleet->zstd, base.data, base.length)), "zstd", NULL);
    size_t made = ZSTD_compress2(fleet->zstd, to, room, content.data, content.length);
    must(!ZSTD_isError(made), "zstd", NULL);
    out->length += made;
}

/* ---- keys ---- */

void fleet_open(struct fleet *fleet, const char *folder)
{
    char path[256];
    *fleet = (struct fleet){.zstd = ZSTD_createCCtx()};
    must(fleet->zstd != NULL, "memory", NULL);
    for (size_t i = 0; i < KEYS; i++) {
        struct err err = {0};
        (void)snprintf(path, sizeof path, "%s/%zu.pem", folder, i);
        must(sign_key_make(path, &fleet->keys[i], &err), "a key", &err);
    }
}

static void secrets_done(struct fleet_device *device)
{
    for (size_t i = 0; i < FLEET_SECRETS; i++) {
        for (size_t version = 0; version < FLEET_SECRET_VERSIONS; version++) {
            buf_done(&device->secrets[i][version].plain);
            buf_done(&device->secrets[i][version].sealed);
        }
    }
}

void fleet_close(struct fleet *fleet)
{
    for (size_t i = 0; i < KEYS; i++)
        sign_key_free(fleet->keys[i]);
    for (size_t i = 0; i < fleet->device_count; i++)
        secrets_done(&fleet->devices[i]);
    ZSTD_freeCCtx(fleet->zstd);
}

static enum key first_key(Muster__Role role)
{
    switch (role) {
    case MUSTER__ROLE__ROLE_ROOT:
        return KEY_ROOT_1;
    case MUSTER__ROLE__ROLE_RELEASE:
        return KEY_RELEASE;
    case MUSTER__ROLE__ROLE_CUSTODIAN:
        return KEY_CUSTODIAN;
    case MUSTER__ROLE__ROLE_DIRECTOR:
        return KEY_DIRECTOR;
    case MUSTER__ROLE__ROLE_RECEIPT:
        return KEY_RECEIPT;
    default:
        return KEY_STRANGER;
    }
}

enum key fleet_key(const struct fleet *fleet, Muster__Role role)
{
    enum key key = first_key(role);
    return fleet->changed && key < KEY_STRANGER ? (enum key)(KEY_NEW + key) : key;
}

/* A thief's keys are those of the time when he stole them; who has no key of the role tries those
 * that he has, and one of his own. */
static size_t signers(const struct fleet *fleet, const struct thief *thief, Muster__Role role,
                      const struct sign_key *ret_keys[FLEET_ROLES + 1])
{
    size_t count = 0;
    if (thief == NULL) {
        ret_keys[0] = fleet->keys[fleet_key(fleet, role)];
        return 1;
    }
    if ((thief->roles >> role & 1) != 0) {
        ret_keys[0] = fleet->keys[first_key(role)];
        return 1;
    }
    for (int other = MUSTER__ROLE__ROLE_ROOT; other <= (int)MUSTER__ROLE__ROLE_RECEIPT; other++)
        if ((thief->roles >> other & 1) != 0)
            ret_keys[count++] = fleet->keys[first_key((Muster__Role)other)];
    ret_keys[count++] = fleet->keys[KEY_STRANGER];
    return count;
}

void fleet_seal(const struct fleet *fleet, const struct thief *thief, Muster__Role role,
                const char *domain, const char *context, const ProtobufCMessage *message,
                struct buf *out)
{
    const struct sign_key *keys[FLEET_ROLES + 1];
    struct buf body = {0};
    struct err err = {0};
    size_t count = signers(fleet, thief, role, keys);
    must(pack(message, &body, &err) &&
             seal(domain, context, buf_bytes(&body), keys, count, true, out, &err),
         domain, &err);
    buf_done(&body);
}

/* ---- documents and manifests ---- */

/* Of the header that all key blocks of this fleet have. */
static Muster__KeyPlacement key_placement(void)
{
    static uint8_t kcv[] = {1, 2, 3};
    Muster__KeyPlacement key = MUSTER__KEY_PLACEMENT__INIT;
    key.slot = text("pin");
    key.usage = text("P0");
    key.algorithm = text("T");
    key.mode = text("E");
    key.kcv_method = MUSTER__KCV_METHOD__KCV_TDES_ECB;
    key.kcv = binary(bytes_of(kcv, sizeof kcv));
    return key;
}

void fleet_header(const struct fleet *fleet, const struct thief *thief, const struct item *item,
                  struct buf *out)
{
    const struct document *document = &item->document;
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    Muster__Role role = item->role;
    uint8_t digest[32];
    if (role == MUSTER__ROLE__ROLE_UNKNOWN)
        role = document->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK
                   ? MUSTER__ROLE__ROLE_CUSTODIAN
                   : MUSTER__ROLE__ROLE_RELEASE;
    struct bytes sent = document->sealed.length > 0 ? document->sealed : document->content;
    sha256(sent, digest);
    header.name = text(document->name);
    header.kind = document->kind;
    header.epoch = document->epoch;
    header.version = document->version;
    header.minimum_version = document->minimum;
    header.length = document->length != 0 ? document->length : sent.length;
    header.sha256 =
        binary(bytes_of(digest, document->hash_bytes != 0 ? document->hash_bytes : sizeof digest));
    header.irreversible = document->irreversible;
    header.scope = document->scope;
    if (document->device != NULL)
        header.device = text(document->device);
    Muster__KeyPlacement key = key_placement();
    if (document->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK)
        header.key = &key;
    struct thief only = {0};
    if (thief != NULL && item->role != MUSTER__ROLE__ROLE_UNKNOWN) {
        only.roles = thief->roles & 1U << item->role;
        thief = &only;
    }
    fleet_seal(fleet, item->forged ? thief : NULL, role, item->domain ? item->domain : "document",
               "", &header.base, out);
}

struct item_parts {
    Muster__ManifestItem item;
    Muster__Encoding encoding, *encodings[2];
    struct buf header;
};

static void fill_item(const struct fleet *fleet, const struct thief *thief, const struct item *item,
                      struct blobs *blobs, struct item_parts *parts)
{
    struct buf packed = {0};
    muster__manifest_item__init(&parts->item);
    muster__encoding__init(&parts->encoding);
    if (item->header.length > 0)
        must(buf_append(&parts->header, item->header.data, item->header.length, NULL), "memory",
             NULL);
    else
        fleet_header(fleet, thief, item, &parts->header);
    bool sealed = item->document.sealed.length > 0;
    if (item->blob.length > 0)
        must(buf_append(&packed, item->blob.data, item->blob.length, NULL), "memory", NULL);
    else if (sealed)
        must(buf_append(&packed, item->document.sealed.data, item->document.sealed.length, NULL),
             "memory", NULL);
    else
        fleet_pack(fleet, item->document.content, &packed);
    const uint8_t *hash = blobs_add(blobs, buf_bytes(&packed));
    parts->encoding.coding =
        sealed ? MUSTER__CONTENT_CODING__CONTENT_CMS : MUSTER__CONTENT_CODING__CONTENT_ZSTD;
    parts->encoding.blob = binary(bytes_of(item->name_as != NULL ? item->name_as : hash, 32));
    parts->encoding.size = item->size != 0 ? item->size : packed.length;
    parts->encodings[0] = item->encoding != NULL ? item->encoding : &parts->encoding;
    parts->encodings[1] = &parts->encoding;
    parts->item.header = binary(buf_bytes(&parts->header));
    parts->item.mode = item->mode;
    parts->item.encodings = parts->encodings;
    parts->item.n_encodings = item->bare ? 0 : item->beside ? 2 : 1;
    buf_done(&packed);
}

static void fill_actions(const struct draft *draft, Muster__Manifest *manifest)
{
    manifest->actions = calloc(draft->actions + 1, sizeof(Muster__Action *));
    must(manifest->actions != NULL, "memory", NULL);
    for (size_t i = 0; i < draft->actions; i++) {
        Muster__Action *action = malloc(sizeof *action);
        char *id = malloc(draft->padding + 1);
        must(action != NULL && id != NULL, "memory", NULL);
        memset(id, 'a', draft->padding);
        id[draft->padding] = '\0';
        muster__action__init(action);
        action->id = id;
        manifest->actions[manifest->n_actions++] = action;
    }
}

static void free_actions(Muster__Manifest *manifest)
{
    for (size_t i = 0; i < manifest->n_actions; i++) {
        free(manifest->actions[i]->id);
        free(manifest->actions[i]);
    }
    free(manifest->actions);
}

void fleet_manifest(const struct fleet *fleet, const struct thief *thief, const struct draft *draft,
                    struct blobs *blobs, struct buf *out)
{
    Muster__Manifest manifest = MUSTER__MANIFEST__INIT;
    struct item_parts parts[FLEET_ITEMS] = {0};
    size_t count = draft->count + draft->repeats;
    Muster__ManifestItem **list = calloc(count + 1, sizeof(Muster__ManifestItem *));
    must(list != NULL, "memory", NULL);
    for (size_t i = 0; i < draft->count; i++)
        fill_item(fleet, thief, &draft->items[i], blobs, &parts[i]);
    for (size_t i = 0; i < count; i++)
        list[i] = &parts[i < draft->count ? i : draft->count - 1].item;
    manifest.device = text(draft->device);
    manifest.epoch = draft->epoch;
    manifest.version = draft->version;
    manifest.root_version = draft->root_version;
    manifest.expires_ms = draft->expires_ms;
    manifest.items = list;
    manifest.n_items = count;
    fill_actions(draft, &manifest);
    Muster__Action **padding = manifest.actions;
    if (draft->order_count > 0) {
        manifest.actions = draft->orders;
        manifest.n_actions = draft->order_count;
    }
    fleet_seal(fleet, draft->forged ? thief : NULL, MUSTER__ROLE__ROLE_DIRECTOR,
               draft->domain != NULL ? draft->domain : "manifest", draft->context, &manifest.base,
               out);
    manifest.actions = padding;
    manifest.n_actions = draft->actions;
    free_actions(&manifest);
    free(list);
    for (size_t i = 0; i < draft->count; i++)
        buf_done(&parts[i].header);
}
