/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of packages: which is to run, which runs, and why not. */
#include "agent/installer_internal.h"
#include "agent/sync.h"
#include "base/log.h"
#include "base/span.h"
#include "proto/limits.h"
#include "proto/seal.h"
#include "proto/unpack.h"

#include <stdio.h>
#include <string.h>

enum { DETAIL_BYTES = 1024, TEXT_BYTES = 400, REASON_BYTES = 320 };

static const struct installer_item *item_of(const struct installer *installer,
                                            const struct package_wanted *wanted)
{
    for (size_t i = 0; i < installer->count; i++) {
        const struct package_wanted *known = &installer->items[i].wanted;
        if (strcmp(known->name, wanted->name) == 0 && known->mode == wanted->mode &&
            strcmp(known->package_version, wanted->package_version) == 0 &&
            memcmp(known->sha256, wanted->sha256, sizeof known->sha256) == 0)
            return &installer->items[i];
    }
    return NULL;
}

static bool is_waiting(const struct installer *installer, const struct package_wanted *wanted)
{
    return installer->waiting && strcmp(installer->ready.name, wanted->name) == 0;
}

static void wait_words(const struct installer *installer, char reason[REASON_BYTES])
{
    char after[SPAN_WORDS_CHARS];
    span_words(installer->alone ? installer->gate.alone_ms : installer->gate.patience_ms, true,
               after);
    if (installer->held)
        (void)snprintf(reason, REASON_BYTES, "it waits for the end of the restart");
    else if (installer->asked_person)
        (void)snprintf(reason, REASON_BYTES,
                       "it waits for %s, for so long that a person should look: muster apply",
                       gate_words(GATE_SETTLED));
    else
        (void)snprintf(reason, REASON_BYTES, "it waits for %s; after %s %s",
                       gate_words(GATE_SETTLED), after,
                       installer->alone ? "it is handed over anyway" : "a person is asked");
}

/* What the application is in the middle of changes with each sale, and is no other state. */
static void reason_of(const struct installer *installer, const struct installer_item *item,
                      char reason[REASON_BYTES])
{
    if (installer->doing == DOING_INSTALL && strcmp(installer->ready.name, item->wanted.name) == 0)
        (void)snprintf(reason, REASON_BYTES, "it is being handed to the installer");
    else if (is_waiting(installer, &item->wanted))
        wait_words(installer, reason);
    else
        (void)snprintf(reason, REASON_BYTES, "%s", item->verdict.why);
}

/* ---- in the state report ---- */

static bool has_run(const struct installer *installer, const struct package_wanted *wanted)
{
    for (size_t i = 0; i < installer->book.count; i++)
        if (package_same(&installer->book.rows[i], wanted))
            return installer->book.rows[i].step == PACKAGE_DONE;
    return false;
}

/* Ops are asked about what is known to run, and not while nobody knows. */
static Muster__ItemState state_of(const struct package_wanted *wanted,
                                  const struct installer_item *item)
{
    if (item != NULL && item->verdict.step == PACKAGE_REFUSED)
        return MUSTER__ITEM_STATE__ITEM_REFUSED;
    if (wanted->mode == MUSTER__ASSIGN_MODE__MODE_REPAIR)
        return MUSTER__ITEM_STATE__ITEM_PLACING;
    if (item == NULL || item->running[0] == '\0')
        return MUSTER__ITEM_STATE__ITEM_UNKNOWN;
    return wanted->mode == MUSTER__ASSIGN_MODE__MODE_PROPOSE ? MUSTER__ITEM_STATE__ITEM_PROPOSED
                                                             : MUSTER__ITEM_STATE__ITEM_DRIFT;
}

/* `number`: of the packages of the manifest. */
static bool amend(const struct installer *installer, const struct package_wanted *wanted,
                  size_t number, struct arena *arena, Muster__ItemReport *report)
{
    const struct installer_item *item = item_of(installer, wanted);
    char reason[REASON_BYTES] = "what runs was not asked yet";
    if (item != NULL)
        reason_of(installer, item, reason);
    else if (number >= PACKAGES_MAX)
        (void)snprintf(reason, sizeof reason,
                       "a terminal has its installer look at %d packages, and this is one more",
                       PACKAGES_MAX);
    report->state = state_of(wanted, item);
    report->refusal = item != NULL && item->verdict.step == PACKAGE_REFUSED
                          ? item->verdict.refusal
                          : MUSTER__REFUSAL__REFUSAL_NONE;
    report->reason = arena_copy(arena, reason, strlen(reason) + 1);
    return report->reason != NULL;
}

static bool judge(const struct installer *installer, const struct package_wanted *wanted,
                  size_t number, struct arena *arena, Muster__StateReport *state)
{
    const struct installer_item *item = item_of(installer, wanted);
    if (item != NULL ? item->verdict.step == PACKAGE_DONE : has_run(installer, wanted))
        return true;
    state->converged = false;
    for (size_t i = 0; i < state->n_items; i++)
        if (strcmp(state->items[i]->name, wanted->name) == 0 &&
            sync_as_wanted(state->items[i]->state))
            return amend(installer, wanted, number, arena, state->items[i]);
    return true;
}

const char *installer_running(const struct installer *installer, const char *name)
{
    for (size_t i = 0; i < installer->count; i++)
        if (strcmp(installer->items[i].wanted.name, name) == 0)
            return installer->items[i].running;
    return "";
}

bool installer_state(const struct installer *installer, struct arena *arena,
                     Muster__StateReport *state, struct err *err)
{
    struct package_wanted wanted[LIMIT_MANIFEST_ITEMS]; /* none of them is as it should be unseen */
    size_t count = installer->events.wanted(installer->ctx, wanted, LIMIT_MANIFEST_ITEMS);
    for (size_t i = 0; i < count; i++)
        if (!judge(installer, &wanted[i], i, arena, state))
            return err_set(err, ERR_NO_MEMORY, "no memory for packages");
    return true;
}

/* ---- as events ---- */

static void give_event(struct installer *installer, const struct installer_item *item, char *text)
{
    Muster__PackageReport report = MUSTER__PACKAGE_REPORT__INIT;
    Muster__Event event = MUSTER__EVENT__INIT;
    struct buf detail = {.limit = DETAIL_BYTES};
    struct err err = {0};
    report.name = (char *)(uintptr_t)item->wanted.name;
    report.wanted = (char *)(uintptr_t)item->wanted.package_version;
    report.running = (char *)(uintptr_t)item->running;
    report.text = text;
    if (!pack(&report.base, &detail, &err)) {
        log_warn("packages: an event goes without its detail: %s", err.text);
        buf_clear(&detail);
    }
    event.kind = MUSTER__EVENT_KIND__EVENT_PACKAGE;
    event.item = report.name;
    event.text = text;
    event.refusal = item->verdict.step == PACKAGE_REFUSED ? item->verdict.refusal
                                                          : MUSTER__REFUSAL__REFUSAL_NONE;
    event.detail = (ProtobufCBinaryData){.len = detail.length, .data = detail.data};
    installer->events.event(installer->ctx, &event);
    buf_done(&detail);
}

/* "": there is nothing to tell of it by itself; the state says it. */
static void story(const struct installer *installer, const struct installer_item *item,
                  char text[TEXT_BYTES])
{
    const char *version = item->wanted.package_version;
    text[0] = '\0';
    if (is_waiting(installer, &item->wanted) && installer->asked_person)
        (void)snprintf(text, TEXT_BYTES,
                       "%s waits for %s, for so long that a person should look: muster apply",
                       version, installer->waits_for);
    else if (item->verdict.step == PACKAGE_DONE)
        (void)snprintf(text, TEXT_BYTES, "%s runs", version);
    else if (item->verdict.step == PACKAGE_REFUSED)
        (void)snprintf(text, TEXT_BYTES, "%s does not run: %s", version, item->verdict.why);
    else if (item->verdict.step == PACKAGE_HANDED)
        (void)snprintf(text, TEXT_BYTES, "%s was handed to the installer, %s runs", version,
                       item->running[0] != '\0' ? item->running : "nobody knows what");
}

/* What differs from what was told of it last, over restarts too. A person is asked once for each
 * wait, whatever it waits for. */
static bool is_news(struct installer *installer, const struct installer_item *item,
                    const char *text, bool asks, uint8_t told[32])
{
    char key[TEXT_BYTES + 16];
    const struct package_row *row = asks ? packages_book_row(&installer->book, &item->wanted)
                                         : packages_book_find(&installer->book, &item->wanted);
    const int length = snprintf(key, sizeof key, "%d %s", (int)item->verdict.step,
                                asks                                   ? "asks"
                                : item->verdict.step == PACKAGE_HANDED ? ""
                                                                       : text);
    sha256(bytes_of(key, (size_t)length), told);
    return row != NULL && memcmp(row->told, told, 32) != 0;
}

static void tell_item(struct installer *installer, const struct installer_item *item, bool *kept)
{
    char text[TEXT_BYTES];
    uint8_t told[32];
    const bool asks = is_waiting(installer, &item->wanted) && installer->asked_person;
    story(installer, item, text);
    if (text[0] == '\0' || !is_news(installer, item, text, asks, told))
        return;
    give_event(installer, item, text);
    memcpy(packages_book_row(&installer->book, &item->wanted)->told, told, sizeof told);
    *kept = false;
}

void installer_tell_decided(struct installer *installer, const char *who)
{
    char text[TEXT_BYTES];
    const struct installer_item *item = item_of(installer, &installer->ready);
    if (item == NULL)
        return;
    (void)snprintf(text, sizeof text,
                   "%.60s has decided: %s is handed to the installer now, though it waited for "
                   "%.160s",
                   who, item->wanted.package_version, installer->waits_for);
    log_warn("%s: %s", item->wanted.name, text);
    give_event(installer, item, text);
}

static bool hash_all(const struct installer *installer, uint8_t ret_hash[32])
{
    struct buf all = {0};
    char reason[REASON_BYTES];
    bool ok = buf_append(&all, "p", 1, NULL);
    for (size_t i = 0; ok && i < installer->count; i++) {
        const struct installer_item *item = &installer->items[i];
        reason_of(installer, item, reason);
        ok = buf_append(&all, item->wanted.name, strlen(item->wanted.name) + 1, NULL) &&
             buf_append(&all, item->wanted.sha256, sizeof item->wanted.sha256, NULL) &&
             buf_append(&all, &item->verdict.step, sizeof item->verdict.step, NULL) &&
             buf_append(&all, reason, strlen(reason) + 1, NULL);
    }
    if (ok)
        sha256(buf_bytes(&all), ret_hash);
    buf_done(&all);
    return ok;
}

void installer_tell(struct installer *installer)
{
    uint8_t hash[32];
    struct err err = {0};
    bool kept = true;
    for (size_t i = 0; i < installer->count; i++)
        tell_item(installer, &installer->items[i], &kept);
    if (!kept && !installer_keep(installer, &err))
        log_error("%s", err.text);
    if (!hash_all(installer, hash) || memcmp(hash, installer->reported, sizeof hash) == 0)
        return;
    memcpy(installer->reported, hash, sizeof hash);
    installer->events.changed(installer->ctx);
}
