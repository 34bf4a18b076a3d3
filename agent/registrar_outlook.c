/* SPDX-License-Identifier: Apache-2.0 */
/* What would change here, and what keeps it from changing. */
#include "agent/registrar_internal.h"

#include "proto/arena.h"

#include <stdlib.h>
#include <string.h>

static uint64_t bytes_to_come(const struct registrar *registrar, const struct sync_want *want)
{
    struct sync_blobs lacks = {0};
    uint64_t bytes = 0;
    (void)plan_missing((void *)(uintptr_t)registrar, &want->item, want, &lacks);
    for (size_t i = 0; i < lacks.count; i++)
        bytes += lacks.sizes[i];
    return bytes;
}

static bool is_irreversible(const struct registrar *registrar, const struct sync_want *want)
{
    const struct registry_floor *floor =
        want != NULL ? registry_floor_of(&registrar->floors, want->item.name) : NULL;
    return floor != NULL && floor->epoch == want->item.epoch && floor->final >= want->item.version;
}

static const char *text_copy(struct arena *arena, const char *text)
{
    return arena_copy(arena, text, strlen(text) + 1);
}

/* All that changes goes in force at once, so what waits waits for the strictest gate of it. */
static enum gate_kind gate_for(const struct registrar *registrar, const Muster__ItemReport *report,
                               Muster__DocumentKind kind)
{
    bool waits = report->state == MUSTER__ITEM_STATE__ITEM_WAITING && registrar->gate.build != NULL;
    return waits ? registrar->gate.what.kind : gate_of(kind);
}

static bool item_fill(const struct registrar *registrar, const Muster__ItemReport *report,
                      struct arena *arena, Muster__PlanItem *item)
{
    const struct sync_want *want = sync_want_of(registrar_wants(registrar), report->name);
    const struct registry_item *held = sync_item_of(&registrar->held.current.list, report->name);
    Muster__DocumentKind kind = (Muster__DocumentKind)(want != NULL   ? want->item.kind
                                                       : held != NULL ? held->kind
                                                                      : 0);
    muster__plan_item__init(item);
    item->name = report->name;
    item->kind = kind;
    item->mode = want != NULL ? want->assigned : MUSTER__ASSIGN_MODE__MODE_REPAIR;
    item->held_version = report->held_version;
    item->wanted_version = report->wanted_version;
    item->held_bytes = held != NULL ? held->length : 0;
    item->wanted_bytes = want != NULL ? want->item.length : 0;
    item->fetch_bytes = want != NULL && want->mode == MUSTER__ASSIGN_MODE__MODE_REPAIR &&
                                report->state != MUSTER__ITEM_STATE__ITEM_RETURNED
                            ? bytes_to_come(registrar, want)
                            : 0;
    item->gate = (char *)(uintptr_t)text_copy(arena, gate_words(gate_for(registrar, report, kind)));
    item->waits = report->reason;
    item->irreversible = is_irreversible(registrar, want);
    item->wanted_package =
        (char *)(uintptr_t)text_copy(arena, want != NULL ? want->package_version : "");
    return item->gate != NULL && item->wanted_package != NULL;
}

/* At this moment, and not only what outlasts a sale. */
static bool waits_now(const struct registrar *registrar, struct arena *arena,
                      Muster__ApplyReport *apply)
{
    if (apply == NULL || registrar->gate.build == NULL)
        return true;
    const struct gate_answer answer = gate_now(registrar);
    apply->waits_for = (char *)(uintptr_t)text_copy(arena, answer.waits_for);
    apply->ends_ms = answer.ends_ms != INT64_MAX ? (uint64_t)answer.ends_ms : 0;
    return apply->waits_for != NULL;
}

bool registrar_plan(const struct registrar *registrar, struct arena *arena,
                    Muster__PlanReply *ret_plan, struct err *err)
{
    Muster__StateReport *state = arena_alloc(arena, sizeof *state);
    if (state == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a plan");
    if (!registrar_state(registrar, arena, state, err) ||
        !registrar_trial(registrar, arena, state, err))
        return false;
    muster__plan_reply__init(ret_plan);
    ret_plan->state = state;
    ret_plan->items = arena_alloc(arena, (state->n_items + 1) * sizeof ret_plan->items[0]);
    bool made = ret_plan->items != NULL && waits_now(registrar, arena, state->apply);
    for (size_t i = 0; made && i < state->n_items; i++) {
        if (sync_as_wanted(state->items[i]->state))
            continue;
        Muster__PlanItem *item = arena_alloc(arena, sizeof *item);
        made = item != NULL && item_fill(registrar, state->items[i], arena, item);
        if (made)
            ret_plan->items[ret_plan->n_items++] = item;
    }
    return made || err_set(err, ERR_NO_MEMORY, "no memory for a plan");
}
