/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/director_sign.h"

#include "fleet/choice.h"
#include "fleet/manifest.h"
#include "proto/limits.h"
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

static bool add_action(void *ctx, const struct fleetdb_action *action, struct err *err)
{
    struct draft *draft = ctx;
    return manifest_add_action(&draft->manifest, action, err);
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
    if (!fleetdb_assigned_each(director->db, device, add_assigned, draft, err) ||
        !fleetdb_actions_open(director->db, device, add_action, draft, err)) {
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
    return fleetdb_manifest_put(director->db, device->device, manifest, envelope, err) &&
           fleetdb_actions_named(director->db, device->device, manifest->epoch, manifest->version,
                                 err);
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

/* Terminals take no manifest above LIMIT_VERSION. */
static bool check_floor(const struct director *director, const struct fleetdb_device *device,
                        uint64_t floor, struct err *err)
{
    return floor < LIMIT_VERSION ||
           refuse(err, MUSTER__REFUSAL__REFUSAL_MANIFEST_LEAP, ERR_REFUSED,
                  "the manifest versions of %s are used up in epoch %" PRIu64
                  ": begin a new one with musterctl keys rotate --raise-epoch",
                  device->id, trust_epoch(director->trust));
}

bool director_sign(const struct director *director, const struct fleetdb_device *device,
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
    if (!check_floor(director, device, floor, err))
        return false;
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

struct waiting {
    uint64_t epoch;
    char *name;
};

static bool note_waiting(void *ctx, const struct fleetdb_document *document, int mode,
                         struct err *err)
{
    const struct waiting *waiting = ctx;
    (void)mode;
    (void)err;
    if (document->epoch != waiting->epoch && waiting->name[0] == '\0')
        (void)snprintf(waiting->name, FLEETDB_NAME_CHARS + 1, "%s", document->name);
    return true;
}

bool director_sign_or_wait(const struct director *director, const struct fleetdb_device *device,
                           uint64_t floor, int64_t now_ms, struct fleetdb_manifest *manifest,
                           struct buf *out, char waits_for[FLEETDB_NAME_CHARS + 1], struct err *err)
{
    struct err why = {0};
    struct waiting waiting = {trust_epoch(director->trust), waits_for};
    waits_for[0] = '\0';
    if (director_sign(director, device, floor, now_ms, manifest, out, &why))
        return true;
    if (refusal_of(&why) == MUSTER__REFUSAL__REFUSAL_DOCUMENT_EPOCH)
        return fleetdb_assigned_each(director->db, device->device, note_waiting, &waiting, err);
    if (err != NULL)
        *err = why;
    return false;
}
