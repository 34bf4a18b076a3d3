/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/desired.h"

#include "agent/header.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void desired_free(struct desired *desired)
{
    if (desired == NULL)
        return;
    for (size_t i = 0; desired->ways != NULL && i < desired->wants.count; i++)
        ways_done(&desired->ways[i]);
    free(desired->ways);
    buf_done(&desired->inlined);
    buf_done(&desired->envelope);
    free(desired);
}

bool desired_body(const struct trust *trust, const char *device, struct bytes envelope,
                  struct bytes *ret_body, struct err *err)
{
    if (envelope.length > LIMIT_MANIFEST_BYTES)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
                      "manifest of %zu bytes, at most %d are allowed", envelope.length,
                      LIMIT_MANIFEST_BYTES);
    return unseal("manifest", device, envelope, trust_keys(trust, MUSTER__ROLE__ROLE_DIRECTOR),
                  ret_body, err) ||
           refuse_unread(err, MUSTER__REFUSAL__REFUSAL_SIGNATURE);
}

/* `want` says then what room its content takes at most; blob all zero: nothing leads there. */
static bool encodings_take(const Muster__ManifestItem *item, struct sync_want *want,
                           struct ways *ways, struct buf *inlined, struct err *err)
{
    if (!ways_read(item, &want->item, inlined, ways, err))
        return false;
    const uint8_t *blob = NULL;
    uint64_t room = ways_room(ways, &blob);
    if (!ways->whole)
        return true;
    memcpy(want->item.blob, blob, 32);
    want->item.blob_size = room;
    return true;
}

static bool mode_check(const struct sync_want *want, struct err *err)
{
    static const uint8_t none[32];
    if (want->mode != MUSTER__ASSIGN_MODE__MODE_OBSERVE &&
        want->mode != MUSTER__ASSIGN_MODE__MODE_PROPOSE &&
        want->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_MODE, ERR_INVALID,
                      "%s: mode %d is not known to this agent", want->item.name, (int)want->mode);
    if (want->mode == MUSTER__ASSIGN_MODE__MODE_REPAIR && memcmp(want->item.blob, none, 32) == 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_ENCODING, ERR_REFUSED,
                      "%s: no encoding that this agent understands", want->item.name);
    return true;
}

/* A key that nobody has said the place of would be anybody's. Only that one is refused: tables do
 * not wait for a custodian to sign again what was signed before slots were named. */
static void key_take(const Muster__DocumentHeader *header, struct sync_want *want)
{
    struct err why = {0};
    if (header->kind != MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK ||
        key_placement_read(header->key, &want->key, &why))
        return;
    want->mode = MUSTER__ASSIGN_MODE__MODE_OBSERVE;
    want->refusal = refusal_of(&why);
    (void)snprintf(want->why, sizeof want->why, "%.*s", (int)sizeof want->why - 1, why.text);
}

static bool item_parse(const struct trust *trust, const char *device,
                       const Muster__ManifestItem *item, struct arena *arena,
                       struct desired *desired, size_t at, struct err *err)
{
    const Muster__DocumentHeader *header;
    if (!header_open(trust, device, bytes_of(item->header.data, item->header.len), arena, &header,
                     err))
        return false;
    struct sync_want *want = &desired->wants.wants[at];
    *want = (struct sync_want){.mode = item->mode, .assigned = item->mode};
    memcpy(want->item.name, header->name, strlen(header->name) + 1);
    want->item.kind = (int)header->kind;
    want->item.epoch = header->epoch;
    want->item.version = header->version;
    want->item.length = header->length;
    want->item.sealed = header->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    memcpy(want->item.sha256, header->sha256.data, 32);
    desired->minimum[at] = header->minimum_version;
    desired->final[at] = header->irreversible;
    memcpy(want->package_version, header->package_version, strlen(header->package_version) + 1);
    memcpy(want->model, header->model, strlen(header->model) + 1);
    if (!encodings_take(item, want, &desired->ways[at], &desired->inlined, err) ||
        !mode_check(want, err))
        return false;
    key_take(header, want);
    return true;
}

static bool items_parse(const struct trust *trust, const char *device,
                        const Muster__Manifest *manifest, struct arena *arena,
                        struct desired *desired, struct err *err)
{
    struct sync_wants *wants = &desired->wants;
    if (manifest->n_items > LIMIT_MANIFEST_ITEMS)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
                      "%zu items, at most %d are allowed", manifest->n_items, LIMIT_MANIFEST_ITEMS);
    desired->ways = calloc(manifest->n_items + 1, sizeof *desired->ways);
    if (desired->ways == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a manifest");
    for (size_t i = 0; i < manifest->n_items; i++) {
        if (!item_parse(trust, device, manifest->items[i], arena, desired, i, err))
            return err_context(err, "item %zu", i + 1);
        if (i > 0 && strcmp(wants->wants[i - 1].item.name, wants->wants[i].item.name) >= 0)
            return refuse(err, MUSTER__REFUSAL__REFUSAL_MANIFEST_ORDER, ERR_INVALID,
                          "item %zu: %s does not come after %s", i + 1, wants->wants[i].item.name,
                          wants->wants[i - 1].item.name);
        wants->count = i + 1;
    }
    return true;
}

static bool stamp_check(const struct trust *trust, const Muster__Manifest *manifest,
                        struct err *err)
{
    if (manifest->version == 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID, "it has no version");
    if (manifest->version > LIMIT_VERSION)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MANIFEST_LEAP, ERR_INVALID,
                      "it would use up the numbers, which end at 2^53");
    if (manifest->root_version > trust_version(trust))
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MANIFEST_ROOT, ERR_REFUSED,
                      "it was made under root %" PRIu64 ", and %" PRIu64
                      " is the newest known here; it is taken once that root has come",
                      manifest->root_version, trust_version(trust));
    if (manifest->epoch != trust_epoch(trust))
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MANIFEST_EPOCH, ERR_REFUSED,
                      "it is of epoch %" PRIu64 ", that of the root in force is %" PRIu64,
                      manifest->epoch, trust_epoch(trust));
    return true;
}

static bool body_parse(const struct trust *trust, const char *device, struct bytes body,
                       struct arena *arena, struct desired *desired, struct err *err)
{
    const struct unpack_limits limits = {.max_bytes = LIMIT_MANIFEST_BYTES};
    ProtobufCMessage *message;
    if (!unpack(&muster__manifest__descriptor, body, &limits, arena, &message, err))
        return refuse_unread(err, MUSTER__REFUSAL__REFUSAL_MALFORMED);
    const Muster__Manifest *manifest = (const Muster__Manifest *)message;
    if (strcmp(manifest->device, device) != 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DEVICE, ERR_REFUSED,
                      "it is for another device");
    desired->epoch = manifest->epoch;
    desired->version = manifest->version;
    desired->expires_ms = manifest->expires_ms;
    return stamp_check(trust, manifest, err) &&
           action_list_read(manifest, &desired->actions, err) &&
           items_parse(trust, device, manifest, arena, desired, err);
}

void desired_number(struct bytes body, uint64_t *ret_epoch, uint64_t *ret_version)
{
    const struct unpack_limits limits = {.max_bytes = LIMIT_MANIFEST_BYTES};
    struct arena arena = {0};
    ProtobufCMessage *message;
    *ret_epoch = *ret_version = 0;
    if (unpack(&muster__manifest__descriptor, body, &limits, &arena, &message, NULL)) {
        *ret_epoch = ((const Muster__Manifest *)message)->epoch;
        *ret_version = ((const Muster__Manifest *)message)->version;
    }
    arena_done(&arena);
}

bool desired_parse(const struct trust *trust, const char *device, struct bytes envelope,
                   struct bytes body, struct desired **ret_desired, struct err *err)
{
    struct arena arena = {0};
    struct desired *desired = calloc(1, sizeof *desired);
    if (desired == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a manifest");
    sha256(body, desired->digest);
    bool good = body_parse(trust, device, body, &arena, desired, err) &&
                desired_digests(desired, &desired->digests, err);
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

bool desired_open(const struct trust *trust, const char *device, struct bytes envelope,
                  struct desired **ret_desired, struct err *err)
{
    struct bytes body = {0};
    return desired_body(trust, device, envelope, &body, err) &&
           desired_parse(trust, device, envelope, body, ret_desired, err);
}
