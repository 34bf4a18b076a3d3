/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a document that another system owns, or that is only observed or proposed. */
#include "agent/sync.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- in words ---- */

static void rows_text(const struct sync_difference *difference, char text[96])
{
    const struct rowdiff *diff = &difference->diff;
    text[0] = '\0';
    if (!difference->rows)
        return;
    if (diff->only_found + diff->only_wanted > 0)
        (void)snprintf(text, 96,
                       "; rows: %" PRIu64 " only here, %" PRIu64 " only wanted, from line %" PRIu64,
                       diff->only_found, diff->only_wanted, diff->first);
    else if (diff->first > 0)
        (void)snprintf(text, 96, "; the same rows, in another order from line %" PRIu64,
                       diff->first);
    else
        (void)snprintf(text, 96, "; the same rows, other ends of lines");
}

/* Of what is secret no length is told: none that differs has two of zero. */
static bool is_sealed(const struct sync_difference *difference)
{
    return difference->found_bytes == 0 && difference->wanted_bytes == 0;
}

static void difference_text(const struct sync_difference *difference, const char *why,
                            char text[160])
{
    char rows[96];
    switch (difference->kind) {
    case MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT:
        rows_text(difference, rows);
        if (is_sealed(difference))
            (void)snprintf(text, 160, "another content");
        else
            (void)snprintf(text, 160, "another content, %" PRIu64 " bytes, %" PRIu64 " wanted%s",
                           difference->found_bytes, difference->wanted_bytes, rows);
        return;
    case MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING:
        (void)snprintf(text, 160, "there is no such file");
        return;
    case MUSTER__DIFFERENCE_KIND__DIFFERENCE_UNREADABLE:
        (void)snprintf(text, 160, "its file cannot be read: %.63s", why);
        return;
    case MUSTER__DIFFERENCE_KIND__DIFFERENCE_NO_FILE:
        (void)snprintf(text, 160, "what is at its path is no regular file, or a link to one");
        return;
    case MUSTER__DIFFERENCE_KIND__DIFFERENCE_TOO_LONG:
        if (is_sealed(difference))
            (void)snprintf(text, 160, "its file is longer than anything sealed; not read");
        else
            (void)snprintf(text, 160,
                           "its file has %" PRIu64 " bytes, %" PRIu64 " wanted; not read",
                           difference->found_bytes, difference->wanted_bytes);
        return;
    case MUSTER__DIFFERENCE_KIND__DIFFERENCE_CHANGING:
        (void)snprintf(text, 160, "its file changed while it was read; looked at again");
        return;
    case MUSTER__DIFFERENCE_KIND__DIFFERENCE_DAMAGED:
        (void)snprintf(text, 160, "the held file is damaged");
        return;
    case MUSTER__DIFFERENCE_KIND__DIFFERENCE_SEALED:
        (void)snprintf(text, 160, "sealed, and never opened here: it cannot be compared");
        return;
    default:
        (void)snprintf(text, 160, "its file was not looked at yet");
        return;
    }
}

static void report_text(struct sync_report *report, const char *before, const char *what)
{
    (void)snprintf(report->reason, sizeof report->reason, "%.50s%s%.140s", before,
                   what[0] != '\0' ? ": " : "", what);
    utf8_clean(report->reason);
}

static const char *left_text(Muster__AssignMode mode)
{
    return mode == MUSTER__ASSIGN_MODE__MODE_PROPOSE ? "proposed to ops; not written here"
                                                     : "observed only; not written here";
}

/* ---- what is known to differ ---- */

/* Ops are not asked about what may be as they want it. */
static bool is_known(Muster__DifferenceKind kind)
{
    return kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT ||
           kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING ||
           kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_DAMAGED ||
           kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_NO_FILE ||
           kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_TOO_LONG;
}

static Muster__ItemState state_of(Muster__AssignMode mode, Muster__DifferenceKind kind)
{
    if (!is_known(kind))
        return MUSTER__ITEM_STATE__ITEM_UNKNOWN;
    if (mode == MUSTER__ASSIGN_MODE__MODE_PROPOSE)
        return MUSTER__ITEM_STATE__ITEM_PROPOSED;
    return kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING ? MUSTER__ITEM_STATE__ITEM_MISSING
                                                               : MUSTER__ITEM_STATE__ITEM_DRIFT;
}

static void take_rows(const struct sync_want *want, const struct sync_seen *seen,
                      struct sync_difference *difference)
{
    difference->rows =
        seen != NULL && seen->rows && memcmp(seen->rows_with, want->item.sha256, 32) == 0;
    if (difference->rows)
        difference->diff = seen->diff;
}

/* ---- a file that another system keeps ---- */

/* The hash that the file would have. False: nobody here knows it. */
static bool wanted_hash(const struct registry_items *list, const struct sync_want *want,
                        const uint8_t **ret_sha256)
{
    static const uint8_t not_opened[32];
    const struct registry_item *held = sync_item_of(list, want->item.name);
    *ret_sha256 = want->item.sha256;
    if (!want->item.sealed)
        return true;
    if (held == NULL || !sync_same_content(held, &want->item) ||
        memcmp(held->opened, not_opened, sizeof not_opened) == 0)
        return false;
    *ret_sha256 = held->opened;
    return true;
}

/* True: it is as wanted. */
static bool compare(const struct registry_items *held, const struct sync_want *want,
                    const struct sync_seen *seen, struct sync_difference *ret_difference)
{
    const uint8_t *wanted;
    struct sync_difference difference = {.kind = seen->kind,
                                         .owned = true,
                                         .wanted_bytes = want->item.sealed ? 0 : want->item.length,
                                         .found_bytes = want->item.sealed ? 0 : seen->length};
    bool known = wanted_hash(held, want, &wanted);
    bool read = seen->kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE;
    if (read && known && memcmp(seen->sha256, wanted, 32) == 0)
        return true;
    if (read)
        difference.kind = known ? MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT
                                : MUSTER__DIFFERENCE_KIND__DIFFERENCE_SEALED;
    if (read && known && !want->item.sealed)
        take_rows(want, seen, &difference);
    *ret_difference = difference;
    return false;
}

/* Of a version that is held here, where it is. */
static uint64_t found_version(const struct sync_report_input *input, const struct sync_want *want,
                              const struct sync_seen *seen)
{
    const struct registry_item *held = sync_item_of(input->held.list, want->item.name);
    return held != NULL && !held->sealed && memcmp(held->sha256, seen->sha256, 32) == 0
               ? held->version
               : 0;
}

bool sync_report_owned(const struct sync_report_input *input, const struct sync_want *want,
                       const struct sync_seen *seen, struct sync_report *report)
{
    char text[160];
    if (compare(input->held.list, want, seen, &report->difference)) {
        report->difference.owned = true; /* and what is told as held is his */
        report->state = MUSTER__ITEM_STATE__ITEM_OK;
        report->held_version = want->item.version;
        memcpy(report->held_sha256, want->item.sha256, 32);
        return true;
    }
    /* Of what is secret, even when it is another, no hash leaves. */
    if (seen->kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE && !want->item.sealed) {
        memcpy(report->held_sha256, seen->sha256, 32);
        report->held_version = found_version(input, want, seen);
    }
    difference_text(&report->difference, seen->why, text);
    report->state = state_of(want->mode, report->difference.kind);
    report_text(report, left_text(want->mode), text);
    return false;
}

bool sync_untaken(const struct registry_items *list, const struct sync_want *want,
                  const struct sync_seen *seen)
{
    struct sync_difference difference;
    const struct registry_item *held = sync_item_of(list, want->item.name);
    return want->mode == MUSTER__ASSIGN_MODE__MODE_REPAIR && seen->owned && held != NULL &&
           sync_same_content(held, &want->item) && !compare(list, want, seen, &difference);
}

bool sync_report_taken(const struct sync_report_input *input, const struct sync_want *want,
                       const struct sync_seen *seen, struct sync_report *report)
{
    char text[160];
    if (compare(input->held.list, want, seen, &report->difference))
        return true;
    difference_text(&report->difference, seen->why, text);
    report->state = MUSTER__ITEM_STATE__ITEM_PLACING; /* also on probation, which is told beside */
    report_text(report,
                is_known(report->difference.kind)
                    ? "in force; its owner has not taken it"
                    : "in force; whether its owner took it is not known",
                text);
    return false;
}

/* ---- one that is held here, or nowhere ---- */

static Muster__DifferenceKind kind_of(const struct registry_item *held, enum sync_finding finding)
{
    if (held == NULL || finding == SYNC_MISSING)
        return MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING;
    return sync_sound(finding) ? MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT
                               : MUSTER__DIFFERENCE_KIND__DIFFERENCE_DAMAGED;
}

static void left_words(const struct registry_item *held, const struct sync_difference *difference,
                       char text[160])
{
    text[0] = '\0';
    if (difference->kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE)
        (void)snprintf(text, 160, "the same content, as another version");
    else if (difference->kind != MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING)
        difference_text(difference, "", text);
    else if (held != NULL)
        (void)snprintf(text, 160, "the held file is missing");
}

void sync_report_left(const struct sync_want *want, const struct registry_item *held,
                      enum sync_finding finding, const struct sync_seen *seen,
                      struct sync_report *report)
{
    char text[160];
    struct sync_difference *difference = &report->difference;
    const bool sound = held != NULL && sync_sound(finding);
    const bool sealed = want->item.sealed || (sound && held->sealed);
    *difference = (struct sync_difference){.kind = kind_of(held, finding),
                                           .wanted_bytes = sealed ? 0 : want->item.length,
                                           .found_bytes = sound && !sealed ? held->length : 0};
    report->state = state_of(want->mode, difference->kind);
    if (sound)
        take_rows(want, seen, difference);
    else /* of what it is now, or was */
        memset(report->held_sha256, 0, sizeof report->held_sha256);
    if (sound && sync_same_content(held, &want->item))
        difference->kind = MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE;
    left_words(held, difference, text);
    report_text(report, left_text(want->mode), text);
}
