/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_plan.h"

#include "agent/registrar_internal.h"
#include "base/log.h"
#include "proto/refusal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is at hand ---- */

static const struct registry_item *base_in(const struct registry_generation *generation,
                                           const enum sync_finding *findings,
                                           const uint8_t sha256[32])
{
    for (size_t i = 0; generation->number > 0 && i < generation->list.count; i++) {
        const struct registry_item *item = &generation->list.items[i];
        if (!item->sealed && memcmp(item->sha256, sha256, 32) == 0 && !ways_is_long(item) &&
            (findings == NULL || sync_sound(findings[i])))
            return item;
    }
    return NULL;
}

static const struct registry_item *base_of(const struct registrar *registrar,
                                           const uint8_t sha256[32], uint64_t *ret_generation)
{
    const struct registry_held *held = &registrar->held;
    const struct registry_item *item = base_in(&held->current, registrar->findings, sha256);
    *ret_generation = held->current.number;
    if (item == NULL) {
        item = base_in(&held->previous, NULL, sha256);
        *ret_generation = held->previous.number;
    }
    return item;
}

static bool has_base(void *ctx, const uint8_t sha256[32])
{
    uint64_t generation;
    return base_of(ctx, sha256, &generation) != NULL;
}

static const struct registry_item *copy_in(const struct registrar *registrar,
                                           const struct registry_generation *generation,
                                           const struct registry_item *item)
{
    for (size_t i = 0; generation->number > 0 && i < generation->list.count; i++) {
        const struct registry_item *held = &generation->list.items[i];
        if (sync_same_content(held, item) && have_has(registrar, held->blob))
            return held;
    }
    return NULL;
}

static const struct registry_item *copy_of(const struct registrar *registrar,
                                           const struct registry_item *item)
{
    const struct registry_item *copy = copy_in(registrar, &registrar->held.current, item);
    if (copy == NULL)
        copy = copy_in(registrar, &registrar->held.previous, item);
    return copy != NULL ? copy : copy_in(registrar, trial_good(registrar), item);
}

/* The want that has this content: its index, or the count of wants. */
static size_t want_of(const struct desired *desired, const struct registry_item *item)
{
    size_t i = 0;
    while (i < desired->wants.count && !sync_same_content(&desired->wants.wants[i].item, item))
        i++;
    return i;
}

static int pick(const struct registrar *registrar, const struct ways *ways)
{
    return ways_pick(ways, has_base, (void *)(uintptr_t)registrar);
}

static bool another_left(const struct registrar *registrar, const struct ways *ways, size_t index)
{
    struct ways rest = *ways;
    rest.ruled_out |= 1U << index;
    return pick(registrar, &rest) >= 0;
}

/* ---- from what ---- */

static void source_way(const struct registrar *registrar, size_t want,
                       struct content_source *source)
{
    const struct ways *ways = &registrar->desired->ways[want];
    int picked = pick(registrar, ways);
    if (picked < 0)
        return;
    source->present = true;
    source->want = want;
    source->index = (size_t)picked;
    source->way = ways->list[picked];
    source->last = !another_left(registrar, ways, source->index);
    if (source->way.coding != MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA)
        return;
    const struct registry_item *base =
        base_of(registrar, source->way.base, &source->base_generation);
    if (base != NULL) /* it was picked for it */
        memcpy(source->base_name, base->name, sizeof source->base_name);
}

void plan_source(const struct registrar *registrar, const struct registry_item *item,
                 struct content_source *ret_source)
{
    const struct registry_item *copy = copy_of(registrar, item);
    const struct desired *desired = registrar->desired;
    const size_t want = desired != NULL ? want_of(desired, item) : 0;
    const bool wanted = desired != NULL && want < desired->wants.count;
    *ret_source = (struct content_source){0};
    if (wanted)
        ret_source->key = desired->wants.wants[want].key;
    if (copy != NULL) {
        ret_source->present = ret_source->copy = true;
        ret_source->way.coding = item->sealed ? MUSTER__CONTENT_CODING__CONTENT_CMS
                                              : MUSTER__CONTENT_CODING__CONTENT_ZSTD;
        memcpy(ret_source->way.blob, copy->blob, 32);
        ret_source->way.size = copy->blob_size;
    } else if (wanted) {
        source_way(registrar, want, ret_source);
    }
}

/* The next few: receipts come over the same line, behind what was asked for before, and what is on
 * its way when that breaks has cost its bytes. */
static bool pieces_missing(const struct registrar *registrar, const struct pieces *pieces,
                           struct sync_blobs *lacks)
{
    size_t asked = 0;
    for (size_t i = 0; i < pieces->count && asked < PLAN_PIECES_AT_ONCE; i++) {
        if (registrar_has_blob(registrar, pieces->sha256[i]))
            continue;
        sync_blobs_add(lacks, pieces->sha256[i], pieces_length(pieces, i));
        asked++;
    }
    return asked > 0;
}

bool plan_missing(void *ctx, const struct registry_item *item, const struct sync_want *want,
                  struct sync_blobs *lacks)
{
    const struct registrar *registrar = ctx;
    struct content_source source;
    plan_source(registrar, item, &source);
    if (source.copy)
        return false;
    if (!source.present) { /* held, damaged and not wanted any more: the broker may have it still */
        if (want == NULL && item->blob_size > 0)
            sync_blobs_add(lacks, item->blob, item->blob_size);
        return true;
    }
    if (source.way.inlined)
        return false;
    if (!registrar_has_blob(registrar, source.way.blob)) {
        sync_blobs_add(lacks, source.way.blob, source.way.size);
        return true;
    }
    if (source.way.piece_bytes == 0)
        return false;
    const struct ways *ways = &registrar->desired->ways[source.want];
    return ways->pieces == NULL || ways->pieces_of != source.index ||
           pieces_missing(registrar, ways->pieces, lacks);
}

bool plan_needs(const struct registrar *registrar,
                bool (*add)(void *ctx, const uint8_t sha256[32], struct err *err), void *ctx,
                struct err *err)
{
    const struct desired *desired = registrar->desired;
    struct sync_holding held = registrar_holding(registrar);
    struct returned_view returned;
    bool good = true;
    returned_look(registrar, &returned);
    for (size_t i = 0; desired != NULL && good && i < desired->wants.count; i++) {
        const struct sync_want *want = &desired->wants.wants[i];
        const struct ways *ways = &desired->ways[i];
        int picked = pick(registrar, ways);
        if (want->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR || picked < 0 ||
            returned.wants[i] != NULL || sync_carries(&want->item, &held))
            continue;
        good = add(ctx, ways->list[picked].blob, err);
        const struct pieces *pieces = ways->pieces_of == (size_t)picked ? ways->pieces : NULL;
        for (size_t n = 0; good && pieces != NULL && n < pieces->count; n++)
            good = add(ctx, pieces->sha256[n], err);
    }
    return good;
}

static uint64_t lacking_bytes(const struct registrar *registrar, const struct ways *ways,
                              size_t picked)
{
    const struct way *way = &ways->list[picked];
    const struct pieces *pieces = ways->pieces_of == picked ? ways->pieces : NULL;
    uint64_t bytes = registrar_has_blob(registrar, way->blob) ? 0 : way->size;
    if (pieces == NULL)
        return bytes + way->pieces_size;
    for (size_t i = 0; i < pieces->count; i++)
        bytes += registrar_has_blob(registrar, pieces->sha256[i]) ? 0 : pieces_length(pieces, i);
    return bytes;
}

uint64_t plan_bytes(const struct registrar *registrar)
{
    const struct desired *desired = registrar->desired;
    struct sync_holding held = registrar_holding(registrar);
    struct returned_view returned;
    uint64_t bytes = 0;
    returned_look(registrar, &returned);
    for (size_t i = 0; desired != NULL && i < desired->wants.count; i++) {
        const struct sync_want *want = &desired->wants.wants[i];
        if (want->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR || returned.wants[i] != NULL ||
            sync_carries(&want->item, &held))
            continue;
        int picked = pick(registrar, &desired->ways[i]);
        bytes += want->item.length;
        if (picked >= 0 && copy_of(registrar, &want->item) == NULL)
            bytes += lacking_bytes(registrar, &desired->ways[i], (size_t)picked);
    }
    return bytes;
}

/* ---- ways that lead nowhere ---- */

void plan_rule_out(struct registrar *registrar, const struct content_source *source,
                   const struct err *why)
{
    struct desired *desired = registrar->desired;
    const struct registry_item *item = &desired->wants.wants[source->want].item;
    struct ways *ways = &desired->ways[source->want];
    bool delta = source->way.coding == MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA;
    ways->ruled_out |= 1U << source->index;
    log_warn("registry: %s %" PRIu64 ": one way to its content leads nowhere: %s", item->name,
             item->version, why->text);
    report_refusal(registrar, MUSTER__EVENT_KIND__EVENT_REFUSED, item->name, NULL, refusal_of(why),
                   "%s %" PRIu64 ": %s leads nowhere, another way is taken: %.300s", item->name,
                   item->version, delta ? "the delta" : "what was sent", why->text);
}

static bool lacks_one_of(const struct sync_blobs *lacks, const uint8_t (*blobs)[32], size_t count)
{
    for (size_t i = 0; i < lacks->count; i++)
        for (size_t n = 0; n < count; n++)
            if (memcmp(lacks->sha256[i], blobs[n], 32) == 0)
                return true;
    return false;
}

void registrar_elsewhere(struct registrar *registrar, const uint8_t (*blobs)[32], size_t count)
{
    const struct desired *desired = registrar->desired;
    struct err why = {0};
    refuse(&why, MUSTER__REFUSAL__REFUSAL_CONTENT_LATE, ERR_TIMEOUT, "it does not come");
    for (size_t i = 0; desired != NULL && i < desired->wants.count; i++) {
        const struct registry_item *item = &desired->wants.wants[i].item;
        struct sync_blobs lacks = {0};
        struct content_source source;
        plan_source(registrar, item, &source);
        if (source.present && !source.copy && !source.last && source.want == i &&
            source.way.coding == MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA &&
            plan_missing(registrar, item, &desired->wants.wants[i], &lacks) &&
            lacks_one_of(&lacks, blobs, count))
            plan_rule_out(registrar, &source, &why);
    }
    registrar_wake(registrar);
}

/* ---- what is here already ---- */

static void take_list(struct registrar *registrar, const struct content_source *source,
                      struct bytes list)
{
    struct ways *ways = &registrar->desired->ways[source->want];
    struct pieces *pieces = NULL;
    struct err why = {0};
    if (pieces_read(&source->way, list, &pieces, &why)) {
        free(ways->pieces);
        ways->pieces = pieces;
        ways->pieces_of = source->index;
    } else if (why.code == ERR_NO_MEMORY) {
        registrar_stall(registrar, "reading a list of pieces", &why);
    } else if (!source->last) {
        plan_rule_out(registrar, source, &why);
    } /* else the build finds it, and with it the manifest fails */
}

static bool list_is_read(const struct registrar *registrar, const struct content_source *source)
{
    const struct ways *ways = &registrar->desired->ways[source->want];
    return ways->pieces != NULL && ways->pieces_of == source->index;
}

void plan_list(struct registrar *registrar, const uint8_t sha256[32], struct bytes blob)
{
    const struct desired *desired = registrar->desired;
    for (size_t i = 0; desired != NULL && i < desired->wants.count; i++) {
        struct content_source source;
        plan_source(registrar, &desired->wants.wants[i].item, &source);
        if (source.present && !source.copy && source.want == i && source.way.piece_bytes > 0 &&
            memcmp(source.way.blob, sha256, 32) == 0 && !list_is_read(registrar, &source))
            take_list(registrar, &source, blob);
    }
}

/* At a start, and where two manifests share it; at most 1 MiB, as when it arrived. */
static void supply_list(struct registrar *registrar, const struct content_source *source)
{
    struct buf list = {0};
    struct err err = {0};
    uint8_t digest[32];
    bool read =
        registry_blob_read(registrar->registry, source->way.blob, LIMIT_BLOB_BYTES, &list, &err);
    if (read)
        sha256(buf_bytes(&list), digest);
    if (read && memcmp(digest, source->way.blob, sizeof digest) == 0)
        take_list(registrar, source, buf_bytes(&list));
    else if (err.code == ERR_NO_MEMORY)
        registrar_stall(registrar, "reading a list of pieces", &err);
    else
        have_remove(registrar, source->way.blob); /* not what it was: fetched again */
    buf_done(&list);
}

/* As if the broker had sent it. */
static void supply_inlined(struct registrar *registrar, const struct content_source *source)
{
    struct bytes rest = buf_after(&registrar->desired->inlined, source->way.data_at);
    struct err err = {0};
    if (!arrival_add(registrar, source->way.blob, bytes_of(rest.data, source->way.data_length),
                     &err))
        registrar_stall(registrar, "keeping what a manifest brought", &err);
}

static bool supply_item(void *ctx, const struct registry_item *item, const struct sync_want *want,
                        struct sync_blobs *lacks)
{
    struct registrar *registrar = ctx;
    struct content_source source;
    (void)want;
    (void)lacks;
    plan_source(registrar, item, &source);
    if (!source.present || source.copy)
        return false;
    if (source.way.inlined && !registrar_has_blob(registrar, source.way.blob))
        supply_inlined(registrar, &source);
    else if (source.way.piece_bytes > 0 && have_has(registrar, source.way.blob) &&
             !list_is_read(registrar, &source))
        supply_list(registrar, &source);
    return false;
}

void plan_supply(struct registrar *registrar)
{
    struct sync_blobs none;
    struct sync_holding held = registrar_holding(registrar);
    if (registrar->desired != NULL && !registrar->stalled)
        sync_lacks(registrar_wants(registrar), &held,
                   !registrar->outdated && !registrar->no_room && !registrar_failed(registrar),
                   supply_item, registrar, &none);
}
