/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "agent/floors.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void boot_note(struct registrar *registrar, const char *text)
{
    log_warn("registry: %s", text);
    size_t used = strlen(registrar->boot_note);
    snprintf(registrar->boot_note + used, sizeof registrar->boot_note - used, "%s%.180s",
             used > 0 ? "; " : "", text);
}

/* The manifest accepted last, verified once more: it was only bytes on a disk. */
static void desired_load(struct registrar *registrar)
{
    struct buf envelope = {0};
    struct err err = {0};
    bool read = registry_desired_read(registrar->registry, LIMIT_MANIFEST_BYTES, &envelope, &err);
    if (!read && err.code == ERR_NOT_FOUND)
        return;
    bool good = read && desired_open(registrar->trust, registrar->device, buf_bytes(&envelope),
                                     &registrar->desired, &err);
    if (!good) {
        err_context(&err, "the manifest kept here is not used");
        boot_note(registrar, err.text);
    }
    buf_done(&envelope);
}

/* Floors that were lost are made again from the manifest that counted last. */
static void floors_make(struct registrar *registrar)
{
    struct registry_floors *floors = malloc(sizeof *floors);
    struct registry_floors *now = &registrar->floors;
    const struct desired *desired = registrar->desired;
    bool newer = desired != NULL &&
                 (desired->epoch > now->epoch ||
                  (desired->epoch == now->epoch && desired->version > now->manifest_version));
    if (newer && now->epoch == 0)
        boot_note(registrar, "version floors: both places are empty; made again from the manifest");
    if (floors != NULL && newer && floors_take(now, desired, floors, NULL)) {
        *now = *floors;
        registrar->floors_unsaved = true;
    }
    free(floors);
}

static void floors_load(struct registrar *registrar)
{
    struct err err = {0};
    char lost[REGISTRY_LOST_CHARS] = "";
    if (!registry_floors_read(registrar->registry, &registrar->floors, lost, &err)) {
        boot_note(registrar, err.text);
        memset(&registrar->floors, 0, sizeof registrar->floors);
    }
    if (lost[0] != '\0') {
        boot_note(registrar, lost);
        registrar->floors_unsaved = true;
    }
    if (trust_version(registrar->trust) > registrar->floors.root_version) {
        registrar->floors.root_version = trust_version(registrar->trust);
        registrar->floors_unsaved = registrar->floors_unsaved || registrar->floors.epoch > 0;
    }
    floors_make(registrar);
}

static void blob_seen(void *ctx, const uint8_t sha256[32])
{
    have_add(ctx, sha256);
}

static bool held_load(struct registrar *registrar, struct err *err)
{
    struct registry_held *held = &registrar->held;
    char text[120];
    if (!registry_load(registrar->registry, held, err))
        return false;
    if (held->current.number == 0)
        memset(&held->current, 0, sizeof held->current);
    if (!held->recovered)
        return true;
    if (held->current.number == 0)
        snprintf(text, sizeof text, "no whole generation is left; building one again");
    else
        snprintf(text, sizeof text,
                 "the generation in force was damaged or gone; back to generation %" PRIu64,
                 held->current.number);
    boot_note(registrar, text);
    return true;
}

/* What the store holds is known before it is pruned, so that lists of pieces count. */
static bool blobs_load(struct registrar *registrar, struct err *err)
{
    struct kept *kept = calloc(1, sizeof *kept);
    struct err why = {0};
    if (kept == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the registry");
    bool good = registry_blobs(registrar->registry, blob_seen, registrar, err);
    if (good) {
        plan_supply(registrar);
        if (kept_fill(registrar, kept, &why) && kept_prune(registrar->registry, kept, &why))
            have_keep(registrar, kept);
        else
            boot_note(registrar, why.text);
    }
    kept_done(kept);
    free(kept);
    return good;
}

bool registrar_load(struct registrar *registrar, struct err *err)
{
    if (!held_load(registrar, err))
        return false;
    desired_load(registrar);
    floors_load(registrar);
    struct err why = {0};
    if (!registry_failure_read(registrar->registry, &registrar->failure, &why))
        boot_note(registrar, why.text);
    return blobs_load(registrar, err);
}
