/* SPDX-License-Identifier: Apache-2.0 */
/* What the payment application is in the middle of, and what waits for its end. */
#include "agent/agent_parts.h"

#include "proto/unpack.h"
#include "storage/registry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char gate_note[] = "gate";

enum {
    NOTE_BYTES = 128,
    SAVE_EVERY_MS = 5 * 60 * 1000, /* of waiting */
    WAITING_CHARS = 200,
    WHO_CHARS = 48,
};

/* A word that came during a switch: it is noted, and answered after it. */
struct lease_answer {
    struct lease_answer *next;
    void (*done)(void *ctx);
    void *ctx;
};

bool agent_open_lease(struct agent *agent, struct err *err)
{
    return lease_kept_open(&agent->lease_kept, agent->settings->state_dir,
                           clock_boot_ms(agent->clock), &agent->lease, err);
}

/* ---- a word of the application ---- */

/* What holds now holds for this run of the agent, whatever the disk says. */
bool agent_keep_lease(struct agent *agent, struct err *err)
{
    bool kept =
        lease_kept_save(&agent->lease_kept, &agent->lease, clock_boot_ms(agent->clock), err);
    if (!kept) {
        err_context(err, "keeping what the payment application says");
        if (!agent->lease_unsaved)
            log_warn("%s; it is tried again", err->text);
    }
    agent->lease_unsaved = !kept;
    return kept;
}

/* Does a gate see another lease than before? */
static bool is_another(const struct gate_lease *a, const struct gate_lease *b)
{
    return a->known != b->known || a->transaction != b->transaction || a->assumed != b->assumed ||
           a->reversal != b->reversal || a->batch != b->batch || a->unsaid != b->unsaid;
}

/* What may not be begun under. */
bool agent_is_changing(const struct agent *agent)
{
    return agent_interrupts(agent) || registrar_switching(agent->registrar) ||
           (agent->keyring != NULL && keyring_placing(agent->keyring));
}

/* What waited for it may go on. */
static void look_at_gates(struct agent *agent)
{
    registrar_look(agent->registrar);
    if (agent->keyring != NULL)
        keyring_leased(agent->keyring);
    if (agent->installer != NULL)
        installer_look_at_gate(agent->installer);
    agent_look_at_actions(agent);
}

static void look_if_changed(struct agent *agent, const struct gate_lease *before)
{
    const struct gate_lease now = lease_look(&agent->lease, clock_boot_ms(agent->clock));
    if (is_another(before, &now))
        look_at_gates(agent);
}

static bool answer_later(struct agent *agent, void (*done)(void *done_ctx), void *done_ctx,
                         struct err *err)
{
    struct lease_answer **at = &agent->lease_answers;
    struct lease_answer *answer = calloc(1, sizeof *answer);
    if (answer == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for an answer");
    while (*at != NULL) /* those who asked first are answered first */
        at = &(*at)->next;
    *answer = (struct lease_answer){.done = done, .ctx = done_ctx};
    *at = answer;
    return true;
}

bool agent_take_lease(struct agent *agent, const Muster__LeaseQuery *query,
                      const struct intake_speaker *who, void (*done)(void *done_ctx),
                      void *done_ctx, struct err *err)
{
    const struct lease_word word = {.terminal = query->terminal,
                                    .transaction = query->transaction,
                                    .reversal = query->reversal,
                                    .batch = query->batch,
                                    .as_before = query->as_before,
                                    .hold_ms = query->hold_ms};
    const struct lease_speaker by = {.holder = who->holder, .uid = who->uid, .pid = who->pid};
    int64_t now_ms = clock_boot_ms(agent->clock);
    const struct gate_lease before = lease_look(&agent->lease, now_ms);
    struct err why = {0};
    if (!lease_say(&agent->lease, &word, &by, now_ms, err))
        return false;
    bool kept = agent_keep_lease(agent, &why);
    if (!word.transaction)
        look_if_changed(agent, &before);
    if (!kept && !word.as_before) /* a sale goes on without the disk; who says a batch must know */
        return err_set(err, why.code, "%s", why.text);
    if (word.transaction && agent_is_changing(agent))
        return answer_later(agent, done, done_ctx, err);
    done(done_ctx);
    return true;
}

void agent_lease_gone(struct agent *agent, const void *holder)
{
    struct lease_speaker by = {0};
    int64_t now_ms = clock_boot_ms(agent->clock);
    const struct gate_lease before = lease_look(&agent->lease, now_ms);
    if (agent->closing) /* then it is the agent that goes */
        return;
    if (lease_gone(&agent->lease, holder, now_ms, &by)) {
        log_warn("the payment application (user %u, process %d) ended in the middle of a "
                 "transaction",
                 (unsigned)by.uid, (int)by.pid);
        registrar_crashed(agent->registrar);
    }
    look_if_changed(agent, &before);
}

bool agent_forget_lease(struct agent *agent, const Muster__ForgetQuery *query,
                        const struct intake_speaker *who, struct err *err)
{
    int64_t now_ms = clock_boot_ms(agent->clock);
    const struct gate_lease before = lease_look(&agent->lease, now_ms);
    char of[48] = "";
    if (!query->all)
        (void)snprintf(of, sizeof of, " at logical terminal %u", (unsigned)query->terminal);
    if (query->all ? !lease_forget_all(&agent->lease, now_ms, err)
                   : !lease_forget(&agent->lease, query->terminal, now_ms, err))
        return false;
    Muster__Event event = MUSTER__EVENT__INIT;
    char text[160];
    (void)snprintf(text, sizeof text,
                   "user %u at the terminal had it forgotten what the payment application has "
                   "open%s",
                   (unsigned)who->uid, of);
    log_warn("%s", text);
    event.kind = MUSTER__EVENT_KIND__EVENT_APPLY;
    event.text = text;
    agent_record_event(agent, &event);
    look_if_changed(agent, &before);
    return agent_keep_lease(agent, err);
}

void agent_look_at_lease(void *ctx, struct gate_lease *ret_lease)
{
    const struct agent *agent = ctx;
    *ret_lease = lease_look(&agent->lease, clock_boot_ms(agent->clock));
}

void agent_answer_leases(struct agent *agent)
{
    if (!agent->closing && agent_is_changing(agent))
        return;
    struct lease_answer *answers = agent->lease_answers;
    agent->lease_answers = NULL;
    while (answers != NULL) {
        struct lease_answer *answer = answers;
        answers = answer->next;
        answer->done(answer->ctx);
        free(answer);
    }
}

bool agent_tell_lease(struct agent *agent, struct arena *arena, Muster__ClientReply *reply,
                      struct err *err)
{
    Muster__LeaseReply *lease = arena_alloc(arena, sizeof *lease);
    char *path = arena_alloc(arena, REGISTRY_PATH_BYTES);
    char *waiting = arena_alloc(arena, WAITING_CHARS);
    const uint8_t *digest = registrar_generation_digest(agent->registrar);
    if (lease == NULL || path == NULL || waiting == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for an answer");
    muster__lease_reply__init(lease);
    lease->generation = registrar_folder(agent->registrar, path);
    if (lease->generation > 0)
        lease->generation_digest =
            (ProtobufCBinaryData){.len = 32, .data = (uint8_t *)(uintptr_t)digest};
    lease->path = path;
    (void)registrar_waits(agent->registrar, waiting, WAITING_CHARS);
    lease->waiting = waiting;
    reply->lease = lease;
    return true;
}

/* ---- what is told of it ---- */

static bool tell_terminal(const struct lease *lease, const struct lease_terminal *from,
                          int64_t now_ms, struct arena *arena, Muster__LeaseTerminal **ret_told)
{
    const struct lease_view view = lease_view(lease, from, now_ms);
    Muster__LeaseTerminal *told = arena_alloc(arena, sizeof *told);
    char *who = arena_alloc(arena, WHO_CHARS);
    if (told == NULL || who == NULL)
        return false;
    muster__lease_terminal__init(told);
    told->terminal = from->terminal;
    told->transaction = view.transaction;
    told->assumed = view.assumed;
    told->left_ms = (uint64_t)view.left_ms;
    told->reversal = (Muster__Said)from->reversal;
    told->batch = (Muster__Said)from->batch;
    told->since_ms = (uint64_t)(now_ms - from->said_ms);
    who[0] = '\0';
    if (view.by.pid != 0)
        (void)snprintf(who, WHO_CHARS, "user %u, process %d", (unsigned)view.by.uid,
                       (int)view.by.pid);
    told->who = who;
    *ret_told = told;
    return true;
}

static Muster__LeaseState *tell_state(const struct lease *lease, int64_t now_ms,
                                      struct arena *arena)
{
    const struct gate_lease look = lease_look(lease, now_ms);
    Muster__LeaseState *state = arena_alloc(arena, sizeof *state);
    Muster__LeaseTerminal **terminals =
        arena_alloc(arena, (LEASE_TERMINALS + 1) * sizeof *terminals);
    if (state == NULL || terminals == NULL)
        return NULL;
    muster__lease_state__init(state);
    state->known = look.known;
    state->transaction = look.transaction;
    state->reversal = look.reversal;
    state->batch = look.batch;
    state->lost = lease->lost;
    state->terminals = terminals;
    for (size_t i = 0; i < lease->count; i++)
        if (!tell_terminal(lease, &lease->terminals[i], now_ms, arena,
                           &terminals[state->n_terminals++]))
            return NULL;
    return state;
}

bool agent_plan(struct agent *agent, struct arena *arena, Muster__ClientReply *reply,
                struct err *err)
{
    Muster__PlanReply *plan = arena_alloc(arena, sizeof *plan);
    Muster__LeaseState *lease = tell_state(&agent->lease, clock_boot_ms(agent->clock), arena);
    if (plan == NULL || lease == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a plan");
    if (!registrar_plan(agent->registrar, arena, plan, err))
        return false;
    plan->lease = lease;
    for (size_t i = 0; agent->installer != NULL && i < plan->n_items; i++)
        plan->items[i]->running_package =
            (char *)(uintptr_t)installer_running(agent->installer, plan->items[i]->name);
    uint8_t digest[32];
    if (registrar_waiting(agent->registrar, digest)) {
        uint8_t *copy = arena_copy(arena, digest, sizeof digest);
        if (copy == NULL)
            return err_set(err, ERR_NO_MEMORY, "no memory for a plan");
        plan->waiting_digest = (ProtobufCBinaryData){.len = sizeof digest, .data = copy};
    }
    reply->plan = plan;
    return agent_list_placings(agent, arena, &plan->placing, &plan->n_placing, err) &&
           agent_list_actions(agent, false, arena, &plan->actions, &plan->n_actions, err);
}

/* ---- as the intake asks ---- */

static bool on_lease(void *ctx, const Muster__LeaseQuery *query, const struct intake_speaker *who,
                     void (*done)(void *done_ctx), void *done_ctx, struct err *err)
{
    return agent_take_lease(ctx, query, who, done, done_ctx, err);
}

static bool on_tell_lease(void *ctx, struct arena *arena, Muster__ClientReply *reply,
                          struct err *err)
{
    return agent_tell_lease(ctx, arena, reply, err);
}

static void on_gone(void *ctx, const void *holder)
{
    agent_lease_gone(ctx, holder);
}

static bool on_plan(void *ctx, struct arena *arena, Muster__ClientReply *reply, struct err *err)
{
    return agent_plan(ctx, arena, reply, err);
}

static bool on_forget(void *ctx, const Muster__ForgetQuery *query, const struct intake_speaker *who,
                      struct err *err)
{
    return agent_forget_lease(ctx, query, who, err);
}

void agent_lease_handlers(struct intake_handlers *handlers)
{
    handlers->lease = on_lease;
    handlers->tell_lease = on_tell_lease;
    handlers->gone = on_gone;
    handlers->plan = on_plan;
    handlers->forget = on_forget;
}

/* ---- how long what is not in force has waited ---- */

bool agent_load_waited(struct agent *agent, struct err *err)
{
    struct registrar_waited *waited = &agent->waited_kept;
    static const struct unpack_limits limits = {.max_bytes = NOTE_BYTES};
    struct buf note = {.limit = NOTE_BYTES};
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    bool ok = spool_note_read(agent->spool, gate_note, &note, err);
    if (ok && note.length > 0 &&
        unpack(&muster__kept_gate__descriptor, buf_bytes(&note), &limits, &arena, &message, NULL)) {
        const Muster__KeptGate *kept = (const Muster__KeptGate *)message;
        waited->ms = kept->waited_ms < INT64_MAX ? (int64_t)kept->waited_ms : 0;
        waited->told = kept->told;
        if (kept->told_of.len == sizeof waited->told_of)
            memcpy(waited->told_of, kept->told_of.data, sizeof waited->told_of);
    }
    arena_done(&arena);
    buf_done(&note);
    return ok;
}

/* Late by a power cut it says less than is true: a person is asked a little later. */
void agent_save_waited(struct agent *agent, bool closing)
{
    struct registrar_waited waited;
    struct registrar_waited *kept = &agent->waited_kept;
    Muster__KeptGate message = MUSTER__KEPT_GATE__INIT;
    struct buf note = {.limit = NOTE_BYTES};
    struct err err = {0};
    registrar_waited(agent->registrar, &waited);
    bool same = waited.told == kept->told &&
                memcmp(waited.told_of, kept->told_of, sizeof waited.told_of) == 0;
    bool near = waited.ms == kept->ms ||
                (!closing && waited.ms > kept->ms && waited.ms - kept->ms < SAVE_EVERY_MS);
    if (same && near)
        return;
    message.waited_ms = (uint64_t)waited.ms;
    message.told = waited.told;
    message.told_of = (ProtobufCBinaryData){.len = sizeof waited.told_of, .data = waited.told_of};
    if (pack(&message.base, &note, &err) &&
        spool_note_write(agent->spool, gate_note, buf_bytes(&note), &err))
        *kept = waited;
    else
        log_warn("how long the gate has been shut was not kept: %s", err.text);
    buf_done(&note);
}
