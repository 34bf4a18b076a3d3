/* SPDX-License-Identifier: Apache-2.0 */
/* What each kind of action does. What needs rights that the agent has not got, muster-helper does.
 */
#include "agent/agent_parts.h"

#include "agent/helper_call.h"
#include "agent/sync.h"
#include "base/child.h"
#include "base/said.h"
#include "proto/action.h"
#include "proto/refusal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* After its program has said that all is well; and then nobody need wait for it any more. */
enum { DOWN_WITHIN_MS = 10 * 60 * 1000, CHECK_LIMIT_MS = 120 * 1000, RESET_LIMIT_MS = 3600 * 1000 };

#define DONE MUSTER__ACTION_STEP__ACTION_STEP_DONE
#define FAILED MUSTER__ACTION_STEP__ACTION_STEP_FAILED

/* ---- what the registrar does ---- */

/* "all 5 items are as they should be", or the first that is not. */
static bool how_it_stands(const struct agent *agent, char *out, size_t size)
{
    struct arena arena = {0};
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    size_t wrong = 0;
    const Muster__ItemReport *first = NULL;
    if (!registrar_state(agent->registrar, &arena, &state, NULL)) {
        arena_done(&arena);
        (void)snprintf(out, size, "how things stand is not known: no memory");
        return false;
    }
    for (size_t i = 0; i < state.n_items; i++) {
        if (sync_as_wanted(state.items[i]->state))
            continue;
        first = first == NULL ? state.items[i] : first;
        wrong++;
    }
    if (first == NULL)
        (void)snprintf(out, size, "generation %" PRIu64 ": all %zu items are as they should be",
                       state.generation, state.n_items);
    else
        (void)snprintf(out, size,
                       "generation %" PRIu64 ": %zu of %zu items are not as they should be, the "
                       "first is %s%s%.60s",
                       state.generation, wrong, state.n_items, first->name,
                       first->reason[0] != '\0' ? ": " : "", first->reason);
    arena_done(&arena);
    return first == NULL;
}

static void on_settled(void *ctx)
{
    struct agent *agent = ctx;
    char text[ACTIONS_TEXT_BYTES];
    if (agent->closing)
        return;
    (void)how_it_stands(agent, text, sizeof text);
    agent_action_ended(agent, DONE, "%s", text);
}

/* It is done when another generation is in force, whatever else is wrong. */
static void on_reset(void *ctx)
{
    struct agent *agent = ctx;
    char text[ACTIONS_TEXT_BYTES], waits[120];
    if (agent->closing)
        return;
    (void)how_it_stands(agent, text, sizeof text);
    if (!registrar_is_anew(agent->registrar))
        agent_action_ended(agent, DONE, "%s", text);
    else if (registrar_waits(agent->registrar, waits, sizeof waits))
        agent_action_ended(agent, DONE, "made again; %s", waits);
    else
        agent_action_ended(agent, FAILED, "not made again yet, it goes on; %s", text);
}

static bool begin_selfcheck(struct agent *agent, struct err *err)
{
    keyring_check(agent->keyring);
    return registrar_check(agent->registrar, CHECK_LIMIT_MS, on_settled, agent, err);
}

static bool begin_resync(struct agent *agent, struct err *err)
{
    hello_soon(&agent->hello, clock_boot_ms(agent->clock));
    if (agent->installer != NULL)
        installer_forgive(agent->installer);
    return registrar_resync(agent->registrar, CHECK_LIMIT_MS, on_settled, agent, err);
}

static bool begin_reset(struct agent *agent, struct err *err)
{
    return registrar_reset(agent->registrar, RESET_LIMIT_MS, on_reset, agent, err);
}

/* What waited when it was ordered, as the fleet knew it, and nothing that came in between. A key or
 * a package that waits by itself is not the fleet's to decide: it was not shown which. */
static void on_arrived(void *ctx)
{
    struct agent *agent = ctx;
    const struct action *action = &agent->actions.running;
    const struct agent_seen seen = {
        .generation = bytes_of(action->digest, action->has_digest ? sizeof action->digest : 0)};
    struct err err = {0};
    if (agent->closing)
        return;
    if (!agent_decide(agent, &seen, "somebody at the fleet", &err) ||
        !registrar_settle(agent->registrar, CHECK_LIMIT_MS, on_settled, agent, &err))
        agent_action_ended(agent, FAILED, "nothing was done: %.160s", err.text);
}

/* The manifest that brings the order is a new one: what waits is first seen to be what that wants.
 */
static bool begin_apply(struct agent *agent, struct err *err)
{
    return registrar_settle(agent->registrar, CHECK_LIMIT_MS, on_arrived, agent, err);
}

/* ---- what other programs do ---- */

static void end_of_program(struct agent *agent, const char *what, const struct child_result *result)
{
    char said[ACTIONS_TEXT_BYTES];
    said_line(result->output, said, sizeof said);
    if (result->timed_out) /* it may have done all of it before */
        agent_action_ended(agent, MUSTER__ACTION_STEP__ACTION_STEP_OUTCOME_UNKNOWN,
                           "%s did not end in time and was killed", what);
    else if (result->signal != 0)
        agent_action_ended(agent, FAILED, "%s was ended by signal %d", what, result->signal);
    else if (result->exit_status != 0)
        agent_action_ended(agent, FAILED, "%s said no (exit %d): %.120s", what, result->exit_status,
                           said);
    else
        agent_action_ended(agent, DONE, "%.180s", said);
}

static void on_signed_on(void *ctx, const struct child_result *result)
{
    end_of_program(ctx, "the sign-on hook", result);
}

static bool begin_sign_on(struct agent *agent, struct err *err)
{
    char *const argv[] = {(char *)(uintptr_t)agent->settings->sign_on_hook, NULL};
    return child_run(agent->loop, argv, NULL, NULL, agent->settings->sign_on_hook_limit_ms,
                     on_signed_on, agent, err);
}

static void on_helped(void *ctx, const struct helper_result *result)
{
    struct agent *agent = ctx;
    bool reboots = agent->actions.running.kind == MUSTER__ACTION_KIND__ACTION_REBOOT;
    agent->actions.helper = NULL;
    if (agent->closing)
        return;
    if (result->outcome == HELPER_NOT_REACHED)
        agent_action_ended(agent, FAILED, "nothing was done: %.160s", result->text);
    else if (result->outcome == HELPER_NO_ANSWER)
        agent_action_ended(agent, MUSTER__ACTION_STEP__ACTION_STEP_OUTCOME_UNKNOWN, "%.180s",
                           result->text);
    else if (result->outcome == HELPER_NOT_DONE)
        agent_action_ended(agent, FAILED, "%.180s", result->text);
    else if (!reboots)
        agent_action_ended(agent, DONE, "%.180s", result->text);
    else /* the next start will tell */
        agent->actions.down_by_ms = clock_boot_ms(agent->clock) + DOWN_WITHIN_MS;
    agent_look_at_actions(agent);
}

static bool begin_helped(struct agent *agent, struct err *err)
{
    return helper_call(
        agent->loop, agent->settings->helper_socket, action_word((int)agent->actions.running.kind),
        agent->settings->helper_limit_ms, on_helped, agent, &agent->actions.helper, err);
}

static bool begin_logs(struct agent *agent, struct err *err)
{
    return agent_logs_begin(agent, &agent->actions.running, err);
}

/* ---- all of them ---- */

static bool has_helper(const struct agent *agent)
{
    return agent->settings->helper_socket[0] != '\0';
}

static bool has_sign_on(const struct agent *agent)
{
    return agent->settings->sign_on_hook[0] != '\0';
}

static bool has_logs(const struct agent *agent)
{
    return agent->settings->logs_files[0] != '\0' || agent->settings->logs_program[0] != '\0';
}

static const struct kind {
    Muster__ActionKind kind;
    bool (*begin)(struct agent *agent, struct err *err);
    bool (*has)(const struct agent *agent); /* NULL: every terminal has it */
    const char *needs;
} kinds[] = {
    {MUSTER__ACTION_KIND__ACTION_SELFCHECK, begin_selfcheck, NULL, ""},
    {MUSTER__ACTION_KIND__ACTION_RESYNC, begin_resync, NULL, ""},
    {MUSTER__ACTION_KIND__ACTION_LOG_BUNDLE, begin_logs, has_logs, "logs.files"},
    {MUSTER__ACTION_KIND__ACTION_RESTART_APPLICATION, begin_helped, has_helper, "helper.socket"},
    {MUSTER__ACTION_KIND__ACTION_REBOOT, begin_helped, has_helper, "helper.socket"},
    {MUSTER__ACTION_KIND__ACTION_SIGN_ON, begin_sign_on, has_sign_on, "hooks.sign_on"},
    {MUSTER__ACTION_KIND__ACTION_RESET_REGISTRATION, begin_reset, NULL, ""},
    {MUSTER__ACTION_KIND__ACTION_APPLY, begin_apply, NULL, ""},
};

static const struct kind *kind_of(Muster__ActionKind kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].kind == kind)
            return &kinds[i];
    return NULL;
}

bool agent_action_allowed(const struct agent *agent, const struct action *action, struct err *err)
{
    const struct kind *kind = kind_of(action->kind);
    if (kind == NULL)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_ACTION_UNKNOWN, ERR_REFUSED,
                      "this agent does not know actions of its kind");
    return kind->has == NULL || kind->has(agent) ||
           refuse(err, MUSTER__REFUSAL__REFUSAL_ACTION_UNKNOWN, ERR_REFUSED,
                  "not set up on this terminal: %s is empty in its settings", kind->needs);
}

void agent_action_begin(struct agent *agent)
{
    struct err err = {0};
    const struct kind *kind = kind_of(agent->actions.running.kind);
    if (kind == NULL || !kind->begin(agent, &err))
        agent_action_ended(agent, FAILED, "nothing was done: %.160s", err.text);
}
