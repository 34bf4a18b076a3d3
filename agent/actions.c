/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/actions.h"

#include "base/utf8.h"
#include "proto/action.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void actions_done(struct actions *actions)
{
    free(actions->entries);
    *actions = (struct actions){0};
}

struct actions_entry *actions_find(const struct actions *actions, const char *id)
{
    for (size_t i = 0; i < actions->count; i++)
        if (strcmp(actions->entries[i].id, id) == 0)
            return &actions->entries[i];
    return NULL;
}

static bool is_above(uint64_t epoch, uint64_t version, uint64_t floor_epoch, uint64_t floor_version)
{
    return epoch > floor_epoch || (epoch == floor_epoch && version > floor_version);
}

static bool is_forgotten(const struct actions *actions, const struct action *action)
{
    bool any = actions->floor_epoch != 0 || actions->floor_version != 0;
    return any && !is_above(action->since_epoch, action->since_version, actions->floor_epoch,
                            actions->floor_version);
}

static struct actions_judged judged(enum actions_verdict verdict, Muster__Refusal refusal,
                                    const char *why)
{
    return (struct actions_judged){verdict, refusal, why};
}

struct actions_judged actions_judge(const struct actions *actions, const struct action *action,
                                    const struct actions_moment *moment)
{
    if (actions_find(actions, action->id) != NULL)
        return judged(ACTIONS_OVER, MUSTER__REFUSAL__REFUSAL_NONE, "");
    if (action->expires_ms != 0 && moment->earliest_ms >= action->expires_ms)
        return judged(ACTIONS_EXPIRED, MUSTER__REFUSAL__REFUSAL_ACTION_EXPIRED,
                      "it was not begun in time");
    if (moment->stale[0] != '\0')
        return judged(ACTIONS_WAITS, MUSTER__REFUSAL__REFUSAL_ACTION_STALE, moment->stale);
    if (is_forgotten(actions, action))
        return judged(ACTIONS_REFUSED, MUSTER__REFUSAL__REFUSAL_ACTION_REPEATED,
                      "whether it was done before is not known here any more: give it again");
    if (strcmp(action_word((int)action->kind), "unknown") == 0)
        return judged(ACTIONS_REFUSED, MUSTER__REFUSAL__REFUSAL_ACTION_UNKNOWN,
                      "this agent does not know actions of its kind");
    if (action->expires_ms != 0 && moment->latest_ms >= action->expires_ms)
        return judged(ACTIONS_WAITS, MUSTER__REFUSAL__REFUSAL_ACTION_EXPIRED,
                      "a proof that its time is not over");
    return judged(ACTIONS_MAY, MUSTER__REFUSAL__REFUSAL_NONE, "");
}

/* The oldest of which the fleet has been told how it ended; without one, the oldest that is not
 * being done. */
static size_t least_needed(const struct actions *actions)
{
    size_t over = actions->count;
    for (size_t i = actions->count; i-- > 0;)
        over = action_is_over((int)actions->entries[i].step) ? i : over;
    for (size_t i = over; i < actions->count; i++)
        if (actions->entries[i].told && action_is_over((int)actions->entries[i].step))
            return i;
    return over < actions->count ? over : actions->count - 1;
}

static void forget_one(struct actions *actions)
{
    const size_t at = least_needed(actions);
    const struct actions_entry *gone = &actions->entries[at];
    if (is_above(gone->since_epoch, gone->since_version, actions->floor_epoch,
                 actions->floor_version)) {
        actions->floor_epoch = gone->since_epoch;
        actions->floor_version = gone->since_version;
    }
    actions->count--;
    memmove(&actions->entries[at], &actions->entries[at + 1],
            (actions->count - at) * sizeof *actions->entries);
}

static struct actions_entry *add(struct actions *actions, struct err *err)
{
    enum { STEP = 16 };
    if (actions->count == ACTIONS_KEPT)
        forget_one(actions);
    if (actions->count % STEP == 0) {
        struct actions_entry *more =
            realloc(actions->entries, (actions->count + STEP) * sizeof *more);
        if (more == NULL) {
            err_set(err, ERR_NO_MEMORY, "no memory for an action");
            return NULL;
        }
        actions->entries = more;
    }
    return &actions->entries[actions->count++];
}

static void put_text(struct actions_entry *entry, const char *text)
{
    (void)snprintf(entry->text, sizeof entry->text, "%s", text);
    utf8_clean(entry->text);
}

bool actions_mark(struct actions *actions, const struct action *action, Muster__ActionStep step,
                  const uint8_t boot_id[ACTIONS_BOOT_BYTES], const char *text, struct err *err)
{
    if (actions_find(actions, action->id) != NULL)
        return err_set(err, ERR_CONFLICT, "action %s was begun before", action->id);
    struct actions_entry *entry = add(actions, err);
    if (entry == NULL)
        return false;
    *entry = (struct actions_entry){.kind = action->kind,
                                    .step = step,
                                    .since_epoch = action->since_epoch,
                                    .since_version = action->since_version};
    memcpy(entry->id, action->id, sizeof entry->id);
    memcpy(entry->boot_id, boot_id, sizeof entry->boot_id);
    put_text(entry, text);
    return true;
}

void actions_unmark(struct actions *actions, const char *id)
{
    struct actions_entry *entry = actions_find(actions, id);
    if (entry == NULL)
        return;
    size_t at = (size_t)(entry - actions->entries);
    actions->count--;
    memmove(entry, entry + 1, (actions->count - at) * sizeof *entry);
}

void actions_end(struct actions *actions, const char *id, Muster__ActionStep step,
                 const struct actions_log *log, const char *text)
{
    struct actions_entry *entry = actions_find(actions, id);
    if (entry == NULL || action_is_over((int)entry->step))
        return;
    entry->step = step;
    entry->told = false;
    if (log != NULL)
        entry->log = *log;
    put_text(entry, text);
}

bool actions_restart(struct actions *actions, const uint8_t boot_id[ACTIONS_BOOT_BYTES])
{
    bool any = false;
    for (size_t i = 0; i < actions->count; i++) {
        struct actions_entry *entry = &actions->entries[i];
        if (action_is_over((int)entry->step))
            continue;
        bool restarted = entry->kind == MUSTER__ACTION_KIND__ACTION_REBOOT &&
                         memcmp(entry->boot_id, boot_id, ACTIONS_BOOT_BYTES) != 0;
        entry->step = restarted ? MUSTER__ACTION_STEP__ACTION_STEP_DONE
                                : MUSTER__ACTION_STEP__ACTION_STEP_OUTCOME_UNKNOWN;
        entry->told = false;
        put_text(entry, restarted
                            ? "the terminal has restarted"
                            : "the agent ended while it was being done; it is not done again");
        any = true;
    }
    return any;
}

void actions_lost(struct actions *actions, uint64_t epoch, uint64_t version)
{
    if (!is_above(epoch, version, actions->floor_epoch, actions->floor_version))
        return;
    actions->floor_epoch = epoch;
    actions->floor_version = version;
}
