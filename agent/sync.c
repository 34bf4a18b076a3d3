/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sync.h"

#include "base/utf8.h"
#include "proto/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct sync_want *sync_want_of(const struct sync_wants *wants, const char *name)
{
    for (size_t i = 0; wants != NULL && i < wants->count; i++) {
        if (strcmp(wants->wants[i].item.name, name) == 0)
            return &wants->wants[i];
    }
    return NULL;
}

const struct registry_item *sync_item_of(const struct registry_items *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    }
    return NULL;
}

void sync_digest(const struct registry_items *list, uint8_t ret_digest[32])
{
    uint8_t text[REGISTRY_ITEMS * (REGISTRY_NAME_CHARS + 1 + 8 + 32)];
    size_t length = 0;
    if (list->count == 0) {
        memset(ret_digest, 0, 32);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct registry_item *item = &list->items[i];
        size_t name = strlen(item->name) + 1;
        memcpy(text + length, item->name, name);
        length += name;
        for (int shift = 56; shift >= 0; shift -= 8)
            text[length++] = (uint8_t)(item->version >> shift);
        memcpy(text + length, item->sha256, 32);
        length += 32;
    }
    sha256(bytes_of(text, length), ret_digest);
}

/* By what the header names: who sealed something anew has something new to be opened. */
bool sync_same_content(const struct registry_item *a, const struct registry_item *b)
{
    return a->sealed == b->sealed && memcmp(a->sha256, b->sha256, 32) == 0;
}

static bool same_item(const struct registry_item *a, const struct registry_item *b)
{
    return a->version == b->version && sync_same_content(a, b);
}

/* The file stays, and with it what it was opened to and can be made again from. */
static void item_inherit(struct registry_item *item, const struct registry_item *held)
{
    memcpy(item->opened, held->opened, sizeof item->opened);
    memcpy(item->blob, held->blob, sizeof item->blob);
    item->blob_size = held->blob_size;
}

static void target_add(struct registry_items *target, const struct registry_item *item,
                       const struct registry_item *held)
{
    struct registry_item *added = &target->items[target->count++];
    *added = *item;
    if (held != NULL && sync_same_content(item, held))
        item_inherit(added, held);
}

void sync_target(const struct sync_wants *wants, const struct registry_items *held,
                 struct registry_items *ret_target)
{
    ret_target->count = 0;
    for (size_t i = 0; i < wants->count; i++) {
        const struct sync_want *want = &wants->wants[i];
        const struct registry_item *now = sync_item_of(held, want->item.name);
        const struct registry_item *item =
            want->mode == MUSTER__ASSIGN_MODE__MODE_REPAIR ? &want->item : now;
        if (item != NULL)
            target_add(ret_target, item, now);
    }
}

bool sync_same(const struct registry_items *a, const struct registry_items *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
            !same_item(&a->items[i], &b->items[i]))
            return false;
    }
    return true;
}

static enum sync_finding finding_of(const struct sync_holding *held,
                                    const struct registry_item *item)
{
    return held->findings[item - held->list->items];
}

bool sync_sound(enum sync_finding finding)
{
    return finding == SYNC_SOUND || finding == SYNC_REPAIRED;
}

bool sync_carries(const struct registry_item *target, const struct sync_holding *held)
{
    const struct registry_item *item = sync_item_of(held->list, target->name);
    return !held->anew && item != NULL && sync_same_content(item, target) &&
           sync_sound(finding_of(held, item));
}

bool sync_may_repair(const struct sync_wants *wants, const char *name)
{
    if (wants == NULL)
        return true;
    const struct sync_want *want = sync_want_of(wants, name);
    return want != NULL && want->mode == MUSTER__ASSIGN_MODE__MODE_REPAIR;
}

static bool lacks_has(const struct sync_blobs *lacks, const uint8_t sha256[32])
{
    for (size_t i = 0; i < lacks->count; i++) {
        if (memcmp(lacks->sha256[i], sha256, 32) == 0)
            return true;
    }
    return false;
}

void sync_blobs_add(struct sync_blobs *blobs, const uint8_t sha256[32], uint64_t size)
{
    if (blobs->count == REGISTRY_ITEMS || lacks_has(blobs, sha256))
        return;
    memcpy(blobs->sha256[blobs->count], sha256, 32);
    blobs->sizes[blobs->count++] = size;
}

bool sync_blobs_for(const struct sync_blobs *blobs, const struct registry_item *item)
{
    for (size_t i = 0; i < blobs->contents; i++) {
        if (memcmp(blobs->content[i], item->sha256, 32) == 0)
            return true;
    }
    return false;
}

/* Damaged files first: they are what the payment application reads now. */
void sync_lacks(const struct sync_wants *wants, const struct sync_holding *held, bool build,
                bool (*missing)(void *ctx, const struct registry_item *item,
                                const struct sync_want *want, struct sync_blobs *lacks),
                void *ctx, struct sync_blobs *ret_lacks)
{
    ret_lacks->count = ret_lacks->contents = 0;
    for (size_t i = 0; i < held->list->count; i++) {
        const struct registry_item *item = &held->list->items[i];
        if (!sync_sound(held->findings[i]) && sync_may_repair(wants, item->name) &&
            missing(ctx, item, NULL, ret_lacks))
            memcpy(ret_lacks->content[ret_lacks->contents++], item->sha256, 32);
    }
    for (size_t i = 0; build && wants != NULL && i < wants->count; i++) {
        const struct sync_want *want = &wants->wants[i];
        if (want->mode == MUSTER__ASSIGN_MODE__MODE_REPAIR && !sync_carries(&want->item, held) &&
            missing(ctx, &want->item, want, ret_lacks))
            memcpy(ret_lacks->content[ret_lacks->contents++], want->item.sha256, 32);
    }
}

struct sized {
    uint8_t key[33]; /* 'c' content or 'b' blob, and the hash */
    uint64_t bytes;
};

static int sized_compare(const void *a, const void *b)
{
    return memcmp(((const struct sized *)a)->key, ((const struct sized *)b)->key, 33);
}

static void sized_set(struct sized *sized, uint8_t what, const uint8_t sha256[32], uint64_t bytes)
{
    sized->key[0] = what;
    memcpy(sized->key + 1, sha256, 32);
    sized->bytes = bytes;
}

uint64_t sync_bytes(const struct registry_items *const *lists, size_t count)
{
    enum { LISTS_MAX = 4 };
    struct sized all[LISTS_MAX * REGISTRY_ITEMS * 2];
    size_t filled = 0;
    for (size_t l = 0; l < count && l < LISTS_MAX; l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            const struct registry_item *item = &lists[l]->items[i];
            sized_set(&all[filled++], 'c', item->sha256, item->length);
            sized_set(&all[filled++], 'b', item->blob, item->blob_size);
        }
    }
    qsort(all, filled, sizeof all[0], sized_compare);
    uint64_t bytes = 0;
    for (size_t i = 0; i < filled; i++) {
        if (i == 0 || sized_compare(&all[i - 1], &all[i]) != 0)
            bytes += all[i].bytes;
    }
    return bytes;
}

bool sync_as_wanted(Muster__ItemState state)
{
    return state == MUSTER__ITEM_STATE__ITEM_OK || state == MUSTER__ITEM_STATE__ITEM_PROBATION ||
           state == MUSTER__ITEM_STATE__ITEM_REPAIRED;
}

static void report_reason(struct sync_report *report, const char *reason)
{
    snprintf(report->reason, sizeof report->reason, "%.199s", reason);
    utf8_clean(report->reason);
}

static void report_waits(const struct sync_report_input *input, struct sync_report *report)
{
    char text[sizeof report->reason];
    (void)snprintf(text, sizeof text, "here and checked; put in force with %.90s", input->waits);
    report_reason(report, text);
}

/* A held file that is not as it was applied. */
static void report_unsound(const struct sync_report_input *input, const struct registry_item *held,
                           enum sync_finding finding, struct sync_report *report)
{
    bool coming = sync_blobs_for(input->lacks, held);
    report->state = coming                    ? MUSTER__ITEM_STATE__ITEM_FETCHING
                    : finding == SYNC_MISSING ? MUSTER__ITEM_STATE__ITEM_MISSING
                                              : MUSTER__ITEM_STATE__ITEM_DAMAGED;
    if (coming)
        report_reason(report, finding == SYNC_MISSING ? "the file is missing; fetching it again"
                                                      : "the file is damaged; fetching it again");
}

/* It was in force: see proto/refusal.proto. */
bool sync_was_returned(const struct registry_failure *failure)
{
    return failure->refusal >= MUSTER__REFUSAL__REFUSAL_PROBATION_RESULTS &&
           failure->refusal <= MUSTER__REFUSAL__REFUSAL_GENERATION_AGAIN;
}

static void report_returned(const struct registry_returned *returned, struct sync_report *report)
{
    char text[sizeof report->reason];
    (void)snprintf(text, sizeof text, "taken back: %.140s", returned->reason);
    report->state = MUSTER__ITEM_STATE__ITEM_RETURNED;
    report->refusal = (Muster__Refusal)returned->refusal;
    report_reason(report, text);
}

/* Nothing is known against what is not held. */
static enum sync_finding finding_of_held(const struct sync_report_input *input,
                                         const struct registry_item *held)
{
    return held != NULL ? finding_of(&input->held, held) : SYNC_SOUND;
}

static const struct sync_seen *seen_of(const struct sync_report_input *input,
                                       const struct sync_want *want)
{
    return input->seen != NULL ? input->seen[want - input->wants->wants] : NULL;
}

/* Wanted, and what is held is another version or nothing. */
static void report_behind(const struct sync_report_input *input, const struct sync_want *want,
                          const struct registry_item *held, struct sync_report *report)
{
    const struct registry_failure *failure = input->failure;
    const struct registry_returned *returned =
        input->returned != NULL ? input->returned[want - input->wants->wants] : NULL;
    report->state =
        held != NULL ? MUSTER__ITEM_STATE__ITEM_DRIFT : MUSTER__ITEM_STATE__ITEM_MISSING;
    if (want->refusal != MUSTER__REFUSAL__REFUSAL_NONE) {
        report->state = MUSTER__ITEM_STATE__ITEM_REFUSED;
        report->refusal = want->refusal;
        report_reason(report, want->why);
    } else if (want->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR) {
        sync_report_left(want, held, finding_of_held(input, held), seen_of(input, want), report);
    } else if (returned != NULL) {
        report_returned(returned, report);
    } else if (failure->present) {
        bool named = strcmp(failure->item, want->item.name) == 0;
        if (named && failure->content)
            report->state = MUSTER__ITEM_STATE__ITEM_REFUSED;
        if (named)
            report->refusal = (Muster__Refusal)failure->refusal;
        report_reason(report, named ? failure->reason : "the generation did not pass");
    } else if (input->stalled != NULL) {
        report_reason(report, input->stalled);
    } else if (input->waits != NULL) {
        report->state = MUSTER__ITEM_STATE__ITEM_WAITING;
        report_waits(input, report);
    } else if (sync_blobs_for(input->lacks, &want->item)) {
        report->state = MUSTER__ITEM_STATE__ITEM_FETCHING;
    }
}

static void report_held(const struct sync_report_input *input, const struct registry_item *held,
                        struct sync_report *report)
{
    report->held_version = held->version;
    if (finding_of(&input->held, held) != SYNC_MISSING)
        memcpy(report->held_sha256, held->sha256, 32);
}

/* Whether somebody else's key or package is as wanted is not in a file here: the key slots say it,
 * and what runs (agent/keyring_tell.c, agent/installer_tell.c). */
static bool is_told_elsewhere(const struct sync_want *want, const struct sync_seen *seen)
{
    const bool owned = seen != NULL && seen->owned;
    return want->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR &&
           want->refusal == MUSTER__REFUSAL__REFUSAL_NONE &&
           (want->item.kind == (int)MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK ||
            (!owned && package_kind((Muster__DocumentKind)want->item.kind)));
}

static bool report_want(const struct sync_report_input *input, const struct sync_want *want,
                        struct sync_report *report)
{
    const struct registry_item *held = sync_item_of(input->held.list, want->item.name);
    *report = (struct sync_report){.mode = want->mode, .wanted_version = want->item.version};
    memcpy(report->name, want->item.name, sizeof report->name);
    memcpy(report->wanted_sha256, want->item.sha256, 32);
    enum sync_finding finding = finding_of_held(input, held);
    const struct sync_seen *seen = seen_of(input, want);
    if (seen != NULL && seen->owned && want->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR &&
        want->refusal == MUSTER__REFUSAL__REFUSAL_NONE && !is_told_elsewhere(want, seen))
        return sync_report_owned(input, want, seen, report);
    if (held != NULL)
        report_held(input, held, report);
    if (is_told_elsewhere(want, seen)) {
        report->state = MUSTER__ITEM_STATE__ITEM_OK;
        return true;
    }
    if (want->refusal != MUSTER__REFUSAL__REFUSAL_NONE || held == NULL ||
        !same_item(held, &want->item)) {
        report_behind(input, want, held, report);
        return false;
    }
    if (!sync_sound(finding)) {
        report_unsound(input, held, finding, report);
        if (want->mode == MUSTER__ASSIGN_MODE__MODE_PROPOSE)
            sync_report_left(want, held, finding, NULL, report);
        return false;
    }
    const struct registry_items *before = input->before;
    const struct registry_item *old = before != NULL ? sync_item_of(before, held->name) : NULL;
    report->state = before == NULL || (old != NULL && same_item(old, held))
                        ? MUSTER__ITEM_STATE__ITEM_OK
                        : MUSTER__ITEM_STATE__ITEM_PROBATION;
    if (finding == SYNC_REPAIRED) {
        report->state = MUSTER__ITEM_STATE__ITEM_REPAIRED;
        report->source = input->sources[held - input->held.list->items];
    }
    return seen == NULL || !seen->owned || sync_report_taken(input, want, seen, report);
}

/* Held and not wanted: about to go, or the manifest is not known. */
static void report_unwanted(const struct sync_report_input *input, const struct registry_item *held,
                            struct sync_report *report)
{
    enum sync_finding finding = finding_of(&input->held, held);
    *report = (struct sync_report){0};
    memcpy(report->name, held->name, sizeof report->name);
    report_held(input, held, report);
    if (!sync_sound(finding)) {
        report_unsound(input, held, finding, report);
        return;
    }
    char text[sizeof report->reason];
    if (input->wants != NULL && input->waits != NULL) {
        report->state = MUSTER__ITEM_STATE__ITEM_WAITING;
        (void)snprintf(text, sizeof text, "no longer wanted; it goes with %.90s", input->waits);
        report_reason(report, text);
        return;
    }
    report->state = MUSTER__ITEM_STATE__ITEM_DRIFT;
    report_reason(report, input->wants == NULL ? "no manifest is known" : "no longer wanted");
}

size_t sync_reports(const struct sync_report_input *input, struct sync_report *ret_reports,
                    bool *ret_converged)
{
    size_t count = 0;
    bool converged = input->wants != NULL;
    for (size_t i = 0; input->wants != NULL && i < input->wants->count; i++) {
        if (!report_want(input, &input->wants->wants[i], &ret_reports[count++]))
            converged = false;
    }
    for (size_t i = 0; i < input->held.list->count; i++) {
        const struct registry_item *held = &input->held.list->items[i];
        if (sync_want_of(input->wants, held->name) != NULL)
            continue;
        report_unwanted(input, held, &ret_reports[count++]);
        converged = false;
    }
    *ret_converged = converged;
    return count;
}
