/* SPDX-License-Identifier: Apache-2.0 */
/* What the fleet has ordered to be done once: marked on the medium before it begins, told when it
 * is over. */
#include "agent/agent_parts.h"

#include "agent/actions_journal.h"
#include "agent/helper_call.h"
#include "base/file.h"
#include "base/said.h"
#include "proto/action.h"
#include "proto/refusal.h"
#include "proto/unpack.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_AGAIN_MS = 10 * 1000, DETAIL_BYTES = 2048, SHOWN = 8 };

/* ---- the journal ---- */

static bool journal_path(const struct agent *agent, char path[512], struct err *err)
{
    return path_join(path, 512, agent->settings->state_dir, "actions", err);
}

static bool keep(struct agent *agent, struct err *err)
{
    char path[512];
    bool ok =
        journal_path(agent, path, err) && actions_journal_write(path, &agent->actions.book, err);
    agent->actions.unsaved = !ok;
    return ok;
}

/* Tried again at the next look. */
static void keep_or_warn(struct agent *agent)
{
    struct err err = {0};
    if (!keep(agent, &err))
        log_error("what became of an action is not kept yet: %s", err.text);
}

static void on_timer(uv_timer_t *timer)
{
    agent_look_at_actions(timer->data);
}

/* What it knew is lost: nothing that may have been done is done again. A terminal that was never
 * given a manifest has nothing to lose. */
static void begin_journal(struct agent *agent, const struct err *why)
{
    struct registrar_desired desired;
    registrar_desired(agent->registrar, &desired);
    actions_lost(&agent->actions.book, desired.floor_epoch, desired.floor_version);
    agent->actions.unsaved = true;
    if (why->code == ERR_NOT_FOUND)
        return;
    char text[320];
    (void)snprintf(text, sizeof text,
                   "the journal of actions cannot be read (%.160s): what was ordered before now is "
                   "not done, for it may have been",
                   why->text);
    log_warn("%s", text);
    Muster__Event event = MUSTER__EVENT__INIT;
    event.kind = MUSTER__EVENT_KIND__EVENT_ACTION;
    event.text = text;
    agent_record_event(agent, &event);
}

bool agent_open_actions(struct agent *agent, struct err *err)
{
    char path[512];
    struct err why = {0};
    struct agent_actions *actions = &agent->actions;
    if (!journal_path(agent, path, err) || !file_sweep_beside(path, err))
        return false;
    if (!actions_journal_read(path, &actions->book, &why)) {
        if (why.code == ERR_NO_MEMORY)
            return err_set(err, why.code, "%s", why.text);
        begin_journal(agent, &why);
    }
    if (actions_restart(&actions->book, agent->boot_id))
        actions->unsaved = true;
    if (actions->unsaved)
        keep_or_warn(agent);
    (void)uv_timer_init(agent->loop, &actions->timer); /* cannot fail */
    actions->timer.data = agent;
    actions->opened = true;
    agent_action_gate_join(agent);
    return true;
}

void agent_close_actions(struct agent *agent)
{
    struct agent_actions *actions = &agent->actions;
    if (!actions->opened)
        return;
    actions->opened = false;
    agent_action_gate_leave(agent);
    uv_close((uv_handle_t *)&actions->timer, NULL);
    if (actions->helper != NULL)
        helper_call_drop(actions->helper);
    actions->helper = NULL;
}

/* ---- what is told ---- */

struct telling {
    struct agent *agent;
    char id[LIMIT_ACTION_ID_CHARS + 1];
};

static void on_told(void *ctx, const struct spool_record *record, const struct err *err)
{
    struct telling *telling = ctx;
    struct agent *agent = telling->agent;
    struct actions_entry *entry = actions_find(&agent->actions.book, telling->id);
    (void)err; /* told where it is given up; again at the next look */
    free(telling);
    if (entry == NULL)
        return;
    entry->telling = false;
    if (record == NULL)
        return;
    entry->told = true;
    keep_or_warn(agent);
}

/* `done` NULL: it is not followed up. */
static bool tell(struct agent *agent, const Muster__ActionReport *report, Muster__Refusal refusal,
                 recorder_done *done, void *done_ctx)
{
    char text[400];
    struct err err = {0};
    struct buf detail = {.limit = DETAIL_BYTES};
    Muster__Event event = MUSTER__EVENT__INIT;
    if (!pack(&report->base, &detail, &err)) {
        log_error("an action is not told: %s", err.text);
        buf_done(&detail);
        return false;
    }
    (void)snprintf(text, sizeof text, "action %s (%s): %s%s%s", report->id,
                   action_word((int)report->kind), action_step_word((int)report->step),
                   report->text[0] != '\0' ? ": " : "", report->text);
    event.kind = MUSTER__EVENT_KIND__EVENT_ACTION;
    event.text = text;
    event.detail = (ProtobufCBinaryData){.len = detail.length, .data = detail.data};
    event.refusal = refusal;
    bool first = agent->actions.word.awaited && !agent->actions.word.stored;
    bool ok = agent_record_event_then(agent, &event, first ? HASTE_URGENT : HASTE_LINGERS, done,
                                      done_ctx);
    buf_done(&detail);
    return ok;
}

static void report_of(const struct actions_entry *entry, Muster__ActionReport *ret_report)
{
    muster__action_report__init(ret_report);
    ret_report->id = (char *)(uintptr_t)entry->id;
    ret_report->kind = entry->kind;
    ret_report->step = entry->step;
    ret_report->text = (char *)(uintptr_t)entry->text;
    ret_report->log_bytes = entry->log.bytes;
    ret_report->log_pieces = entry->log.pieces;
    if (entry->log.pieces > 0)
        ret_report->log_sha256 = (ProtobufCBinaryData){
            .len = sizeof entry->log.sha256, .data = (uint8_t *)(uintptr_t)entry->log.sha256};
}

static void tell_end(struct agent *agent, struct actions_entry *entry)
{
    struct registrar_desired desired;
    Muster__ActionReport report;
    struct telling *telling = calloc(1, sizeof *telling);
    if (telling == NULL)
        return; /* at the next look */
    registrar_desired(agent->registrar, &desired);
    telling->agent = agent;
    memcpy(telling->id, entry->id, sizeof telling->id);
    report_of(entry, &report);
    entry->telling = true;
    entry->told_epoch = desired.epoch;
    entry->told_version = desired.version;
    if (tell(agent, &report, entry->refusal, on_told, telling))
        return;
    entry->telling = false;
    free(telling);
}

/* The fleet asks for what is over, in a manifest that it made since that was told: it does not know
 * any more. */
static bool is_asked_again(const struct agent *agent, const struct actions_entry *entry)
{
    struct registrar_desired desired;
    const struct action_list *list = registrar_actions(agent->registrar);
    registrar_desired(agent->registrar, &desired);
    if (list == NULL || desired.epoch < entry->told_epoch ||
        (desired.epoch == entry->told_epoch && desired.version <= entry->told_version))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->actions[i].id, entry->id) == 0)
            return true;
    return false;
}

/* True: some could not be. */
static bool tell_ends(struct agent *agent)
{
    bool left = false;
    struct actions *book = &agent->actions.book;
    for (size_t i = 0; i < book->count; i++) {
        struct actions_entry *entry = &book->entries[i];
        if (!action_is_over((int)entry->step) || entry->telling ||
            (entry->told && !is_asked_again(agent, entry)))
            continue;
        tell_end(agent, entry);
        left = left || !entry->telling;
    }
    return left;
}

static void tell_now(struct agent *agent, const struct action *action, Muster__ActionStep step,
                     const char *text)
{
    Muster__ActionReport report = MUSTER__ACTION_REPORT__INIT;
    report.id = (char *)(uintptr_t)action->id;
    report.kind = action->kind;
    report.step = step;
    report.text = (char *)(uintptr_t)text;
    bool announced =
        step == MUSTER__ACTION_STEP__ACTION_STEP_STARTED && agent_action_announces(action->kind);
    (void)tell(agent, &report, MUSTER__REFUSAL__REFUSAL_NONE, announced ? agent_word_stored : NULL,
               agent);
}

/* ---- what waits ---- */

static struct action_wait *wait_of(struct agent *agent, const char *id)
{
    struct action_wait *waits = agent->actions.waits, *free_one = NULL;
    for (size_t i = 0; i < LIMIT_MANIFEST_ACTIONS; i++) {
        if (strcmp(waits[i].id, id) == 0)
            return &waits[i];
        if (waits[i].id[0] == '\0' && free_one == NULL)
            free_one = &waits[i];
    }
    if (free_one == NULL)
        return NULL; /* not before sweep_waits */
    *free_one = (struct action_wait){.noted_ms = clock_boot_ms(agent->clock), .since_ms = -1};
    (void)snprintf(free_one->id, sizeof free_one->id, "%s", id);
    return free_one;
}

/* What the manifest names no more, or what has begun, waits no more. */
static void sweep_waits(struct agent *agent, const struct action_list *list)
{
    for (size_t w = 0; w < LIMIT_MANIFEST_ACTIONS; w++) {
        struct action_wait *wait = &agent->actions.waits[w];
        bool named = false;
        for (size_t i = 0; list != NULL && i < list->count; i++)
            named = named || strcmp(list->actions[i].id, wait->id) == 0;
        if (!named || actions_find(&agent->actions.book, wait->id) != NULL)
            *wait = (struct action_wait){0};
    }
}

static void tell_wait(struct agent *agent, const struct action *action, struct action_wait *wait)
{
    char text[FRESHNESS_WHY_CHARS + 8];
    int64_t waited_ms = clock_boot_ms(agent->clock) - wait->since_ms;
    if (wait->told || waited_ms < agent->settings->gate_every_ms)
        return;
    wait->told = true;
    (void)snprintf(text, sizeof text, "for %s", wait->why);
    log_info("action %s (%s) waits %s", action->id, action_word((int)action->kind), text);
    tell_now(agent, action, MUSTER__ACTION_STEP__ACTION_STEP_WAITING, text);
}

/* ---- one action ---- */

/* Noted as over, without having begun. */
static void settle(struct agent *agent, const struct action *action, Muster__ActionStep step,
                   Muster__Refusal refusal, const char *why)
{
    struct err err = {0};
    log_warn("action %s (%s) is not done: %s", action->id, action_word((int)action->kind), why);
    if (!actions_mark(&agent->actions.book, action, step, agent->boot_id, why, &err)) {
        log_error("%s", err.text);
        return;
    }
    actions_find(&agent->actions.book, action->id)->refusal = refusal;
    keep_or_warn(agent);
}

/* True: it is under way. */
static bool begin(struct agent *agent, const struct action *action, struct action_wait *wait)
{
    struct err err = {0};
    struct actions *book = &agent->actions.book;
    bool marked = actions_mark(book, action, MUSTER__ACTION_STEP__ACTION_STEP_STARTED,
                               agent->boot_id, "", &err);
    if (!marked || !keep(agent, &err)) {
        if (marked)
            actions_unmark(book, action->id); /* what is not kept is not begun */
        (void)snprintf(wait->why, sizeof wait->why, "room to mark that it begins: %.180s",
                       err.text);
        return false;
    }
    agent->actions.running = *action;
    agent->actions.down_by_ms = 0;
    if (agent_action_announces(action->kind))
        agent_word_await(agent, wait->since_ms);
    log_warn("action %s (%s) begins%s%s", action->id, action_word((int)action->kind),
             action->note[0] != '\0' ? ": " : "", action->note);
    tell_now(agent, action, MUSTER__ACTION_STEP__ACTION_STEP_STARTED, action->note);
    if (!agent->actions.word.awaited)
        agent_action_begin(agent);
    return true;
}

static struct actions_moment moment_of(struct agent *agent, const char *stale)
{
    const struct timekeeper_sight *sight = &agent->timekeeper.sight;
    int64_t now_ms = clock_boot_ms(agent->clock);
    struct actions_moment moment = {
        .stale = stale,
        .earliest_ms = timekeeper_at_least(&agent->timekeeper, now_ms),
        .latest_ms = INT64_MAX,
    };
    /* The fleet's clock was read after it was asked. */
    if (sight->fleet_ms > 0 && now_ms >= sight->asked_ms &&
        sight->fleet_ms < INT64_MAX - (now_ms - sight->asked_ms))
        moment.latest_ms = sight->fleet_ms + (now_ms - sight->asked_ms);
    return moment;
}

/* It may, as far as the fleet goes: may it on this terminal, now? True: it is under way. */
static bool try_one(struct agent *agent, const struct action *action)
{
    struct err why = {0};
    struct action_wait *wait = wait_of(agent, action->id);
    int64_t now_ms = clock_boot_ms(agent->clock);
    if (!agent_action_allowed(agent, action, &why)) {
        settle(agent, action, MUSTER__ACTION_STEP__ACTION_STEP_REFUSED, refusal_of(&why), why.text);
        return false;
    }
    if (wait == NULL)
        return false;
    if (agent->actions.running.id[0] != '\0') {
        (void)snprintf(wait->why, sizeof wait->why, "the end of action %s",
                       agent->actions.running.id);
        return false;
    }
    if (wait->since_ms < 0)
        wait->since_ms = now_ms;
    if (agent_action_may(agent, action, now_ms - wait->since_ms, wait->why))
        return begin(agent, action, wait);
    tell_wait(agent, action, wait);
    return false;
}

static void look_at_one(struct agent *agent, const struct action *action,
                        const struct actions_moment *moment)
{
    struct actions_judged judged = actions_judge(&agent->actions.book, action, moment);
    struct action_wait *wait;
    switch (judged.verdict) {
    case ACTIONS_OVER:
        return;
    case ACTIONS_EXPIRED:
        settle(agent, action, MUSTER__ACTION_STEP__ACTION_STEP_EXPIRED, judged.refusal, judged.why);
        return;
    case ACTIONS_REFUSED:
        settle(agent, action, MUSTER__ACTION_STEP__ACTION_STEP_REFUSED, judged.refusal, judged.why);
        return;
    case ACTIONS_MAY:
        (void)try_one(agent, action);
        return;
    case ACTIONS_WAITS:
    default:
        wait = wait_of(agent, action->id);
        if (wait == NULL)
            return;
        wait->since_ms = -1; /* its gate is not what keeps it */
        (void)snprintf(wait->why, sizeof wait->why, "%s", judged.why);
        return;
    }
}

/* ---- a look at all ---- */

static void look_at_list(struct agent *agent, const struct action_list *list)
{
    char stale[FRESHNESS_WHY_CHARS];
    struct action_list now = *list; /* what begins may bring another manifest */
    agent_look_at_freshness(agent, stale);
    const struct actions_moment moment = moment_of(agent, stale);
    for (size_t i = 0; i < now.count && !agent->closing; i++)
        look_at_one(agent, &now.actions[i], &moment);
}

static int64_t next_look_ms(const struct agent *agent, const struct action_list *list, bool left)
{
    const struct agent_actions *actions = &agent->actions;
    if (actions->again)
        return 1;
    if (actions->word.awaited || (list != NULL && list->count > 0))
        return agent->settings->gate_every_ms;
    return left || actions->unsaved || actions->down_by_ms != 0 ? LOOK_AGAIN_MS : 0;
}

static void plan_look(struct agent *agent, const struct action_list *list, bool left)
{
    int64_t wait_ms = next_look_ms(agent, list, left);
    if (wait_ms == 0)
        (void)uv_timer_stop(&agent->actions.timer);
    else
        (void)uv_timer_start(&agent->actions.timer, on_timer, (uint64_t)wait_ms, 0);
}

static void look_at_reboot(struct agent *agent)
{
    int64_t down_by_ms = agent->actions.down_by_ms;
    if (down_by_ms != 0 && clock_boot_ms(agent->clock) >= down_by_ms)
        agent_action_ended(agent, MUSTER__ACTION_STEP__ACTION_STEP_FAILED,
                           "its program ended well, and the terminal has not restarted");
}

static void look(struct agent *agent)
{
    const struct action_list *list = registrar_actions(agent->registrar);
    if (agent->actions.unsaved)
        keep_or_warn(agent);
    agent_look_at_word(agent);
    look_at_reboot(agent);
    sweep_waits(agent, list);
    if (list != NULL)
        look_at_list(agent, list);
    list = registrar_actions(agent->registrar);
    sweep_waits(agent, list);
    bool left = tell_ends(agent);
    plan_look(agent, list, left);
}

void agent_look_at_actions(struct agent *agent)
{
    struct agent_actions *actions = &agent->actions;
    if (!actions->opened || agent->closing || agent->registrar == NULL)
        return;
    if (actions->looking) {
        actions->again = true;
        return;
    }
    actions->looking = true;
    actions->again = false;
    look(agent);
    actions->looking = false;
}

/* ---- how it ended ---- */

static void end(struct agent *agent, Muster__ActionStep step, const struct actions_log *log,
                const char *text)
{
    struct agent_actions *actions = &agent->actions;
    char id[LIMIT_ACTION_ID_CHARS + 1];
    if (agent->closing || actions->running.id[0] == '\0')
        return; /* nobody will know how it ended, and the journal says so */
    memcpy(id, actions->running.id, sizeof id);
    log_warn("action %s (%s): %s: %s", id, action_word((int)actions->running.kind),
             action_step_word((int)step), text);
    actions->running = (struct action){0};
    actions->word = (struct action_word){0};
    actions->down_by_ms = 0;
    actions_end(&actions->book, id, step, log, text);
    keep_or_warn(agent);
    agent_answer_leases(agent);
    if (agent->installer != NULL)
        installer_look_at_gate(agent->installer);
    agent_look_at_actions(agent);
}

void agent_action_ended(struct agent *agent, Muster__ActionStep step, const char *fmt, ...)
{
    char text[ACTIONS_TEXT_BYTES], line[ACTIONS_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    said_line(text, line, sizeof line);
    end(agent, step, NULL, line);
}

void agent_action_logged(struct agent *agent, const struct actions_log *log, const char *text)
{
    end(agent, MUSTER__ACTION_STEP__ACTION_STEP_DONE, log, text);
}

/* ---- for people on the terminal ---- */

static Muster__PlanAction *shown(struct arena *arena, const char *id, Muster__ActionKind kind,
                                 Muster__ActionStep step, const char *text)
{
    Muster__PlanAction *action = arena_alloc(arena, sizeof *action);
    if (action == NULL)
        return NULL;
    muster__plan_action__init(action);
    action->id = arena_copy(arena, id, strlen(id) + 1);
    action->kind = kind;
    action->step = step;
    action->text = arena_copy(arena, text, strlen(text) + 1);
    return action->id != NULL && action->text != NULL ? action : NULL;
}

static uint64_t or_none(int64_t span_ms)
{
    return span_ms != INT64_MAX ? (uint64_t)span_ms : 0;
}

static const struct action_wait *noted_wait(const struct agent *agent, const char *id)
{
    for (size_t w = 0; w < LIMIT_MANIFEST_ACTIONS; w++)
        if (strcmp(agent->actions.waits[w].id, id) == 0)
            return &agent->actions.waits[w];
    return NULL;
}

static Muster__PlanAction *shown_waiting(const struct agent *agent, const struct action *action,
                                         struct arena *arena)
{
    const struct action_wait *wait = noted_wait(agent, action->id);
    const int64_t now_ms = clock_boot_ms(agent->clock);
    Muster__PlanAction *told =
        shown(arena, action->id, action->kind, MUSTER__ACTION_STEP__ACTION_STEP_WAITING,
              wait != NULL ? wait->why : "");
    if (told == NULL || wait == NULL)
        return told;
    told->waited_ms = (uint64_t)(now_ms - wait->noted_ms);
    told->expires_ms = action->expires_ms;
    if (wait->since_ms < 0)
        return told;
    const struct gate_answer gate = agent_action_gate(agent, action->kind, now_ms - wait->since_ms);
    told->ends_ms = or_none(gate.ends_ms);
    if (gate.opens_after_ms != INT64_MAX) /* of the waiting that is told */
        told->opens_after_ms = (uint64_t)(gate.opens_after_ms + wait->since_ms - wait->noted_ms);
    return told;
}

bool agent_list_actions(const struct agent *agent, bool ends, struct arena *arena,
                        Muster__PlanAction ***ret_list, size_t *ret_count, struct err *err)
{
    const struct actions *book = &agent->actions.book;
    const struct action_list *list = registrar_actions(agent->registrar);
    size_t count = 0, waiting = list != NULL ? list->count : 0;
    Muster__PlanAction **out = arena_alloc(arena, (SHOWN + waiting + 1) * sizeof *out);
    bool ok = out != NULL;
    for (size_t i = 0; ok && i < waiting; i++) {
        if (actions_find(book, list->actions[i].id) != NULL)
            continue;
        out[count] = shown_waiting(agent, &list->actions[i], arena);
        ok = out[count++] != NULL;
    }
    for (size_t i = 0; ok && i < book->count && i < SHOWN; i++) {
        const struct actions_entry *entry = &book->entries[book->count - 1 - i];
        const bool announced =
            agent->actions.word.awaited && strcmp(entry->id, agent->actions.running.id) == 0;
        if (!ends && action_is_over((int)entry->step))
            continue;
        out[count] = shown(arena, entry->id, entry->kind, entry->step,
                           announced ? "once the fleet knows of it" : entry->text);
        ok = out[count++] != NULL;
    }
    *ret_list = out;
    *ret_count = count;
    return ok || err_set(err, ERR_NO_MEMORY, "no memory for the list of actions");
}
