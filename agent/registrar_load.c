/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void boot_note(struct registrar *registrar, const char *text)
{
    log_warn("registry: %s", text);
    size_t used = strlen(registrar->boot_note);
    snprintf(registrar->boot_note + used, sizeof registrar->boot_note - used, "%s%.180s",
             used > 0 ? "; " : "", text);
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
    accepted_load(registrar);
    struct err why = {0};
    if (!registry_failure_read(registrar->registry, &registrar->failure, &why))
        boot_note(registrar, why.text);
    trial_load(registrar);
    if (!blobs_load(registrar, err))
        return false;
    return_at_load(registrar);
    return true;
}
