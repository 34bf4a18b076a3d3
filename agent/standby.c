/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/standby.h"

#include "agent/intake.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct standby {
    const struct agent_settings *settings;
    struct err why;
    int64_t again_at_ms;
    uint64_t refused;
    struct intake *intake;
    struct log_gate gate;
    uv_timer_t timer;
    void (*again)(void *ctx);
    void *ctx;
    bool closing;
};

static bool refuse(const struct standby *standby, struct err *err)
{
    int64_t left_ms = standby->again_at_ms - clock_boot_ms(&clock_real);
    return err_set(err, standby->why.code,
                   "nothing can be stored: %.300s; tried again in %" PRId64 " s", standby->why.text,
                   left_ms > 0 ? (left_ms + 999) / 1000 : 0);
}

static bool on_txn(void *ctx, Muster__TxnResult *txn, recorder_done *done, void *done_ctx,
                   struct err *err)
{
    struct standby *standby = ctx;
    (void)txn;
    (void)done;
    (void)done_ctx;
    standby->refused++;
    if (log_gate_pass(&standby->gate, clock_boot_ms(&clock_real), "fault_refused in status"))
        log_error("a result was refused: %s", standby->why.text);
    return refuse(standby, err);
}

static bool on_status(void *ctx, struct arena *arena, Muster__ClientReply *reply, struct err *err)
{
    const struct standby *standby = ctx;
    Muster__AgentStatus *status = arena_alloc(arena, sizeof *status);
    struct err why = {0};
    (void)refuse(standby, &why);
    if (status == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a status");
    *status = (Muster__AgentStatus)MUSTER__AGENT_STATUS__INIT;
    status->device = (char *)(uintptr_t)standby->settings->device;
    status->agent_version = (char *)(uintptr_t)MUSTER_VERSION;
    status->link_reason = (char *)(uintptr_t) "the agent waits for its spool";
    status->healthy_why = arena_copy(arena, why.text, strlen(why.text) + 1);
    status->fault = (char *)(uintptr_t)standby->why.text;
    status->fault_refused = standby->refused;
    reply->agent = status;
    return status->healthy_why != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a status");
}

static bool on_why(void *ctx, uint32_t limit, struct arena *arena, Muster__ClientReply *reply,
                   struct err *err)
{
    (void)limit;
    (void)arena;
    (void)reply;
    return refuse(ctx, err);
}

static bool on_state(void *ctx, struct arena *arena, Muster__ClientReply *reply, struct err *err)
{
    (void)arena;
    (void)reply;
    return refuse(ctx, err);
}

static bool on_selfcheck(void *ctx, void (*done)(void *done_ctx), void *done_ctx, struct err *err)
{
    (void)done;
    (void)done_ctx;
    return refuse(ctx, err);
}

static bool on_import(void *ctx, struct import *import, const Muster__ImportQuery *query,
                      struct arena *arena, Muster__ClientReply *reply, struct err *err)
{
    (void)import;
    (void)query;
    (void)arena;
    (void)reply;
    return refuse(ctx, err);
}

/* The library says it again once there is an agent. */
static bool on_lease(void *ctx, const Muster__LeaseQuery *query, const struct intake_speaker *who,
                     void (*done)(void *done_ctx), void *done_ctx, struct err *err)
{
    (void)query;
    (void)who;
    (void)done;
    (void)done_ctx;
    return refuse(ctx, err);
}

static bool on_apply(void *ctx, const Muster__ApplyQuery *query, const struct intake_speaker *who,
                     void (*done)(void *done_ctx), void *done_ctx, struct err *err)
{
    (void)query;
    (void)who;
    (void)done;
    (void)done_ctx;
    return refuse(ctx, err);
}

static bool on_forget(void *ctx, const Muster__ForgetQuery *query, const struct intake_speaker *who,
                      struct err *err)
{
    (void)query;
    (void)who;
    return refuse(ctx, err);
}

static void on_gone(void *ctx, const void *holder)
{
    (void)ctx;
    (void)holder;
}

static void on_timer(uv_timer_t *timer)
{
    struct standby *standby = timer->data;
    standby->again(standby->ctx);
}

static bool open_intake(struct standby *standby, uv_loop_t *loop, struct err *err)
{
    static const struct intake_handlers handlers = {
        .txn = on_txn,
        .status = on_status,
        .why = on_why,
        .state = on_state,
        .selfcheck = on_selfcheck,
        .import = on_import,
        .settle = on_selfcheck,
        .lease = on_lease,
        .tell_lease = on_state,
        .gone = on_gone,
        .plan = on_state,
        .apply = on_apply,
        .forget = on_forget,
    };
    const struct agent_settings *settings = standby->settings;
    char path[512];
    struct peers peers;
    return file_make_dir(settings->run_dir, 0755, err) &&
           path_join(path, sizeof path, settings->run_dir, "client.sock", err) &&
           peers_parse(settings->client_users, &peers, err) &&
           intake_open(loop, path, &peers, (unsigned)settings->client_max, &handlers, standby,
                       &standby->intake, err);
}

bool standby_open(uv_loop_t *loop, const struct agent_settings *settings, const struct err *why,
                  int64_t wait_ms, void (*again)(void *ctx), void *ctx,
                  struct standby **ret_standby, struct err *err)
{
    struct standby *standby = calloc(1, sizeof *standby);
    if (standby == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to wait for the spool");
    standby->settings = settings;
    standby->why = *why;
    standby->again = again;
    standby->ctx = ctx;
    standby->again_at_ms = clock_boot_ms(&clock_real) + wait_ms;
    if (!open_intake(standby, loop, err)) {
        free(standby);
        return false;
    }
    (void)uv_timer_init(loop, &standby->timer);
    standby->timer.data = standby;
    (void)uv_timer_start(&standby->timer, on_timer, (uint64_t)wait_ms, 0);
    char status[600];
    (void)snprintf(status, sizeof status, "STATUS=not well: nothing can be stored: %s", why->text);
    notify_send(status);
    *ret_standby = standby;
    return true;
}

void standby_close(struct standby *standby)
{
    if (standby->closing)
        return;
    standby->closing = true;
    uv_close((uv_handle_t *)&standby->timer, NULL);
    intake_close(standby->intake);
}

void standby_free(struct standby *standby)
{
    if (standby == NULL)
        return;
    intake_free(standby->intake);
    free(standby);
}
