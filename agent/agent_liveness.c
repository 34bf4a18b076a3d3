/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_parts.h"

#include "base/file.h"
#include "base/log.h"
#include "base/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const int64_t look_every_ms = 5000;
static const int64_t look_least_ms = 100;
static const int64_t try_every_ms = 60000;
static const int64_t short_fault_ms = 10000; /* not worth a record, unless results were refused */

/* ---- records that cannot be stored ---- */

void agent_not_stored(struct agent *agent, size_t count, const struct err *err)
{
    int64_t now_ms = clock_boot_ms(agent->clock);
    if (agent->fault.why[0] == '\0') {
        agent->fault.since_ms = agent->fault.tried_ms = now_ms;
        agent->fault.refused = 0;
    }
    agent->fault.refused += count;
    agent->fault.full = err->code == ERR_FULL;
    (void)snprintf(agent->fault.why, sizeof agent->fault.why, "%s", err->text);
    if (count > 0 && log_gate_pass(&agent->fault.gate, now_ms, "fault_refused in status"))
        log_error("%zu records not stored: %s", count, err->text);
}

/* What is told now could not be when it happened. */
void agent_stored(struct agent *agent)
{
    char text[600];
    int64_t lasted_ms = clock_boot_ms(agent->clock) - agent->fault.since_ms;
    if (agent->fault.why[0] == '\0')
        return;
    (void)snprintf(text, sizeof text,
                   "records could not be stored for %" PRId64 " s, %" PRIu64 " were refused: %s",
                   lasted_ms / 1000, agent->fault.refused, agent->fault.why);
    agent->fault.why[0] = '\0';
    log_warn("records are stored again; %s", text);
    if (lasted_ms < short_fault_ms || agent->closing)
        return;
    Muster__Event event = MUSTER__EVENT__INIT;
    event.kind = MUSTER__EVENT_KIND__EVENT_LIVENESS;
    event.text = text;
    agent_record_event(agent, &event);
}

/* A disk that was full shows that it no longer is by taking a sample. Where it can be written and
 * the spool still cannot, an open may help. */
static void try_again(struct agent *agent, int64_t now_ms)
{
    char path[512];
    struct err err = {0};
    static const uint8_t mark[1] = {0};
    int64_t patience_ms = agent->settings->uplink_patience_ms;
    int64_t every_ms = patience_ms < try_every_ms ? patience_ms : try_every_ms;
    if (agent->fault.why[0] == '\0' || now_ms - agent->fault.tried_ms < every_ms)
        return;
    agent->fault.tried_ms = now_ms;
    if (agent->fault.full) {
        agent_record_health(agent, true);
        return;
    }
    if (spool_note_write(agent->spool, "probe", bytes_of(mark, sizeof mark), &err)) {
        agent_stored(agent);
        return;
    }
    if (path_join(path, sizeof path, agent->settings->state_dir, "probe", NULL) &&
        file_write(path, bytes_of(mark, sizeof mark), 0600, NULL) && file_remove(path, NULL))
        agent->failed(agent->failed_ctx, AGENT_REOPEN, &err);
}

/* ---- whether the work gets on ---- */

static struct liveness_sight look_around(const struct agent *agent)
{
    struct spool_stats stats;
    const struct linkport_state *link = linkport_state(agent->port);
    spool_stats(agent->spool, &stats);
    uint64_t waiting = stats.records + stats.records_lost;
    bool owes = waiting > 0 && uplink_owes(&agent->sender.uplink, clock_boot_ms(agent->clock));
    return (struct liveness_sight){
        .joined = link->joined,
        .connected = link->connected,
        .welcomed = agent->hello.welcomed,
        .outstanding = agent->sender.uplink.resend_at_ms != 0 || owes,
        .waiting = waiting,
        .progress = agent->progress,
        .fault = agent->fault.why[0] != '\0' ? agent->fault.why : NULL,
        .offline = link->reason,
    };
}

bool agent_healthy(const struct agent *agent, char *why, size_t size)
{
    struct liveness_sight sight = look_around(agent);
    return liveness_tell(&agent->liveness, &sight, why, size);
}

static void tell_manager(struct agent *agent)
{
    char why[640], status[700];
    bool healthy = agent_healthy(agent, why, sizeof why);
    (void)snprintf(status, sizeof status, "STATUS=%s%s", healthy ? "" : "not well: ", why);
    /* The count of records changes all the time, and says nothing new. */
    if (healthy && agent->told_healthy)
        return;
    agent->told_healthy = healthy;
    notify_send(status);
}

static void record_stall(struct agent *agent, const char *what)
{
    char text[480];
    (void)snprintf(text, sizeof text, "what was sent had no receipt for %" PRId64 " s: %s",
                   agent->liveness.stalled_ms / 1000, what);
    log_warn("%s", text);
    Muster__Event event = MUSTER__EVENT__INIT;
    event.kind = MUSTER__EVENT_KIND__EVENT_LIVENESS;
    event.text = text;
    agent_record_event(agent, &event);
}

static void give_up(struct agent *agent)
{
    struct err err = {0};
    record_stall(agent, "the agent is started again");
    (void)err_set(&err, ERR_TIMEOUT,
                  "no receipt for %" PRId64 " s over a connection that stands, whatever was tried",
                  agent->liveness.stalled_ms / 1000);
    agent->failed(agent->failed_ctx, AGENT_STALLED, &err);
}

static void take_step(struct agent *agent, enum liveness_step step, int64_t now_ms)
{
    switch (step) {
    case LIVENESS_SEND_AGAIN:
        log_warn("no receipt for %" PRId64 " s: hello is said and all is sent again",
                 agent->liveness.stalled_ms / 1000);
        uplink_disconnected(&agent->sender.uplink);
        uplink_connected(&agent->sender.uplink, now_ms);
        hello_connected(&agent->hello, now_ms);
        agent_pump(agent);
        return;
    case LIVENESS_RELINK:
        record_stall(agent, "the link is asked to connect anew");
        linkport_drop(agent->port);
        return;
    case LIVENESS_GIVE_UP:
        give_up(agent);
        return;
    case LIVENESS_GOES_ON:
        return;
    }
}

static void on_look_timer(uv_timer_t *timer)
{
    struct agent *agent = timer->data;
    struct err err = {0};
    int64_t now_ms = clock_boot_ms(agent->clock);
    if (spool_must_reopen(agent->spool, &err)) {
        agent_spool_failed(agent, &err);
        return;
    }
    try_again(agent, now_ms);
    if (agent->closing)
        return;
    if (agent->lease_unsaved)
        (void)agent_keep_lease(agent, &err);
    struct liveness_sight sight = look_around(agent);
    take_step(agent, liveness_look(&agent->liveness, &sight, now_ms), now_ms);
    if (!agent->closing)
        tell_manager(agent);
}

void agent_start_looking(struct agent *agent)
{
    int64_t patience_ms = agent->settings->uplink_patience_ms;
    int64_t every_ms = patience_ms / 8 < look_every_ms ? patience_ms / 8 : look_every_ms;
    every_ms = every_ms > look_least_ms ? every_ms : look_least_ms;
    liveness_init(&agent->liveness, patience_ms);
    (void)uv_timer_start(&agent->look_timer, on_look_timer, (uint64_t)every_ms, (uint64_t)every_ms);
}
