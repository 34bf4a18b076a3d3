/* SPDX-License-Identifier: Apache-2.0 */
/* Between a generation that is built and checked and its being in force stands its gate. */
#include "agent/registrar_internal.h"

#include "base/log.h"
#include "base/span.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    LOOK_LEAST_MS = 50,
};

/* ---- which gate, and since when ---- */

static enum gate_kind stricter(enum gate_kind kind, const struct registry_item *item)
{
    enum gate_kind own = gate_of((Muster__DocumentKind)item->kind);
    return own > kind ? own : kind;
}

enum gate_kind gate_between(const struct registry_items *from, const struct registry_items *to)
{
    enum gate_kind kind = GATE_QUIET;
    for (size_t i = 0; i < to->count; i++) {
        const struct registry_item *old = sync_item_of(from, to->items[i].name);
        if (old == NULL || !sync_same_content(old, &to->items[i]))
            kind = stricter(kind, &to->items[i]);
    }
    for (size_t i = 0; i < from->count; i++)
        if (sync_item_of(to, from->items[i].name) == NULL)
            kind = stricter(kind, &from->items[i]);
    return kind;
}

static void decision_drop(struct gate_wait *gate)
{
    gate->decided = false;
    gate->decided_by[0] = '\0';
}

void gate_hold(struct registrar *registrar, struct build_job *build, const struct gate_hold *what)
{
    struct gate_wait *gate = &registrar->gate;
    int64_t now_ms = clock_boot_ms(registrar->clock);
    gate->build = build;
    gate->what = *what;
    /* Built again it is the same that a person has looked at. */
    if (memcmp(gate->decided_of, what->digest, sizeof gate->decided_of) != 0)
        decision_drop(gate);
    gate->held_ms = gate->looked_ms = now_ms;
    gate->look_due = false;
    gate->waits_as[0] = '\0';
    gate->hook_told = false;
    gate_hook_begin(&gate->asker);
    if (!gate->counting)
        gate->since_ms = now_ms - gate->kept_ms;
    gate->counting = true;
}

void gate_settled(struct registrar *registrar)
{
    struct gate_wait *gate = &registrar->gate;
    gate->counting = false;
    gate->kept_ms = 0;
    decision_drop(gate);
    gate->told = MUSTER__APPLY_STEP__APPLY_NONE;
    (void)uv_timer_stop(&gate->timer);
}

void gate_drop(struct registrar *registrar)
{
    struct gate_wait *gate = &registrar->gate;
    if (gate->build == NULL)
        return;
    build_free(gate->build);
    gate->build = NULL;
}

int64_t gate_waited(const struct registrar *registrar)
{
    const struct gate_wait *gate = &registrar->gate;
    return gate->counting ? clock_boot_ms(registrar->clock) - gate->since_ms : gate->kept_ms;
}

/* ---- the look ---- */

/* Where nothing is in force, there is nothing that an application could be in the middle of. */
static struct gate_policy policy_now(const struct registrar *registrar)
{
    struct gate_policy policy = registrar->gate_settings.policy;
    if (registrar->held.current.number == 0)
        policy.alone_ms = 0;
    return policy;
}

static struct gate_look look_of(const struct registrar *registrar, enum gate_hook hook)
{
    const struct gate_wait *gate = &registrar->gate;
    struct gate_look look = {.kind = gate->what.kind,
                             .hook = hook,
                             .hook_says = gate_hook_says(&gate->asker),
                             .waited_ms = gate_waited(registrar),
                             .decided = gate->decided || gate->what.at_once};
    if (registrar->events.lease != NULL)
        registrar->events.lease(registrar->ctx, &look.lease);
    return look;
}

static struct gate_answer look_with(const struct registrar *registrar, enum gate_hook hook)
{
    const struct gate_policy policy = policy_now(registrar);
    const struct gate_look look = look_of(registrar, hook);
    return gate_look(&policy, &look);
}

struct gate_answer gate_now(const struct registrar *registrar)
{
    return look_with(registrar, gate_hook_now(&registrar->gate.asker));
}

enum waits_class { WAITS_SALE, WAITS_HOOK, WAITS_LONG };

/* What keeps it back for longer than a sale, if something does: that is told, and not each sale
 * that comes and goes meanwhile. */
static struct gate_answer answer_told(const struct registrar *registrar,
                                      enum waits_class *ret_class)
{
    const struct gate_policy policy = policy_now(registrar);
    const bool asks = gate_hook_now(&registrar->gate.asker) != GATE_HOOK_NONE;
    struct gate_look look = look_of(registrar, asks ? GATE_HOOK_OPEN : GATE_HOOK_NONE);
    *ret_class = look.lease.transaction ? WAITS_SALE : WAITS_HOOK;
    look.lease.transaction = false;
    const struct gate_answer answer = gate_look(&policy, &look);
    if (answer.open)
        return gate_now(registrar);
    *ret_class = WAITS_LONG;
    return answer;
}

/* As what it waits for, in the state: another one is another state, but not more often than the
 * gate is looked at. What a hook says, and the clock, change nothing. */
static void note_class(struct registrar *registrar)
{
    static const char *const words[] = {[WAITS_SALE] = "a sale", [WAITS_HOOK] = "the gate hook"};
    struct gate_wait *gate = &registrar->gate;
    const int64_t now_ms = clock_boot_ms(registrar->clock);
    enum waits_class class;
    const struct gate_answer answer = answer_told(registrar, &class);
    const char *as = class == WAITS_LONG ? answer.waits_for : words[class];
    if (gate->waits_as[0] != '\0' && now_ms - gate->noted_ms < registrar->gate_settings.every_ms)
        return;
    gate->noted_ms = now_ms;
    (void)snprintf(gate->waits_as, sizeof gate->waits_as, "%s", as);
}

static bool is_due(const struct registrar *registrar)
{
    const struct gate_wait *gate = &registrar->gate;
    return gate->build != NULL && !registrar->closing && (gate->what.back || !registrar->unsaved) &&
           !build_superseded(registrar, gate->build);
}

/* True: the switch has begun, or the look before it. */
static bool switch_if_open(struct registrar *registrar)
{
    struct gate_wait *gate = &registrar->gate;
    if (!is_due(registrar) || !gate_now(registrar).open)
        return false;
    if (!waiting_is_sound(registrar))
        return waiting_look(registrar);
    struct build_job *build = gate->build;
    gate->build = NULL;
    commit_start(registrar, build);
    return true;
}

void registrar_look(struct registrar *registrar)
{
    if (registrar->gate.build == NULL || registrar->closing)
        return;
    if (registrar->job == NULL && !registrar->hook_runs && !registrar->gate.decided)
        (void)switch_if_open(registrar);
    registrar_wake(registrar);
}

/* ---- the terminal's own program, asked ---- */

/* It is as good as busy, and somebody should know. */
static void tell_broken(struct registrar *registrar)
{
    struct gate_wait *gate = &registrar->gate;
    if (gate->hook_told || !gate_hook_broken(&gate->asker))
        return;
    gate->hook_told = true;
    report_event(registrar, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, "", NULL,
                 "what is here waits for %s", gate_hook_says(&gate->asker));
}

static void hook_ask(struct registrar *registrar)
{
    struct gate_wait *gate = &registrar->gate;
    gate_hook_ask(&gate->asker, gate->what.kind, look_with(registrar, GATE_HOOK_OPEN).open);
    tell_broken(registrar);
}

/* ---- what is told ---- */

bool gate_worth_telling(const struct registrar *registrar)
{
    const struct gate_wait *gate = &registrar->gate;
    return clock_boot_ms(registrar->clock) - gate->held_ms >= registrar->gate_settings.every_ms;
}

void gate_report(const struct registrar *registrar, struct gate_answer *ret_answer,
                 Muster__ApplyReport *ret_report)
{
    const struct gate_wait *gate = &registrar->gate;
    enum waits_class class;
    const struct gate_answer answer = answer_told(registrar, &class);
    *ret_answer = answer;
    muster__apply_report__init(ret_report);
    ret_report->step =
        answer.ask ? MUSTER__APPLY_STEP__APPLY_ASKING : MUSTER__APPLY_STEP__APPLY_WAITING;
    ret_report->manifest_version = gate->what.manifest_version;
    ret_report->generation = gate->what.generation;
    ret_report->generation_digest = (ProtobufCBinaryData){
        .len = sizeof gate->what.digest, .data = (uint8_t *)(uintptr_t)gate->what.digest};
    ret_report->good_generation =
        gate->what.back ? trial_good(registrar)->number : registrar->held.current.number;
    if (gate->what.back) {
        ret_report->why = (char *)(uintptr_t)registrar->trial.why;
        ret_report->refusal = registrar->trial.refusal;
    }
    ret_report->waits_for = ret_answer->waits_for;
    ret_report->waited_ms = (uint64_t)gate_waited(registrar);
    if (!answer.ask && answer.asks_after_ms != INT64_MAX)
        ret_report->asks_after_ms = (uint64_t)answer.asks_after_ms;
    if (answer.opens_after_ms != INT64_MAX)
        ret_report->opens_after_ms = (uint64_t)answer.opens_after_ms;
    if (answer.ends_ms != INT64_MAX)
        ret_report->ends_ms = (uint64_t)answer.ends_ms;
}

static void tell(struct registrar *registrar)
{
    struct gate_wait *gate = &registrar->gate;
    Muster__ApplyReport report;
    struct gate_answer answer;
    char span[SPAN_WORDS_CHARS], then[96] = "";
    gate_report(registrar, &answer, &report);
    bool asks = report.step == MUSTER__APPLY_STEP__APPLY_ASKING;
    bool same = memcmp(gate->told_of, gate->what.digest, sizeof gate->told_of) == 0;
    if (!registrar->telling || !gate_worth_telling(registrar) ||
        (same && gate->told >= report.step))
        return;
    gate->told = report.step;
    memcpy(gate->told_of, gate->what.digest, sizeof gate->told_of);
    span_words((int64_t)(asks                        ? report.waited_ms
                         : report.opens_after_ms > 0 ? report.opens_after_ms
                                                     : report.asks_after_ms),
               !asks, span);
    if (asks)
        (void)snprintf(then, sizeof then,
                       " for %s: a person should look; `muster apply` puts it in force", span);
    else
        (void)snprintf(then, sizeof then, "; after %s %s", span,
                       report.opens_after_ms > 0 ? "it is put in force anyway"
                                                 : "a person is asked");
    log_info("registry: generation %" PRIu64 " waits for %s%s", report.generation, report.waits_for,
             then);
    if (gate->what.back)
        report_event(registrar, MUSTER__EVENT_KIND__EVENT_APPLY, "", &report.base,
                     "generation %" PRIu64 " is to come back, and waits for %s%s",
                     report.good_generation, report.waits_for, then);
    else
        report_event(registrar, MUSTER__EVENT_KIND__EVENT_APPLY, "", &report.base,
                     "manifest %" PRIu64 " is here, checked, and waits for %s%s",
                     report.manifest_version, report.waits_for, then);
}

/* Once, before it is done. */
static void tell_decision(struct registrar *registrar)
{
    struct gate_wait *gate = &registrar->gate;
    Muster__ApplyReport report;
    struct gate_answer answer;
    if (gate->decided_by[0] == '\0')
        return;
    gate->decided = false;
    gate_report(registrar, &answer, &report); /* as it waited until now */
    gate->decided = true;
    const bool back = gate->what.back;
    log_warn("registry: %s has decided: generation %" PRIu64 " is %s now", gate->decided_by,
             report.generation, back ? "taken back" : "put in force");
    report_event(registrar, MUSTER__EVENT_KIND__EVENT_APPLY, "", &report.base,
                 "%s %" PRIu64 " is put in force%s now: %s has decided, though it waited for %s",
                 back ? "generation" : "manifest",
                 back ? report.good_generation : report.manifest_version, back ? " again" : "",
                 gate->decided_by,
                 report.waits_for[0] != '\0' ? report.waits_for : "nothing any more");
    gate->decided_by[0] = '\0';
}

static void look_again(uv_timer_t *timer)
{
    struct registrar *registrar = timer->data;
    if (registrar->gate.build != NULL)
        registrar_wake(registrar);
}

/* At the latest when something changes by time alone. */
static void plan_look(struct registrar *registrar, const struct gate_answer *answer)
{
    int64_t left_ms = registrar->gate_settings.every_ms, waited_ms = gate_waited(registrar);
    const int64_t due_ms = gate_hook_due_ms(&registrar->gate.asker);
    if (due_ms > 0 && due_ms < left_ms)
        left_ms = due_ms;
    if (answer->ends_ms < left_ms)
        left_ms = answer->ends_ms;
    if (answer->opens_after_ms - waited_ms < left_ms)
        left_ms = answer->opens_after_ms - waited_ms;
    if (!answer->ask && answer->asks_after_ms - waited_ms < left_ms)
        left_ms = answer->asks_after_ms - waited_ms;
    (void)uv_timer_start(&registrar->gate.timer, look_again,
                         (uint64_t)(left_ms > LOOK_LEAST_MS ? left_ms : LOOK_LEAST_MS), 0);
}

bool gate_start(struct registrar *registrar)
{
    struct gate_wait *gate = &registrar->gate;
    if (gate->build == NULL)
        return false;
    if (build_superseded(registrar, gate->build)) {
        gate_drop(registrar); /* the newer one is built in its place */
        return false;
    }
    if (gate->look_due && waiting_look(registrar))
        return true;
    if (gate->build == NULL) /* nothing comes back */
        return false;
    tell_decision(registrar);
    if (switch_if_open(registrar))
        return true;
    if (gate->build == NULL)
        return false;
    hook_ask(registrar);
    const struct gate_answer answer = gate_now(registrar);
    note_class(registrar);
    tell(registrar);
    plan_look(registrar, &answer);
    return false;
}

/* ---- from outside ---- */

bool registrar_switching(const struct registrar *registrar)
{
    return registrar->switching;
}

bool registrar_decide(struct registrar *registrar, const struct bytes *looked_at, const char *who,
                      struct err *err)
{
    struct gate_wait *gate = &registrar->gate;
    if (gate->build == NULL || build_superseded(registrar, gate->build))
        return err_set(err, ERR_CONFLICT,
                       "nothing waits for its gate: `muster plan` says what is not in force and "
                       "why");
    if (looked_at != NULL && (looked_at->length != sizeof gate->what.digest ||
                              memcmp(looked_at->data, gate->what.digest, looked_at->length) != 0))
        return err_set(err, ERR_CONFLICT,
                       "what waits is another one since: see `muster plan`, and decide again");
    memcpy(gate->decided_of, gate->what.digest, sizeof gate->decided_of);
    gate->decided = true;
    (void)snprintf(gate->decided_by, sizeof gate->decided_by, "%s", who);
    registrar_wake(registrar);
    return true;
}

bool registrar_waiting(const struct registrar *registrar, uint8_t ret_digest[32])
{
    const struct gate_wait *gate = &registrar->gate;
    if (gate->build == NULL || build_superseded(registrar, gate->build))
        return false;
    memcpy(ret_digest, gate->what.digest, 32);
    return true;
}

bool registrar_waits(const struct registrar *registrar, char *ret_text, size_t size)
{
    ret_text[0] = '\0';
    if (registrar->gate.build == NULL)
        return false;
    const struct gate_answer answer = gate_now(registrar);
    (void)snprintf(ret_text, size, "%s %" PRIu64 " waits for %s",
                   registrar->gate.what.back ? "the return to generation" : "manifest",
                   registrar->gate.what.back ? trial_good(registrar)->number
                                             : registrar->gate.what.manifest_version,
                   answer.open ? "the end of what is under way" : answer.waits_for);
    return true;
}

void registrar_waited(const struct registrar *registrar, struct registrar_waited *ret_waited)
{
    const struct gate_wait *gate = &registrar->gate;
    ret_waited->ms = gate_waited(registrar);
    ret_waited->told = gate->told;
    memcpy(ret_waited->told_of, gate->told_of, sizeof ret_waited->told_of);
}
