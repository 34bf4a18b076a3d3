/* SPDX-License-Identifier: Apache-2.0 */
/* Actions that would harm a payment application in the middle of something wait for its end, as
 * generations do (agent/gate.h). They never ask a person: one has ordered them. */
#include "agent/agent_parts.h"

#include <stdio.h>
#include <string.h>

enum stop {
    STOP_NOTHING,
    STOP_IDLE,    /* no transaction, no reversal: a batch outlives a restart */
    STOP_SETTLED, /* and no batch either */
};

static enum stop stop_of(Muster__ActionKind kind)
{
    switch (kind) {
    case MUSTER__ACTION_KIND__ACTION_RESTART_APPLICATION:
    case MUSTER__ACTION_KIND__ACTION_REBOOT:
        return STOP_IDLE;
    case MUSTER__ACTION_KIND__ACTION_SIGN_ON: /* may begin another batch, with other keys */
    case MUSTER__ACTION_KIND__ACTION_RESET_REGISTRATION:
        return STOP_SETTLED;
    default:
        return STOP_NOTHING;
    }
}

static size_t asker_of(enum stop stop)
{
    return stop == STOP_SETTLED ? 1 : 0;
}

static struct gate_answer look(const struct agent *agent, enum stop stop, enum gate_hook hook,
                               int64_t waited_ms)
{
    const struct gate_policy policy = {.alone_ms = agent->settings->gate_alone_ms,
                                       .patience_ms = agent->settings->gate_patience_ms};
    struct gate_look look = {.kind = GATE_SETTLED,
                             .lease = lease_look(&agent->lease, clock_boot_ms(agent->clock)),
                             .hook = hook,
                             .hook_says = gate_hook_says(&agent->actions.asks[asker_of(stop)]),
                             .waited_ms = waited_ms};
    look.lease.batch = look.lease.batch && stop == STOP_SETTLED;
    look.lease.unsaid = look.lease.unsaid && stop == STOP_SETTLED;
    look.lease.learning = look.lease.learning && stop == STOP_SETTLED;
    return gate_look(&policy, &look);
}

static void on_heard(void *ctx)
{
    agent_look_at_actions(ctx);
}

void agent_action_gate_join(struct agent *agent)
{
    for (size_t i = 0; i < sizeof agent->actions.asks / sizeof *agent->actions.asks; i++)
        gate_hook_join(&agent->actions.asks[i], agent->gate_hook, on_heard, agent);
}

void agent_action_gate_leave(struct agent *agent)
{
    for (size_t i = 0; i < sizeof agent->actions.asks / sizeof *agent->actions.asks; i++)
        gate_hook_leave(&agent->actions.asks[i]);
}

/* A restart in the middle of an installer counts as the power going, and after two of those the
 * package is given up. */
static bool is_installing(const struct agent *agent)
{
    return agent->installer != NULL && installer_installing(agent->installer);
}

bool agent_action_may(struct agent *agent, const struct action *action, int64_t waited_ms,
                      char *ret_why)
{
    enum stop stop = stop_of(action->kind);
    ret_why[0] = '\0';
    if (stop == STOP_NOTHING)
        return true;
    struct gate_hook_asker *asker = &agent->actions.asks[asker_of(stop)];
    struct gate_answer answer = look(agent, stop, gate_hook_now(asker), waited_ms);
    if (!answer.open) /* it is asked only where it alone keeps the gate shut */
        gate_hook_ask(asker, stop == STOP_IDLE ? GATE_QUIET : GATE_SETTLED,
                      look(agent, stop, GATE_HOOK_OPEN, waited_ms).open);
    if (answer.open && agent_is_changing(agent)) {
        answer.open = false;
        (void)snprintf(answer.waits_for, sizeof answer.waits_for,
                       "the end of what is being switched");
    }
    if (answer.open && stop == STOP_IDLE && is_installing(agent)) {
        answer.open = false;
        (void)snprintf(answer.waits_for, sizeof answer.waits_for, "the installer");
    }
    (void)snprintf(ret_why, FRESHNESS_WHY_CHARS, "%s", answer.waits_for);
    return answer.open;
}

struct gate_answer agent_action_gate(const struct agent *agent, Muster__ActionKind kind,
                                     int64_t waited_ms)
{
    const enum stop stop = stop_of(kind);
    const struct gate_answer open = {.open = true,
                                     .ends_ms = INT64_MAX,
                                     .opens_after_ms = INT64_MAX,
                                     .asks_after_ms = INT64_MAX};
    if (stop == STOP_NOTHING)
        return open;
    return look(agent, stop, gate_hook_now(&agent->actions.asks[asker_of(stop)]), waited_ms);
}

bool agent_restarts(const struct agent *agent)
{
    return agent->actions.running.id[0] != '\0' &&
           stop_of(agent->actions.running.kind) == STOP_IDLE;
}

bool agent_interrupts(const struct agent *agent)
{
    return agent_restarts(agent) && !agent->actions.word.awaited;
}
