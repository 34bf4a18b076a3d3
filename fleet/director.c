/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/director.h"

#include "fleet/choice.h"
#include "fleet/manifest.h"
#include "fleet/words.h"
#include "proto/refusal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What goes into one manifest, and the blobs that it names. */
struct draft {
    const struct director *director;
    int64_t device;
    struct manifest manifest;
    bool lean;
    size_t inline_left;
    uint8_t (*blobs)[32];
    size_t blob_count;
    struct choice choice; /* of the document just added */
};

enum { BLOBS_MAX = LIMIT_MANIFEST_ITEMS * FLEETDB_ENCODINGS_MAX };

/* Terminals refuse the whole manifest for one document of another epoch, so none is made. */
static bool check_epoch(const struct director *director, const struct fleetdb_document *document,
                        struct err *err)
{
    const uint64_t epoch = trust_epoch(director->trust);
    return document->epoch == epoch ||
           refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_EPOCH, ERR_REFUSED,
                  "document %s version %" PRIu64 " is of epoch %" PRIu64
                  ", and the root in force of epoch %" PRIu64 ": publish it again",
                  document->name, document->version, document->epoch, epoch);
}

static bool add_assigned(void *ctx, const struct fleetdb_document *document, int mode,
                         struct err *err)
{
    struct draft *draft = ctx;
    struct choice *choice = &draft->choice;
    struct fleetdb_document chosen = *document;
    if (!check_epoch(draft->director, document, err) ||
        !choice_make(draft->director->db, draft->device, document,
                     draft->lean ? NULL : &draft->inline_left, choice, err))
        return false;
    chosen.encodings = choice->encodings;
    chosen.encoding_count = choice->count;
    if (!manifest_add(&draft->manifest, &chosen, mode, err))
        return false;
    for (size_t i = 0; i < choice->count; i++)
        if (choice->encodings[i].data.length == 0)
            memcpy(draft->blobs[draft->blob_count++], choice->encodings[i].blob, 32);
    return true;
}

static void draft_free(struct draft *draft)
{
    if (draft == NULL)
        return;
    manifest_done(&draft->manifest);
    free(draft->blobs);
    free(draft);
}

static bool draft_make(const struct director *director, int64_t device, bool lean,
                       struct draft **ret_draft, struct err *err)
{
    struct draft *draft = calloc(1, sizeof *draft);
    if (draft != NULL)
        draft->blobs = calloc(BLOBS_MAX, sizeof *draft->blobs);
    if (draft == NULL || draft->blobs == NULL) {
        draft_free(draft);
        return err_set(err, ERR_NO_MEMORY, "no memory for a manifest");
    }
    draft->director = director;
    draft->device = device;
    draft->lean = lean;
    draft->inline_left = CHOICE_INLINE_BYTES;
    if (!fleetdb_assigned_each(director->db, device, add_assigned, draft, err)) {
        draft_free(draft);
        return false;
    }
    *ret_draft = draft;
    return true;
}

/* Seals what is assigned and keeps it. */
static bool keep(const struct director *director, const struct fleetdb_device *device,
                 struct fleetdb_manifest *manifest, const struct draft *draft, struct buf *out,
                 struct err *err)
{
    const struct manifest_stamp stamp = {
        .device = device->id,
        .epoch = manifest->epoch,
        .version = manifest->version,
        .root_version = manifest->root_version,
        .issued_ms = manifest->issued_ms,
    };
    size_t before = out->length;
    if (!manifest_seal(&draft->manifest, &stamp, director->key, out, err))
        return false;
    struct bytes envelope = buf_after(out, before);
    manifest->blobs = (const uint8_t(*)[32])draft->blobs;
    manifest->blob_count = draft->blob_count;
    return fleetdb_manifest_put(director->db, device->device, manifest, envelope, err);
}

static bool draft_and_keep(const struct director *director, const struct fleetdb_device *device,
                           bool lean, struct fleetdb_manifest *manifest, struct buf *out,
                           struct err *err)
{
    struct draft *draft = NULL;
    bool ok = draft_make(director, device->device, lean, &draft, err) &&
              keep(director, device, manifest, draft, out, err);
    draft_free(draft);
    return ok;
}

/* Signs what is assigned now as the version after `floor`, and keeps it. */
static bool renew(const struct director *director, const struct fleetdb_device *device,
                  uint64_t floor, int64_t now_ms, struct fleetdb_manifest *ret_manifest,
                  struct buf *out, struct err *err)
{
    struct fleetdb_manifest manifest = {
        .epoch = trust_epoch(director->trust),
        .version = floor + 1,
        .root_version = trust_version(director->trust),
        .issued_ms = now_ms,
    };
    size_t before = out->length;
    struct err why = {0};
    bool ok = draft_and_keep(director, device, false, &manifest, out, &why);
    if (!ok && why.code == ERR_FULL)
        ok = draft_and_keep(director, device, true, &manifest, out, err);
    else if (!ok && err != NULL)
        *err = why;
    if (!ok) {
        out->length = before;
        return err_context(err, "manifest of %s", device->id);
    }
    manifest.blobs = NULL;
    manifest.blob_count = 0;
    *ret_manifest = manifest;
    return true;
}

/* The highest version in the epoch that the device may know: ours, or what it reported. */
static bool version_floor(const struct director *director, const struct fleetdb_device *device,
                          uint64_t *ret_floor, struct err *err)
{
    const uint64_t epoch = trust_epoch(director->trust);
    struct fleetdb_manifest ours;
    uint64_t seen_epoch, seen;
    if (!fleetdb_manifest_get(director->db, device->device, &ours, NULL, err) ||
        !fleetdb_manifest_reported(director->db, device->device, &seen_epoch, &seen, err))
        return false;
    uint64_t floor = ours.epoch == epoch ? ours.version : 0;
    /* A device that does not say its epoch yet means the one it and we are in. */
    if ((seen_epoch == epoch || seen_epoch == 0) && seen > floor && seen < LIMIT_VERSION)
        floor = seen;
    *ret_floor = floor;
    return true;
}

static bool audit(const struct director *director, const struct director_order *order,
                  uint64_t version, const struct director_outcome *outcome, int64_t now_ms,
                  struct err *err)
{
    char text[160];
    if (order->remove)
        (void)snprintf(text, sizeof text, "%s; manifest %" PRIu64, order->document,
                       outcome->manifest_version);
    else
        (void)snprintf(text, sizeof text, "%s version %" PRIu64 " to %s; manifest %" PRIu64,
                       order->document, version, word_of_mode(order->mode),
                       outcome->manifest_version);
    return fleetdb_audit(director->db, now_ms, "api", order->remove ? "unassign" : "assign",
                         outcome->device.device, text, err);
}

static bool set(const struct director *director, const struct director_order *order,
                const struct fleetdb_device *device, int64_t now_ms, uint64_t *ret_version,
                bool *ret_changed, struct err *err)
{
    if (order->remove)
        return fleetdb_unassign(director->db, device->device, order->document, ret_changed, err);
    const struct fleetdb_wish wish = {.name = order->document,
                                      .device = device->device,
                                      .epoch = trust_epoch(director->trust),
                                      .version = order->version};
    int64_t document;
    return fleetdb_document_find(director->db, &wish, &document, ret_version, err) &&
           fleetdb_assign(director->db, device->device, order->document, document, order->mode,
                          now_ms, ret_changed, err);
}

/* What is assigned of this name and cannot go back; version 0: nothing. */
struct final {
    const char *name;
    uint64_t epoch, version;
};

static bool note_final(void *ctx, const struct fleetdb_document *document, int mode,
                       struct err *err)
{
    struct final *final = ctx;
    (void)err;
    if (document->irreversible && mode == MUSTER__ASSIGN_MODE__MODE_REPAIR &&
        document->epoch == final->epoch && strcmp(document->name, final->name) == 0)
        final->version = document->version;
    return true;
}

static bool find_final(const struct director *director, const char *name, int64_t device,
                       struct final *ret_final, struct err *err)
{
    *ret_final = (struct final){.name = name, .epoch = trust_epoch(director->trust)};
    return fleetdb_assigned_each(director->db, device, note_final, ret_final, err);
}

/* A terminal refuses every manifest without it: better that it is never signed. */
static bool check_final(const struct director_order *order, const struct final *final,
                        uint64_t version, struct err *err)
{
    if (final->version == 0 || (!order->remove && version >= final->version))
        return true;
    return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_IRREVERSIBLE, ERR_REFUSED,
                  "%s: version %" PRIu64 " is assigned and cannot be taken back%s", order->document,
                  final->version,
                  order->remove ? "; assign a newer version that can, then unassign that" : "");
}

/* Likewise what is below the highest minimum ever signed for the name: a terminal that took the
 * document which says so refuses it, and no other should be given what release has called back. */
static bool check_minimum(const struct director *director, const struct director_order *order,
                          const struct fleetdb_device *device, uint64_t version, struct err *err)
{
    struct fleetdb_standing standing;
    if (order->remove)
        return true;
    if (!fleetdb_document_standing(director->db, order->document, device->device, &standing, err))
        return false;
    if (standing.epoch != trust_epoch(director->trust) || version >= standing.minimum_version)
        return true;
    return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_FLOOR, ERR_REFUSED,
                  "%s: version %" PRIu64 " is below version %" PRIu64
                  ", the highest minimum ever signed for it; publish its content again, as a "
                  "newer version",
                  order->document, version, standing.minimum_version);
}

/* In a new epoch documents are signed again one by one: until the last one of the device is, its
 * manifest stays as it is, or none of them could ever be the first. */
static bool renew_or_wait(const struct director *director, const struct fleetdb_device *device,
                          uint64_t floor, int64_t now_ms, struct fleetdb_manifest *manifest,
                          struct buf *envelope, struct err *err)
{
    struct err why = {0};
    if (renew(director, device, floor, now_ms, manifest, envelope, &why) ||
        refusal_of(&why) == MUSTER__REFUSAL__REFUSAL_DOCUMENT_EPOCH)
        return true;
    if (err != NULL)
        *err = why;
    return false;
}

static bool assign_one(const struct director *director, const struct director_order *order,
                       const char *id, int64_t now_ms, struct director_outcome *ret_outcome,
                       struct err *err)
{
    struct director_outcome outcome = {0};
    struct fleetdb_manifest manifest;
    uint64_t floor, version = 0;
    struct buf envelope = {0};
    if (!fleetdb_device_find(director->db, id, &outcome.device, err))
        return false;
    if (outcome.device.life == FLEETDB_RETIRED)
        return err_set(err, ERR_REFUSED, "device %s is retired; nothing can be assigned to it", id);
    struct final final;
    if (!find_final(director, order->document, outcome.device.device, &final, err) ||
        !set(director, order, &outcome.device, now_ms, &version, &outcome.changed, err) ||
        !check_final(order, &final, version, err) ||
        (outcome.changed && !check_minimum(director, order, &outcome.device, version, err)))
        return false;
    bool ok = fleetdb_manifest_get(director->db, outcome.device.device, &manifest, NULL, err);
    if (ok && outcome.changed)
        ok = version_floor(director, &outcome.device, &floor, err) &&
             renew_or_wait(director, &outcome.device, floor, now_ms, &manifest, &envelope, err);
    buf_done(&envelope);
    outcome.manifest_version = ok ? manifest.version : 0;
    if (ok && outcome.changed)
        ok = audit(director, order, version, &outcome, now_ms, err);
    if (ok)
        *ret_outcome = outcome;
    return ok;
}

bool director_assign(const struct director *director, const struct director_order *order,
                     const char *const *ids, size_t count, int64_t now_ms,
                     struct director_outcome *ret_outcomes, struct err *err)
{
    bool ok = fleetdb_begin(director->db, err);
    if (!ok)
        return false;
    for (size_t i = 0; ok && i < count; i++)
        ok = assign_one(director, order, ids[i], now_ms, &ret_outcomes[i], err);
    if (!ok)
        fleetdb_rollback(director->db);
    return ok && fleetdb_commit(director->db, err);
}

bool director_try(const struct director *director, const struct director_order *order,
                  const char *id, int64_t now_ms, struct director_outcome *ret_outcome,
                  struct err *err)
{
    if (!fleetdb_begin(director->db, err))
        return false;
    bool ok = assign_one(director, order, id, now_ms, ret_outcome, err);
    fleetdb_rollback(director->db);
    return ok;
}

bool director_renew(const struct director *director, const struct fleetdb_device *device,
                    int64_t now_ms, struct err *err)
{
    struct fleetdb_manifest manifest;
    struct buf envelope = {0};
    uint64_t floor;
    bool ok = version_floor(director, device, &floor, err) &&
              renew(director, device, floor, now_ms, &manifest, &envelope, err);
    buf_done(&envelope);
    return ok;
}

/* Is the body of our own envelope another one than the device says? An empty digest says nothing.
 */
static bool is_other(const struct director *director, const struct fleetdb_device *device,
                     struct bytes envelope, struct bytes seen_sha256)
{
    struct verify_key *key = NULL;
    struct bytes body;
    uint8_t digest[32];
    if (seen_sha256.length != sizeof digest ||
        !verify_key_of_spki(sign_key_spki(director->key), &key, NULL))
        return false;
    const struct key_set set = {.keys = &key, .count = 1, .threshold = 1};
    bool ours = unseal("manifest", device->id, envelope, &set, &body, NULL);
    verify_key_free(key);
    if (ours)
        sha256(body, digest);
    return ours && memcmp(digest, seen_sha256.data, sizeof digest) != 0;
}

bool director_manifest(const struct director *director, const struct fleetdb_device *device,
                       const struct director_seen *seen, int64_t now_ms,
                       struct fleetdb_manifest *ret_manifest, struct buf *out, struct err *err)
{
    struct fleetdb_manifest ours;
    size_t before = out->length;
    if (!fleetdb_manifest_get(director->db, device->device, &ours, out, err))
        return false;
    /* Without a manifest of our own we know nothing about the device: to sign an empty one above
     * what it holds would take away what it lives on. */
    const uint64_t epoch = seen->epoch == 0 ? ours.epoch : seen->epoch;
    bool known = ours.version != 0 && epoch == ours.epoch;
    bool above = known && seen->version > ours.version && seen->version < LIMIT_VERSION;
    bool same = known && seen->version == ours.version;
    struct bytes envelope = ours.version == 0 ? bytes_of(NULL, 0) : buf_after(out, before);
    if (above || (same && is_other(director, device, envelope, seen->sha256))) {
        out->length = before;
        if (!renew(director, device, seen->version, now_ms, &ours, out, err))
            return false;
    }
    *ret_manifest = ours;
    return true;
}
