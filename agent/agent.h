/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent/settings.h"
#include "base/clock.h"

#include <uv.h>

/* Everything of muster-agent, wired together on one loop. */
struct agent;

/* Why an agent cannot go on. */
enum agent_end {
    AGENT_REOPEN,  /* the spool must be opened anew; in this process is as good as in another */
    AGENT_STALLED, /* it gets nothing done and has tried what it can: to be started again */
};

/* Opens spool, registry and sockets and starts working when the loop runs. `settings` must outlive
 * the agent. `failed` is called once when it cannot go on. */
bool agent_open(uv_loop_t *loop, const struct clock *clock, const struct agent_settings *settings,
                void (*failed)(void *ctx, enum agent_end end, const struct err *err), void *ctx,
                struct agent **ret_agent, struct err *err) MUSTER_CHECK;
/* Commits what waits and lets go of everything; the loop then runs out by itself. */
void agent_close(struct agent *agent);
/* After the loop has run out. */
void agent_free(struct agent *agent);

#endif
