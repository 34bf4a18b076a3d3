/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/desired.h"

#include "agent/validate.h"
#include "proto/limits.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void desired_free(struct desired *desired)
{
    if (desired == NULL)
        return;
    buf_done(&desired->envelope);
    free(desired);
}

bool desired_body(const struct trust *trust, const char *device, struct bytes envelope,
                  struct bytes *ret_body, struct err *err)
{
    if (envelope.length > LIMIT_MANIFEST_BYTES)
        return err_set(err, ERR_INVALID, "manifest of %zu bytes, at most %d are allowed",
                       envelope.length, LIMIT_MANIFEST_BYTES);
    return unseal("manifest", device, envelope, trust_keys(trust, MUSTER__ROLE__ROLE_DIRECTOR),
                  ret_body, err);
}

/* The first encoding that this agent can open; all zero when there is none. */
static void encoding_pick(const Muster__ManifestItem *item, struct registry_item *ret_item)
{
    for (size_t i = 0; i < item->n_encodings; i++) {
        const Muster__Encoding *encoding = item->encodings[i];
        if (encoding->coding != MUSTER__CONTENT_CODING__CONTENT_ZSTD ||
            encoding->blob.len != sizeof ret_item->blob || encoding->size == 0 ||
            encoding->size > LIMIT_BLOB_BYTES)
            continue;
        memcpy(ret_item->blob, encoding->blob.data, sizeof ret_item->blob);
        ret_item->blob_size = encoding->size;
        return;
    }
}

static bool header_check(const Muster__DocumentHeader *header, const char *device, struct err *err)
{
    if (!document_name_valid(header->name))
        return err_set(err, ERR_INVALID, "a document's name is not valid");
    if (strcmp(validate_kind_name(header->kind), "unknown") == 0)
        return err_set(err, ERR_REFUSED, "%s: kind %d is not known to this agent", header->name,
                       (int)header->kind);
    if (header->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED)
        return err_set(err, ERR_REFUSED, "%s: sealed documents are not known to this agent",
                       header->name);
    if (header->scope != MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC)
        return err_set(err, ERR_INVALID, "%s: scope %d", header->name, (int)header->scope);
    if (header->device[0] != '\0' && strcmp(header->device, device) != 0)
        return err_set(err, ERR_REFUSED, "%s: it is for another device", header->name);
    if (header->sha256.len != 32)
        return err_set(err, ERR_INVALID, "%s: its hash has %zu bytes", header->name,
                       header->sha256.len);
    if (header->length > LIMIT_DOCUMENT_BYTES)
        return err_set(err, ERR_REFUSED, "%s: %" PRIu64 " bytes, at most %d are held", header->name,
                       header->length, LIMIT_DOCUMENT_BYTES);
    if (header->version == 0 || header->version < header->minimum_version)
        return err_set(err, ERR_INVALID,
                       "%s: version %" PRIu64 " is below its own minimum %" PRIu64, header->name,
                       header->version, header->minimum_version);
    return true;
}

static bool mode_check(const struct sync_want *want, struct err *err)
{
    static const uint8_t none[32];
    if (want->mode != MUSTER__ASSIGN_MODE__MODE_OBSERVE &&
        want->mode != MUSTER__ASSIGN_MODE__MODE_PROPOSE &&
        want->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR)
        return err_set(err, ERR_INVALID, "%s: mode %d is not known to this agent", want->item.name,
                       (int)want->mode);
    if (want->mode == MUSTER__ASSIGN_MODE__MODE_REPAIR && memcmp(want->item.blob, none, 32) == 0)
        return err_set(err, ERR_REFUSED, "%s: no encoding that this agent understands",
                       want->item.name);
    return true;
}

static bool item_parse(const struct trust *trust, const char *device,
                       const Muster__ManifestItem *item, struct arena *arena,
                       struct sync_want *ret_want, uint64_t *ret_minimum, struct err *err)
{
    const struct unpack_limits limits = {.max_bytes = LIMIT_DOCUMENT_HEADER_BYTES};
    struct bytes body;
    ProtobufCMessage *message;
    if (!unseal("document", "", bytes_of(item->header.data, item->header.len),
                trust_keys(trust, MUSTER__ROLE__ROLE_RELEASE), &body, err) ||
        !unpack(&muster__document_header__descriptor, body, &limits, arena, &message, err))
        return false;
    const Muster__DocumentHeader *header = (const Muster__DocumentHeader *)message;
    if (!header_check(header, device, err))
        return false;
    struct sync_want want = {.mode = item->mode};
    memcpy(want.item.name, header->name, strlen(header->name) + 1);
    want.item.kind = (int)header->kind;
    want.item.version = header->version;
    want.item.length = header->length;
    memcpy(want.item.sha256, header->sha256.data, 32);
    encoding_pick(item, &want.item);
    if (!mode_check(&want, err))
        return false;
    *ret_want = want;
    *ret_minimum = header->minimum_version;
    return true;
}

static bool items_parse(const struct trust *trust, const char *device,
                        const Muster__Manifest *manifest, struct arena *arena,
                        struct desired *desired, struct err *err)
{
    struct sync_wants *wants = &desired->wants;
    if (manifest->n_items > LIMIT_MANIFEST_ITEMS)
        return err_set(err, ERR_INVALID, "%zu items, at most %d are allowed", manifest->n_items,
                       LIMIT_MANIFEST_ITEMS);
    for (size_t i = 0; i < manifest->n_items; i++) {
        if (!item_parse(trust, device, manifest->items[i], arena, &wants->wants[i],
                        &desired->minimum[i], err))
            return err_context(err, "item %zu", i + 1);
        if (i > 0 && strcmp(wants->wants[i - 1].item.name, wants->wants[i].item.name) >= 0)
            return err_set(err, ERR_INVALID, "item %zu: %s does not come after %s", i + 1,
                           wants->wants[i].item.name, wants->wants[i - 1].item.name);
        wants->count = i + 1;
    }
    return true;
}

static bool body_parse(const struct trust *trust, const char *device, struct bytes body,
                       struct arena *arena, struct desired *desired, struct err *err)
{
    const struct unpack_limits limits = {.max_bytes = LIMIT_MANIFEST_BYTES};
    ProtobufCMessage *message;
    if (!unpack(&muster__manifest__descriptor, body, &limits, arena, &message, err))
        return false;
    const Muster__Manifest *manifest = (const Muster__Manifest *)message;
    if (strcmp(manifest->device, device) != 0)
        return err_set(err, ERR_REFUSED, "it is for another device");
    if (manifest->version == 0)
        return err_set(err, ERR_INVALID, "it has no version");
    desired->version = manifest->version;
    desired->expires_ms = manifest->expires_ms;
    return items_parse(trust, device, manifest, arena, desired, err);
}

bool desired_parse(const struct trust *trust, const char *device, struct bytes envelope,
                   struct bytes body, struct desired **ret_desired, struct err *err)
{
    struct arena arena = {0};
    struct desired *desired = calloc(1, sizeof *desired);
    if (desired == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a manifest");
    sha256(body, desired->digest);
    bool good = body_parse(trust, device, body, &arena, desired, err);
    arena_done(&arena);
    if (!good) {
        err_context(err, "manifest %" PRIu64, desired->version);
    } else {
        good = buf_append(&desired->envelope, envelope.data, envelope.length, err);
    }
    if (!good) {
        desired_free(desired);
        return false;
    }
    *ret_desired = desired;
    return true;
}
