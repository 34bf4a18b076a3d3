/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/fallback.h"

#include "base/log.h"
#include "proto/limits.h"

#include <stdio.h>
#include <string.h>

struct fallback {
    struct fleetdb *db;
    const Muster__Hello *hello;
    size_t count;
    char names[LIMIT_MANIFEST_ITEMS][FLEETDB_NAME_CHARS + 1];
};

static const Muster__ItemReport *report_of(const Muster__Hello *hello, const char *name)
{
    const Muster__StateReport *state = hello->state;
    for (size_t i = 0; i < state->n_items && i < LIMIT_MANIFEST_ITEMS; i++)
        if (strcmp(state->items[i]->name, name) == 0)
            return state->items[i];
    return NULL;
}

/* What was unfolded was not the content: whatever the delta started from, or the delta is to
 * blame. */
static bool is_other_content(const Muster__ItemReport *report)
{
    return report->state == MUSTER__ITEM_STATE__ITEM_REFUSED &&
           (report->refusal == MUSTER__REFUSAL__REFUSAL_CONTENT_FORM ||
            report->refusal == MUSTER__REFUSAL__REFUSAL_CONTENT_LENGTH ||
            report->refusal == MUSTER__REFUSAL__REFUSAL_CONTENT_HASH);
}

/* Does it lack the delta, its list of pieces or one of those? */
static bool lacks_of(const struct fallback *fallback, const struct fleetdb_encoding *delta,
                     bool *ret_lacks, struct err *err)
{
    const Muster__Hello *hello = fallback->hello;
    *ret_lacks = false;
    for (size_t i = 0; !*ret_lacks && i < hello->n_lacks && i < LIMIT_MANIFEST_ITEMS; i++)
        if (hello->lacks[i].len == 32 &&
            !fleetdb_blob_in_list(fallback->db, delta->blob, hello->lacks[i].data, ret_lacks, err))
            return false;
    return true;
}

static bool look(void *ctx, const struct fleetdb_document *document, int mode, struct err *err)
{
    struct fallback *fallback = ctx;
    const Muster__ItemReport *report = report_of(fallback->hello, document->name);
    if (document->whole || mode != MUSTER__ASSIGN_MODE__MODE_REPAIR || report == NULL ||
        fallback->count == LIMIT_MANIFEST_ITEMS)
        return true;
    const bool late = report->refusal == MUSTER__REFUSAL__REFUSAL_CONTENT_LATE;
    bool blamed = false;
    for (size_t i = 0; !blamed && i < document->encoding_count; i++) {
        const struct fleetdb_encoding *encoding = &document->encodings[i];
        if (!encoding->delta)
            continue;
        blamed = is_other_content(report);
        if (late && !lacks_of(fallback, encoding, &blamed, err))
            return false;
    }
    if (blamed)
        memcpy(fallback->names[fallback->count++], document->name, sizeof fallback->names[0]);
    return true;
}

static bool take_one(const struct director *director, const struct fleetdb_device *device,
                     const char *name, int64_t now_ms, struct err *err)
{
    char text[160];
    bool changed;
    log_warn("%s: no delta of %s has led anywhere there; it is given the whole", device->id, name);
    (void)snprintf(text, sizeof text, "%s: no delta of it has led anywhere there", name);
    return fleetdb_assign_whole(director->db, device->device, name, &changed, err) &&
           fleetdb_audit(director->db, now_ms, "musterd", "whole", device->device, text, err);
}

static bool take(const struct director *director, const struct fleetdb_device *device,
                 const struct fallback *fallback, int64_t now_ms, struct err *err)
{
    for (size_t i = 0; i < fallback->count; i++)
        if (!take_one(director, device, fallback->names[i], now_ms, err))
            return false;
    return director_renew(director, device, now_ms, err);
}

/* Only of the manifest that is signed: what is said of an older one is out of date. */
static bool is_of_newest(const struct director *director, int64_t device,
                         const Muster__StateReport *state, bool *ret_newest, struct err *err)
{
    struct fleetdb_manifest newest;
    if (!fleetdb_manifest_get(director->db, device, &newest, NULL, err))
        return false;
    *ret_newest = newest.version != 0 && newest.version == state->manifest_version &&
                  newest.epoch == state->manifest_epoch &&
                  newest.epoch == trust_epoch(director->trust);
    return true;
}

bool fallback_take(const struct director *director, const struct fleetdb_device *device,
                   const Muster__Hello *hello, int64_t now_ms, size_t *ret_count, struct err *err)
{
    struct fallback fallback = {.db = director->db, .hello = hello};
    bool newest = false;
    *ret_count = 0;
    if (hello->state == NULL)
        return true;
    if (!is_of_newest(director, device->device, hello->state, &newest, err))
        return false;
    if (newest && !fleetdb_assigned_each(director->db, device->device, look, &fallback, err))
        return false;
    if (fallback.count == 0)
        return true;
    if (!fleetdb_begin(director->db, err))
        return false;
    if (!take(director, device, &fallback, now_ms, err)) {
        fleetdb_rollback(director->db);
        return false;
    }
    if (!fleetdb_commit(director->db, err))
        return false;
    *ret_count = fallback.count;
    return true;
}
