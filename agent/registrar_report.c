/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "base/log.h"
#include "base/mask.h"
#include "base/utf8.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPORTS_MAX = 2 * REGISTRY_ITEMS,
    EVENT_TEXT_BYTES = 481,
    EVENT_DETAIL_BYTES = 32 * 1024,
    FETCH_WINDOW_BYTES = 4 * 1024 * 1024, /* asked for at a time: what may arrive at once */
};

static ProtobufCBinaryData binary(const uint8_t *data, size_t length)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = length};
}

static void event_send(struct registrar *registrar, Muster__EventKind kind, const char *item,
                       const ProtobufCMessage *detail, Muster__Refusal refusal,
                       char text[EVENT_TEXT_BYTES])
{
    utf8_clean(text);
    mask_card_numbers(text, strlen(text));
    struct buf packed = {.limit = EVENT_DETAIL_BYTES};
    struct err err = {0};
    if (detail != NULL && !pack(detail, &packed, &err)) {
        log_warn("registry: an event goes without its detail: %s", err.text);
        buf_clear(&packed);
    }
    Muster__Event event = MUSTER__EVENT__INIT;
    event.kind = kind;
    event.item = (char *)(uintptr_t)item;
    event.text = text;
    event.refusal = refusal;
    event.detail = binary(packed.data, packed.length);
    registrar->events.event(registrar->ctx, &event);
    buf_done(&packed);
}

void report_event(struct registrar *registrar, Muster__EventKind kind, const char *item,
                  const ProtobufCMessage *detail, const char *fmt, ...)
{
    char text[EVENT_TEXT_BYTES] = "";
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    event_send(registrar, kind, item, detail, MUSTER__REFUSAL__REFUSAL_NONE, text);
}

void report_refusal(struct registrar *registrar, Muster__EventKind kind, const char *item,
                    const ProtobufCMessage *detail, Muster__Refusal refusal, const char *fmt, ...)
{
    char text[EVENT_TEXT_BYTES] = "";
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    event_send(registrar, kind, item, detail, refusal, text);
}

void report_item(const struct registrar *registrar, const struct registry_item *item,
                 Muster__ItemState state, Muster__ItemReport *ret_report)
{
    const struct sync_want *want = sync_want_of(registrar_wants(registrar), item->name);
    const struct registry_item *held = sync_item_of(&registrar->held.current.list, item->name);
    muster__item_report__init(ret_report);
    ret_report->name = (char *)(uintptr_t)item->name;
    ret_report->state = state;
    if (want != NULL) {
        ret_report->wanted_version = want->item.version;
        ret_report->wanted_sha256 = binary(want->item.sha256, 32);
    }
    if (held != NULL) {
        ret_report->held_version = held->version;
        ret_report->held_sha256 = binary(held->sha256, 32);
    }
}

/* ---- the state ---- */

struct reports {
    bool converged;
    size_t count;
    struct sync_report rows[REPORTS_MAX];
    struct sync_blobs lacks;
};

static struct reports *reports_make(const struct registrar *registrar)
{
    static const struct registry_failure no_failure;
    struct reports *reports = calloc(1, sizeof *reports);
    if (reports == NULL)
        return NULL;
    registrar_missing(registrar, &reports->lacks);
    bool waits = registrar->gate.build != NULL && !registrar->gate.what.back;
    struct returned_view returned;
    struct owned_view others;
    returned_look(registrar, &returned);
    owned_view(registrar, &others);
    const struct sync_report_input input = {
        .waits = waits ? gate_words(registrar->gate.what.kind) : NULL,
        .wants = registrar_wants(registrar),
        .held = registrar_holding(registrar),
        .sources = registrar->sources,
        .failure = registrar_failed(registrar) ? &registrar->failure : &no_failure,
        .lacks = &reports->lacks,
        .stalled = registrar_kept_from(registrar),
        .returned = returned.wants,
        .seen = others.wants,
        .before = trial_runs(registrar) ? &trial_good(registrar)->list : NULL,
    };
    reports->count = sync_reports(&input, reports->rows, &reports->converged);
    return reports;
}

static bool is_zero(const uint8_t sha256[32])
{
    static const uint8_t zeros[32];
    return memcmp(sha256, zeros, 32) == 0;
}

static bool copy_digest(struct arena *arena, const uint8_t sha256[32],
                        ProtobufCBinaryData *ret_data)
{
    if (is_zero(sha256))
        return true;
    uint8_t *copy = arena_copy(arena, sha256, 32);
    *ret_data = binary(copy, copy != NULL ? 32 : 0);
    return copy != NULL;
}

static void difference_fill(const struct sync_difference *difference, Muster__ItemReport *item)
{
    item->owned = difference->owned;
    if (difference->kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE)
        return;
    item->difference = difference->kind;
    item->wanted_bytes = difference->wanted_bytes;
    item->found_bytes = difference->found_bytes;
    item->rows_compared = difference->rows;
    item->rows_only_found = difference->diff.only_found;
    item->rows_only_wanted = difference->diff.only_wanted;
    item->first_row = difference->diff.first;
}

static Muster__ItemReport *row_message(const struct sync_report *row, struct arena *arena)
{
    Muster__ItemReport *item = arena_alloc(arena, sizeof *item);
    if (item == NULL)
        return NULL;
    muster__item_report__init(item);
    item->name = arena_copy(arena, row->name, strlen(row->name) + 1);
    item->reason = arena_copy(arena, row->reason, strlen(row->reason) + 1);
    item->wanted_version = row->wanted_version;
    item->held_version = row->held_version;
    item->state = row->state;
    item->source = row->source;
    item->refusal = row->refusal;
    difference_fill(&row->difference, item);
    bool copied = item->name != NULL && item->reason != NULL &&
                  copy_digest(arena, row->wanted_sha256, &item->wanted_sha256) &&
                  copy_digest(arena, row->held_sha256, &item->held_sha256);
    return copied ? item : NULL;
}

static Muster__ApplyReport *with_its_texts(Muster__ApplyReport *apply, struct arena *arena)
{
    apply->waits_for = arena_copy(arena, apply->waits_for, strlen(apply->waits_for) + 1);
    apply->why = arena_copy(arena, apply->why, strlen(apply->why) + 1);
    return apply->waits_for != NULL && apply->why != NULL ? apply : NULL;
}

static bool apply_message(const struct registrar *registrar, struct arena *arena,
                          Muster__StateReport *state)
{
    Muster__ApplyReport *apply = arena_alloc(arena, sizeof *apply);
    if (apply == NULL)
        return false;
    struct gate_answer answer;
    if (registrar->gate.build != NULL)
        gate_report(registrar, &answer, apply);
    else if (!trial_report(registrar, apply))
        return true;
    state->apply = with_its_texts(apply, arena);
    return state->apply != NULL;
}

bool registrar_trial(const struct registrar *registrar, struct arena *arena,
                     Muster__StateReport *state, struct err *err)
{
    Muster__ApplyReport *trial = arena_alloc(arena, sizeof *trial);
    if (trial == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the state report");
    if (registrar->gate.build == NULL || registrar->gate.what.back ||
        !trial_report(registrar, trial))
        return true;
    state->trial = with_its_texts(trial, arena);
    return state->trial != NULL || err_set(err, ERR_NO_MEMORY, "no memory for the state report");
}

static bool state_message(const struct registrar *registrar, const struct reports *reports,
                          struct arena *arena, Muster__StateReport *ret_state, struct err *err)
{
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    state.manifest_version = registrar_manifest_version(registrar);
    state.manifest_epoch = registrar->desired != NULL ? registrar->desired->epoch : 0;
    state.generation = registrar->held.current.number;
    state.converged =
        reports->converged && registrar->refused_version == 0 && registrar->below[0] == '\0';
    state.items = arena_alloc(arena, (reports->count + 1) * sizeof state.items[0]);
    bool made = state.items != NULL && apply_message(registrar, arena, &state) &&
                copy_digest(arena, registrar->held.current.digest, &state.generation_digest) &&
                (registrar->desired == NULL ||
                 copy_digest(arena, registrar->desired->digest, &state.manifest_sha256));
    for (size_t i = 0; made && i < reports->count; i++) {
        state.items[i] = row_message(&reports->rows[i], arena);
        made = state.items[i] != NULL;
        state.n_items = i + 1;
    }
    if (!made)
        return err_set(err, ERR_NO_MEMORY, "no memory for the state report");
    if (registrar->events.amend != NULL &&
        !registrar->events.amend(registrar->ctx, arena, &state, err))
        return false;
    *ret_state = state;
    return true;
}

bool registrar_state(const struct registrar *registrar, struct arena *arena,
                     Muster__StateReport *ret_state, struct err *err)
{
    struct reports *reports = reports_make(registrar);
    if (reports == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the state report");
    bool made = state_message(registrar, reports, arena, ret_state, err);
    free(reports);
    return made;
}

Muster__AssignMode registrar_mode(const struct registrar *registrar, const char *name)
{
    const struct sync_want *want = sync_want_of(registrar_wants(registrar), name);
    return want != NULL ? want->assigned : MUSTER__ASSIGN_MODE__MODE_OBSERVE;
}

/* What a sale or the clock changes of what waits is no other state. */
static bool state_hash(const struct registrar *registrar, const Muster__StateReport *state,
                       uint8_t ret_hash[32], struct err *err)
{
    struct buf packed = {0};
    Muster__StateReport steady = *state;
    Muster__ApplyReport apply = MUSTER__APPLY_REPORT__INIT;
    if (state->apply != NULL) {
        apply.step = state->apply->step;
        apply.manifest_version = state->apply->manifest_version;
        apply.generation = state->apply->generation;
        apply.generation_digest = state->apply->generation_digest;
        apply.waits_for = (char *)(uintptr_t)registrar->gate.waits_as;
        steady.apply = &apply;
    }
    bool good = pack(&steady.base, &packed, err);
    if (good)
        sha256(buf_bytes(&packed), ret_hash);
    buf_done(&packed);
    return good;
}

/* A repair has events of its own and leaves what is held as it was. */
static void repaired_as_ok(Muster__StateReport *state)
{
    for (size_t i = 0; i < state->n_items; i++) {
        if (state->items[i]->state != MUSTER__ITEM_STATE__ITEM_REPAIRED)
            continue;
        state->items[i]->state = MUSTER__ITEM_STATE__ITEM_OK;
        state->items[i]->source = MUSTER__REPAIR_SOURCE__REPAIR_SOURCE_NONE;
    }
}

/* What differs is in numbers beside them: an event has room for those. */
static void drop_reasons(Muster__StateReport *state)
{
    static char nothing[] = "";
    if (protobuf_c_message_get_packed_size(&state->base) <= EVENT_DETAIL_BYTES)
        return;
    for (size_t i = 0; i < state->n_items; i++)
        state->items[i]->reason = nothing;
    for (size_t i = 0; i < state->n_keys; i++)
        state->keys[i]->why = nothing;
}

static bool tell_state(struct registrar *registrar, Muster__StateReport *state, bool record,
                       struct err *err)
{
    uint8_t hash[32];
    if (!state_hash(registrar, state, hash, err))
        return false;
    bool changed = memcmp(hash, registrar->reported, 32) != 0;
    memcpy(registrar->reported, hash, 32);
    repaired_as_ok(state);
    if (!state_hash(registrar, state, hash, err))
        return false;
    if (record && memcmp(hash, registrar->recorded, 32) != 0) {
        memcpy(registrar->recorded, hash, 32);
        drop_reasons(state);
        report_event(registrar, MUSTER__EVENT_KIND__EVENT_STATE, "", &state->base,
                     "generation %" PRIu64 ", manifest %" PRIu64 ", %s",
                     registrar->held.current.number, state->manifest_version,
                     state->converged ? "all as wanted" : "not all as wanted");
    }
    if (changed)
        registrar->events.changed(registrar->ctx);
    return true;
}

/* ---- drift of what is not ours to write ---- */

/* All that is told of it in one hash. */
static void told_hash(const Muster__ItemReport *report, uint8_t ret_hash[32])
{
    struct buf packed = {0};
    struct err err = {0};
    if (pack(&report->base, &packed, &err))
        sha256(buf_bytes(&packed), ret_hash);
    else
        memset(ret_hash, 0, 32); /* told again when there is memory */
    buf_done(&packed);
}

static bool observe_known(const struct registrar *registrar, const struct observe_mark *mark)
{
    for (size_t i = 0; i < registrar->observe_count; i++)
        if (strcmp(registrar->observed[i].name, mark->name) == 0)
            return memcmp(registrar->observed[i].told, mark->told, sizeof mark->told) == 0;
    return false;
}

/* Its slot or its version hook says so, where no file does. */
static bool differs_elsewhere(const struct sync_report *row, const Muster__ItemReport *item)
{
    return row->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR &&
           row->state == MUSTER__ITEM_STATE__ITEM_OK &&
           (item->state == MUSTER__ITEM_STATE__ITEM_PROPOSED ||
            item->state == MUSTER__ITEM_STATE__ITEM_DRIFT);
}

static bool differs(const struct sync_report *row, const Muster__ItemReport *item)
{
    return differs_elsewhere(row, item) ||
           row->difference.kind != MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE ||
           (row->wanted_version > 0 && row->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR &&
            row->state != MUSTER__ITEM_STATE__ITEM_OK &&
            (row->held_version != row->wanted_version ||
             row->refusal != MUSTER__REFUSAL__REFUSAL_NONE));
}

static bool is_sure(const struct registrar *registrar, const struct sync_report *row)
{
    return !row->difference.owned || owned_is_sure(registrar, row);
}

static Muster__EventKind observed_kind(const Muster__ItemReport *item)
{
    if (item->refusal != MUSTER__REFUSAL__REFUSAL_NONE)
        return MUSTER__EVENT_KIND__EVENT_REFUSED;
    bool asks = item->state == MUSTER__ITEM_STATE__ITEM_PROPOSED;
    return asks ? MUSTER__EVENT_KIND__EVENT_PROPOSED : MUSTER__EVENT_KIND__EVENT_DRIFT;
}

static void tell_observed(struct registrar *registrar, const Muster__ItemReport *item,
                          struct observe_mark *mark)
{
    char held[40] = "";
    *mark = (struct observe_mark){0};
    (void)snprintf(mark->name, sizeof mark->name, "%s", item->name);
    told_hash(item, mark->told);
    if (item->held_version > 0)
        (void)snprintf(held, sizeof held, ", version %" PRIu64 " is there", item->held_version);
    if (!observe_known(registrar, mark))
        report_refusal(registrar, observed_kind(item), item->name, &item->base, item->refusal,
                       "%s: version %" PRIu64 " is wanted%s; %s", item->name, item->wanted_version,
                       held, item->reason);
}

/* The state has an item for each row. */
static void tell_all_observed(struct registrar *registrar, const struct reports *reports,
                              const Muster__StateReport *state)
{
    struct observe_mark marks[REGISTRY_ITEMS];
    size_t count = 0;
    for (size_t i = 0; i < reports->count && count < REGISTRY_ITEMS; i++)
        if (differs(&reports->rows[i], state->items[i]) && is_sure(registrar, &reports->rows[i]))
            tell_observed(registrar, state->items[i], &marks[count++]);
    memcpy(registrar->observed, marks, count * sizeof marks[0]);
    registrar->observe_count = count;
}

/* ---- what is asked for ---- */

static void tell_fetch(struct registrar *registrar, const struct sync_blobs *lacks)
{
    uint8_t hash[32] = {0};
    size_t count = 0;
    uint64_t bytes = 0;
    if (!registrar->unsaved && !registrar->stalled && !registrar->closing) {
        while (count < lacks->count &&
               (count == 0 || bytes + lacks->sizes[count] <= FETCH_WINDOW_BYTES))
            bytes += lacks->sizes[count++];
    }
    if (count > 0)
        sha256(bytes_of(lacks->sha256, count * 32), hash);
    if (memcmp(hash, registrar->fetched, sizeof hash) == 0)
        return;
    memcpy(registrar->fetched, hash, sizeof hash);
    registrar->events.fetch(registrar->ctx, lacks->sha256, lacks->sizes, count);
}

void report_all(struct registrar *registrar, bool settled)
{
    struct arena arena = {0};
    struct err err = {0};
    struct reports *reports = reports_make(registrar);
    if (reports == NULL) {
        log_error("registry: no memory to tell the state");
        return;
    }
    bool record = registrar->telling && settled && reports->lacks.count == 0 &&
                  registrar_kept_from(registrar) == NULL &&
                  (registrar->gate.build == NULL || gate_worth_telling(registrar));
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    bool made = state_message(registrar, reports, &arena, &state, &err);
    if (made && record)
        tell_all_observed(registrar, reports, &state);
    tell_fetch(registrar, &reports->lacks);
    if (!made || !tell_state(registrar, &state, record, &err))
        log_error("registry: %s", err.text);
    arena_done(&arena);
    free(reports);
}
