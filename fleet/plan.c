/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/plan.h"

#include "fleet/takes.h"
#include "proto/limits.h"
#include "proto/record.pb-c.h"
#include "proto/refusal.h"
#include "storage/fleetdb_views.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A whole run. The document that was looked up last is kept: most devices get the same. */
struct plan {
    const struct director *director;
    const struct plan_order *order;
    int64_t now_ms;
    struct fleetdb_document document; /* of row 0: none yet */
    struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
};

/* One device of it. */
struct look {
    const char *name;
    struct plan_device *device;
    size_t item_count;
    uint8_t held_sha256[32];
    bool held;
};

const char *plan_way_word(enum plan_way way)
{
    static const char *const words[] = {"none", "held", "whole", "delta", "sealed", "no-way"};
    return words[way];
}

static bool refuse_device(struct plan_device *device, Muster__Refusal reason, const char *why)
{
    if (!device->refused) {
        device->refused = true;
        device->reason = reason;
        (void)snprintf(device->why, sizeof device->why, "%s", why);
    }
    return true;
}

/* What concerns only this device is told of it; what concerns the database ends everything. */
static bool bear(struct plan_device *device, const struct err *why, struct err *err)
{
    switch (why->code) {
    case ERR_NOT_FOUND:
        device->not_found = !device->refused;
        return refuse_device(device, refusal_of(why), why->text);
    case ERR_REFUSED:
    case ERR_FULL:
    case ERR_INVALID:
        return refuse_device(device, refusal_of(why), why->text);
    default:
        if (err != NULL)
            *err = *why;
        return false;
    }
}

/* ---- what is known of the device ---- */

static bool take_view(void *ctx, const struct fleetdb_device_view *view, struct err *err)
{
    struct plan_device *device = ctx;
    (void)err;
    device->online = view->online;
    device->seen_ms = view->seen_ms;
    return true;
}

static struct plan_version version_of(const struct fleetdb_document *document, int mode)
{
    struct plan_version version = {
        .is = true,
        .epoch = document->epoch,
        .version = document->version,
        .mode = mode,
        .irreversible = document->irreversible,
    };
    memcpy(version.sha256, document->sha256, sizeof version.sha256);
    return version;
}

static bool take_assigned(void *ctx, const struct fleetdb_document *document, int mode,
                          struct err *err)
{
    struct look *look = ctx;
    (void)err;
    look->item_count++;
    if (strcmp(document->name, look->name) == 0)
        look->device->from = version_of(document, mode);
    return true;
}

/* The registry has it, which is where ways begin; another system's file is not there. */
static bool is_held(const struct fleetdb_item_view *item)
{
    const bool its_owners =
        item->difference.owned && item->state != (int)MUSTER__ITEM_STATE__ITEM_PLACING;
    return !its_owners && item->held_version != 0 && item->held_sha256.length == 32;
}

static bool take_item(void *ctx, const struct fleetdb_item_view *item, struct err *err)
{
    struct look *look = ctx;
    (void)err;
    if (strcmp(item->name, look->name) != 0 || !is_held(item))
        return true;
    look->held = true;
    look->device->held_version = item->held_version;
    memcpy(look->held_sha256, item->held_sha256.data, sizeof look->held_sha256);
    return true;
}

static bool look_at(const struct plan *plan, int64_t row, struct look *look, struct err *err)
{
    struct fleetdb *db = plan->director->db;
    uint64_t epoch, version;
    if (!fleetdb_view_device(db, row, take_view, look->device, err) ||
        !fleetdb_assigned_each(db, row, take_assigned, look, err) ||
        !fleetdb_view_items(db, row, take_item, look, err) ||
        !fleetdb_manifest_reported(db, row, &epoch, &version, err))
        return false;
    look->device->behind = epoch != 0 && epoch < trust_epoch(plan->director->trust);
    return true;
}

/* ---- what it would get ---- */

struct wanted {
    struct plan *plan;
    int64_t row;
};

static bool take_document(void *ctx, const struct fleetdb_document *document, struct err *err)
{
    struct wanted *wanted = ctx;
    struct plan *plan = wanted->plan;
    (void)err;
    if (document->document != wanted->row)
        return true;
    plan->document = *document;
    memcpy(plan->encodings, document->encodings,
           document->encoding_count * sizeof *document->encodings);
    plan->document.encodings = plan->encodings;
    plan->document.header = bytes_of(NULL, 0);
    return true;
}

static bool find_document(struct plan *plan, int64_t device, struct err *err)
{
    const struct director_order *order = &plan->order->order;
    const struct fleetdb_wish wish = {.name = order->document,
                                      .device = device,
                                      .epoch = trust_epoch(plan->director->trust),
                                      .version = order->version};
    struct wanted wanted = {.plan = plan};
    uint64_t version;
    if (!fleetdb_document_find(plan->director->db, &wish, &wanted.row, &version, err))
        return false;
    return plan->document.document == wanted.row ||
           fleetdb_document_each(plan->director->db, order->document, take_document, &wanted, err);
}

/* What the blobs of an encoding weigh together. */
static uint64_t weight(const struct fleetdb_encoding *encoding)
{
    return encoding->size + (encoding->piece_bytes != 0 ? encoding->pieces_size : 0);
}

/* The cheapest way from what the device says it holds. */
static void find_way(const struct plan *plan, const struct look *look)
{
    struct plan_device *device = look->device;
    const struct fleetdb_document *document = &plan->document;
    device->way = PLAN_NO_WAY;
    if (look->held && memcmp(look->held_sha256, document->sha256, 32) == 0) {
        device->way = PLAN_HELD;
        return;
    }
    for (size_t i = 0; i < document->encoding_count; i++) {
        const struct fleetdb_encoding *encoding = &document->encodings[i];
        if (encoding->delta && (!look->held || memcmp(encoding->base, look->held_sha256, 32) != 0))
            continue;
        if (device->way != PLAN_NO_WAY && weight(encoding) >= device->bytes)
            continue;
        device->bytes = weight(encoding);
        device->way = encoding->delta ? PLAN_DELTA : PLAN_WHOLE;
        if (encoding->coding == MUSTER__CONTENT_CODING__CONTENT_CMS)
            device->way = PLAN_SEALED;
    }
}

/* ---- what would be refused ---- */

/* The director's own way, and nothing of it is kept. */
static bool try_order(const struct plan *plan, struct plan_device *device, struct err *err)
{
    struct director_outcome outcome;
    struct err why = {0};
    if (!director_try(plan->director, &plan->order->order, device->id, plan->now_ms, &outcome,
                      &why))
        return bear(device, &why, err);
    device->changed = outcome.changed;
    device->manifest_version = outcome.manifest_version;
    (void)snprintf(device->waits_for, sizeof device->waits_for, "%s", outcome.waits_for);
    return true;
}

static bool try_candidate(const struct plan *plan, const struct fleetdb_device *found,
                          const struct look *look, struct err *err)
{
    struct plan_device *device = look->device;
    const struct fleetdb_wish wish = {.name = look->name,
                                      .device = found->device,
                                      .epoch = plan->document.epoch,
                                      .version = plan->document.version};
    struct err why = {0};
    bool good = true;
    device->changed = true;
    if (found->life == FLEETDB_RETIRED)
        good = err_set(&why, ERR_REFUSED, "device %s is retired; nothing can be assigned to it",
                       device->id);
    else if (!device->from.is && look->item_count == LIMIT_MANIFEST_ITEMS)
        good = err_set(&why, ERR_FULL, "a manifest holds %d documents at the most",
                       LIMIT_MANIFEST_ITEMS);
    else
        good = takes_document(plan->director->db, &wish, &why);
    return good || bear(device, &why, err);
}

static bool plan_removal(const struct plan *plan, struct look *look, struct err *err)
{
    struct plan_device *device = look->device;
    if (!try_order(plan, device, err))
        return false;
    device->deletes =
        device->changed && look->held && device->from.mode == MUSTER__ASSIGN_MODE__MODE_REPAIR;
    return true;
}

static bool plan_change(struct plan *plan, const struct fleetdb_device *found, struct look *look,
                        struct err *err)
{
    struct plan_device *device = look->device;
    const struct plan_order *order = plan->order;
    struct err why = {0};
    if (order->candidate == NULL && !find_document(plan, found->device, &why))
        return bear(device, &why, err);
    device->to = version_of(&plan->document, order->order.mode);
    find_way(plan, look);
    if (!(order->candidate == NULL ? try_order(plan, device, err)
                                   : try_candidate(plan, found, look, err)))
        return false;
    if (device->way == PLAN_NO_WAY)
        refuse_device(device, MUSTER__REFUSAL__REFUSAL_DOCUMENT_ENCODING,
                      "its content can only be made from a version that is not held here");
    /* Who only watches is brought nothing. */
    if (order->order.mode != MUSTER__ASSIGN_MODE__MODE_REPAIR || device->refused) {
        device->way = device->way == PLAN_HELD ? PLAN_HELD : PLAN_NONE;
        device->bytes = 0;
    }
    return true;
}

static bool plan_one(struct plan *plan, const char *id, struct plan_device *device, struct err *err)
{
    struct fleetdb_device found;
    struct look look = {.name = plan->order->order.document, .device = device};
    struct err why = {0};
    *device = (struct plan_device){.id = id, .life = ""};
    if (!fleetdb_device_find(plan->director->db, id, &found, &why))
        return bear(device, &why, err);
    device->life = fleetdb_life_name(found.life);
    return look_at(plan, found.device, &look, err) &&
           (plan->order->order.remove ? plan_removal(plan, &look, err)
                                      : plan_change(plan, &found, &look, err));
}

bool plan_each(const struct director *director, const struct plan_order *order,
               const char *const *ids, size_t count, int64_t now_ms,
               bool (*each)(void *ctx, const struct plan_device *device, struct err *err),
               void *ctx, struct err *err)
{
    struct plan plan = {.director = director, .order = order, .now_ms = now_ms};
    struct plan_device device;
    if (order->candidate != NULL)
        plan.document = *order->candidate;
    for (size_t i = 0; i < count; i++)
        if (!plan_one(&plan, ids[i], &device, err) || !each(ctx, &device, err))
            return false;
    return true;
}
