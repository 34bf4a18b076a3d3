/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "agent/agent_parts.h"
#include "agent/dictionaries.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "proto/limits.h"
#include "proto/record.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t forget_every_ms = 10000;
/* For a root that is on its way, on any line. */
static const int64_t put_off_ms = 60000;
static const int64_t forget_more_ms = 500; /* one call does little */
static const unsigned age_rounds = 6;
static const int64_t selfcheck_limit_ms = 120000;

/* ---- doing what is due ---- */

static void on_pump_timer(uv_timer_t *timer)
{
    agent_pump(timer->data);
}

static void plan_next(struct agent *agent, int64_t now_ms)
{
    int64_t deadline = uplink_deadline(&agent->sender.uplink, now_ms);
    if (hello_deadline(&agent->hello) < deadline)
        deadline = hello_deadline(&agent->hello);
    int64_t content_ms = content_wait_deadline(&agent->content, agent->hello.welcomed, now_ms);
    if (content_ms < deadline)
        deadline = content_ms;
    if (deadline == INT64_MAX) {
        uv_timer_stop(&agent->pump_timer);
        return;
    }
    int64_t wait = deadline > now_ms ? deadline - now_ms : 1;
    uv_timer_start(&agent->pump_timer, on_pump_timer, (uint64_t)wait, 0);
}

void agent_pump(struct agent *agent)
{
    if (agent->closing)
        return;
    agent->pumps++;
    int64_t now_ms = clock_boot_ms(agent->clock);
    agent_look_at_content(agent, now_ms);
    if (hello_due(&agent->hello, now_ms))
        agent_say_hello(agent);
    sender_pump(&agent->sender, now_ms);
    agent_look_at_actions(agent);
    plan_next(agent, now_ms);
}

/* ---- events of the parts ---- */

static void on_stored(void *ctx, enum haste haste)
{
    struct agent *agent = ctx;
    agent_stored(agent);
    uplink_stored(&agent->sender.uplink, haste, clock_boot_ms(agent->clock));
    agent_pump(agent);
}

/* Only an open cures some faults; the others are told, and pass. */
void agent_spool_failed(struct agent *agent, const struct err *err)
{
    struct err why = {0};
    if (agent->closing)
        return;
    if (spool_must_reopen(agent->spool, &why))
        agent->failed(agent->failed_ctx, AGENT_REOPEN, &why);
    else
        agent_not_stored(agent, 0, err);
}

static void on_not_stored(void *ctx, size_t count, const struct err *err)
{
    struct agent *agent = ctx;
    agent_not_stored(agent, count, err);
    if (err->code != ERR_FULL)
        agent_spool_failed(agent, err);
    else if (agent->registrar != NULL)
        registrar_yield(agent->registrar);
}

static void on_link_changed(void *ctx)
{
    struct agent *agent = ctx;
    const struct linkport_state *link = linkport_state(agent->port);
    agent_look_at_traffic(agent); /* before another link counts from 0 */
    if (link->connected && !agent->sender.uplink.connected) {
        log_info("connected to %s", link->broker);
        uplink_connected(&agent->sender.uplink, clock_boot_ms(agent->clock));
        hello_connected(&agent->hello, clock_boot_ms(agent->clock));
        content_wait_connected(&agent->content, link->keeps_nothing, clock_boot_ms(agent->clock));
        agent->less_told = false;
        agent_begin(agent);
    } else if (!link->connected && agent->sender.uplink.connected) {
        log_warn("not connected: %s", link->reason);
        uplink_disconnected(&agent->sender.uplink);
        hello_disconnected(&agent->hello);
        if (agent->registrar != NULL)
            agent_tell_put_off(agent, 0);
        content_wait_disconnected(&agent->content, clock_boot_ms(agent->clock));
    }
    agent_pump(agent);
}

static void on_puback(void *ctx, uint64_t token, bool accepted)
{
    struct agent *agent = ctx;
    if (!accepted && token == HELLO_TOKEN)
        log_warn("the broker refused our hello: it is said again; check the broker's ACL for this "
                 "device");
    else if (!accepted)
        log_warn("the broker refused packet %llu: it stays in the spool and is sent again; check "
                 "the broker's ACL for this device",
                 (unsigned long long)token);
    uplink_puback(&agent->sender.uplink, token);
    agent_pump(agent);
}

static void on_message(void *ctx, const char *topic, struct bytes payload)
{
    (void)agent_take_message(ctx, topic, payload, NULL);
}

static void on_fetch(void *ctx, const uint8_t (*blobs)[32], const uint64_t *sizes, size_t count)
{
    struct agent *agent = ctx;
    agent_content_wanted(agent, blobs, sizes, count);
    agent_pump(agent);
}

static void on_registrar_event(void *ctx, const Muster__Event *event)
{
    agent_record_event(ctx, event);
}

static bool on_unsettled(void *ctx, const struct err *why)
{
    return agent_put_off(ctx, why);
}

static void on_registrar_checked(void *ctx)
{
    struct agent *agent = ctx;
    agent_check_roots(agent);
    if (agent->keyring != NULL)
        keyring_look(agent->keyring);
    agent_ask_what_runs(agent);
}

static bool on_registrar_amend(void *ctx, struct arena *arena, Muster__StateReport *state,
                               struct err *err)
{
    const struct agent *agent = ctx;
    return (agent->keyring == NULL || keyring_state(agent->keyring, arena, state, err)) &&
           (agent->installer == NULL || installer_state(agent->installer, arena, state, err));
}

static void on_registrar_changed(void *ctx)
{
    struct agent *agent = ctx;
    if (agent->registrar == NULL)
        return;
    agent_load_profiles(agent);
    agent_look_at_keys(agent);
    agent_look_at_packages(agent);
    agent_content_settled(agent);
    agent_pump(agent);
}

static bool on_txn(void *ctx, Muster__TxnResult *txn, recorder_done *done, void *done_ctx,
                   struct err *err)
{
    return agent_record_txn(ctx, txn, done, done_ctx, err);
}

static bool on_status(void *ctx, struct arena *arena, Muster__ClientReply *reply, struct err *err)
{
    return agent_status(ctx, arena, reply, err);
}

static bool on_why(void *ctx, uint32_t limit, struct arena *arena, Muster__ClientReply *reply,
                   struct err *err)
{
    return agent_why(ctx, limit, arena, reply, err);
}

static bool on_state(void *ctx, struct arena *arena, Muster__ClientReply *reply, struct err *err)
{
    struct agent *agent = ctx;
    reply->state = arena_alloc(arena, sizeof *reply->state);
    if (reply->state == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a state report");
    return agent_state_shown(agent, arena, reply->state, err);
}

static bool on_selfcheck(void *ctx, void (*done)(void *done_ctx), void *done_ctx, struct err *err)
{
    struct agent *agent = ctx;
    keyring_check(agent->keyring);
    installer_look(agent->installer);
    return registrar_check(agent->registrar, selfcheck_limit_ms, done, done_ctx, err);
}

static bool on_import(void *ctx, struct import *import, const Muster__ImportQuery *query,
                      struct arena *arena, Muster__ClientReply *reply, struct err *err)
{
    return agent_import(ctx, import, query, arena, reply, err);
}

static bool on_settle(void *ctx, void (*done)(void *done_ctx), void *done_ctx, struct err *err)
{
    struct agent *agent = ctx;
    return registrar_settle(agent->registrar, selfcheck_limit_ms, done, done_ctx, err);
}

static bool on_apply(void *ctx, const Muster__ApplyQuery *query, const struct intake_speaker *who,
                     void (*done)(void *done_ctx), void *done_ctx, struct err *err)
{
    struct agent *agent = ctx;
    const struct agent_seen seen = {
        .generation = bytes_of(query->generation_digest.data, query->generation_digest.len),
        .placing = query->placing,
        .placing_count = query->n_placing};
    char name[48];
    (void)snprintf(name, sizeof name, "user %u at the terminal", (unsigned)who->uid);
    return agent_decide(agent, &seen, name, err) &&
           registrar_settle(agent->registrar, selfcheck_limit_ms, done, done_ctx, err);
}

static void on_probe_timer(uv_timer_t *timer)
{
    agent_record_health(timer->data, false);
    agent_save_traffic(timer->data);
}

/* A burst of results or a drained backlog leaves memory behind that quiet times do not need. */
static void settle_when_idle(struct agent *agent)
{
    bool idle = agent->pumps == agent->pumps_seen;
    if (idle && !agent->settled)
        memory_settle();
    agent->settled = idle;
    agent->pumps_seen = agent->pumps;
}

static void on_forget_timer(uv_timer_t *timer)
{
    struct agent *agent = timer->data;
    struct spool_stats stats;
    settle_when_idle(agent);
    registrar_yield(agent->registrar);
    agent_tell_put_off(agent, put_off_ms);
    spool_stats(agent->spool, &stats);
    if (!agent->forget_more)
        agent_save_receipts(agent);
    agent_save_clock(agent);
    agent_save_waited(agent, false);
    agent_look_at_clock(agent);
    agent->forget_more = false;
    /* Age limits are in days: with nothing in grace a look now and then is enough. */
    if (agent->forget_rounds++ % age_rounds != 0 && stats.records_kept == 0)
        return;
    size_t removed = 0;
    struct err err = {0};
    if (!spool_forget(agent->spool, &removed, &err)) {
        log_error("old records could not be removed: %s", err.text);
        if (err.code == ERR_IO)
            agent_spool_failed(agent, &err);
    } else if (removed > 0) {
        log_debug("%zu old records removed", removed);
        agent->forget_more = true;
        uv_timer_start(timer, on_forget_timer, (uint64_t)forget_more_ms, (uint64_t)forget_every_ms);
    }
}

/* ---- opening and closing ---- */

/* Ed25519 signs deterministically (RFC 8032), so this is the same at every start and known to
 * nobody without the agent's key: a retry is recognised after a restart too. */
static bool make_guard_key(struct agent *agent, struct err *err)
{
    static const char purpose[] = "key of the guard that replaces what spells a card number";
    const struct sign_key *key = agent->key;
    struct buf envelope = {.limit = 1024};
    bool ok = seal("guard", agent->settings->device, bytes_of(purpose, sizeof purpose - 1), &key, 1,
                   false, &envelope, err);
    if (ok)
        sha256(buf_bytes(&envelope), agent->guard.key);
    buf_done(&envelope);
    return ok;
}

static bool open_keys(struct agent *agent, struct err *err)
{
    const struct agent_settings *settings = agent->settings;
    if (!sign_key_read(settings->agent_key, &agent->key, err))
        return err->code == ERR_NOT_FOUND
                   ? err_context(err, "no agent key yet, make one with --make-key")
                   : false;
    if (!make_guard_key(agent, err))
        return false;
    return agent_open_roots(agent, err);
}

static bool open_spool(struct agent *agent, struct err *err)
{
    char path[512];
    const struct agent_settings *settings = agent->settings;
    if (!file_make_dir(settings->state_dir, 0750, err) ||
        !path_join(path, sizeof path, settings->state_dir, "spool.db", err))
        return false;
    struct spool_dictionary dictionaries[DICTIONARIES_OF_RECORDS];
    dictionaries_of_records(dictionaries);
    const struct spool_settings spool = {
        .path = path,
        .device = settings->device,
        .quota_bytes = settings->spool_quota_bytes,
        .grace_ms = settings->spool_grace_ms,
        .key_window = settings->spool_key_window,
        .lanes = {{settings->txn_quota_bytes, settings->txn_age_ms},
                  {settings->event_quota_bytes, settings->event_age_ms},
                  {settings->health_quota_bytes, settings->health_age_ms}},
        .dictionaries = dictionaries,
        .dictionary_count = DICTIONARIES_OF_RECORDS,
    };
    static const struct recorder_events events = {.stored = on_stored, .failed = on_not_stored};
    return spool_open(&spool, agent->clock, &agent->spool, err) &&
           agent_load_receipts(agent, err) && agent_load_traffic(agent, err) &&
           agent_load_clock(agent, err) && agent_load_waited(agent, err) &&
           agent_open_lease(agent, err) &&
           recorder_open(agent->loop, agent->spool, &events, agent, &agent->recorder, err);
}

static bool open_port(struct agent *agent, struct err *err)
{
    char path[512];
    struct peers peers;
    static const struct linkport_events events = {
        .changed = on_link_changed, .puback = on_puback, .message = on_message};
    return file_make_dir(agent->settings->run_dir, 0755, err) &&
           path_join(path, sizeof path, agent->settings->run_dir, "link.sock", err) &&
           peers_parse(agent->settings->link_users, &peers, err) &&
           linkport_open(agent->loop, path, &peers, &events, agent, &agent->port, err);
}

static bool open_gate_hook(struct agent *agent, struct err *err)
{
    const struct gate_hook_settings settings = {.path = agent->settings->gate_hook,
                                                .limit_ms = agent->settings->gate_hook_limit_ms,
                                                .every_ms = agent->settings->gate_every_ms};
    return settings.path[0] == '\0' ||
           gate_hook_open(agent->loop, agent->clock, &settings, &agent->gate_hook, err);
}

static bool open_registrar(struct agent *agent, struct err *err)
{
    char dir[512], floors[512];
    const struct agent_settings *settings = agent->settings;
    if (!path_join(dir, sizeof dir, settings->state_dir, "registry", err) ||
        !path_join(floors, sizeof floors, settings->state_dir, "floors", err))
        return false;
    const struct registrar_gate gate = {
        .policy = {.alone_ms = settings->gate_alone_ms, .patience_ms = settings->gate_patience_ms},
        .hook = agent->gate_hook,
        .every_ms = settings->gate_every_ms,
        .waited = agent->waited_kept,
    };
    const struct registrar_settings registrar = {
        .dir = dir,
        .gate = gate,
        .floors = floors,
        .device = settings->device,
        .sealing_key = settings->sealing_key,
        .hook = settings->hook,
        .hook_limit_ms = settings->hook_limit_ms,
        .probation = agent_probation(agent),
        .check_every_ms = settings->check_every_ms,
        .quota_bytes = settings->registry_quota_bytes,
        .owned = &settings->owned,
    };
    static const struct registrar_events events = {
        .fetch = on_fetch,
        .event = on_registrar_event,
        .checked = on_registrar_checked,
        .unsettled = on_unsettled,
        .changed = on_registrar_changed,
        .room = agent_look_at_room,
        .lease = agent_look_at_lease,
        .switched = agent_switched,
        .redial = agent_redial,
        .amend = on_registrar_amend,
    };
    return registrar_open(agent->loop, agent->clock, &registrar, agent->trust, &events, agent,
                          &agent->registrar, err);
}

static bool open_intake(struct agent *agent, struct err *err)
{
    char path[512];
    struct peers peers;
    struct intake_handlers handlers = {
        .txn = on_txn,
        .status = on_status,
        .why = on_why,
        .state = on_state,
        .selfcheck = on_selfcheck,
        .import = on_import,
        .settle = on_settle,
        .apply = on_apply,
    };
    agent_lease_handlers(&handlers);
    return path_join(path, sizeof path, agent->settings->run_dir, "client.sock", err) &&
           peers_parse(agent->settings->client_users, &peers, err) &&
           intake_open(agent->loop, path, &peers, (unsigned)agent->settings->client_max, &handlers,
                       agent, &agent->intake, err);
}

static void start_timers(struct agent *agent)
{
    uv_timer_t *timers[] = {&agent->pump_timer, &agent->probe_timer, &agent->forget_timer,
                            &agent->look_timer};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
        uv_timer_init(agent->loop, timers[i]);
        timers[i]->data = agent;
    }
    uint64_t probe_every = (uint64_t)agent->settings->probe_every_ms;
    uv_timer_start(&agent->probe_timer, on_probe_timer, probe_every, probe_every);
    uv_timer_start(&agent->forget_timer, on_forget_timer, (uint64_t)forget_every_ms,
                   (uint64_t)forget_every_ms);
}

static void init_sender(struct agent *agent)
{
    const struct uplink_policy policy = agent_uplink_policy(agent->settings);
    agent->sender.device = agent->settings->device;
    agent->sender.key = agent->key;
    agent->sender.spool = agent->spool;
    agent->sender.port = agent->port;
    uplink_init(&agent->sender.uplink, &policy);
}

bool agent_open(uv_loop_t *loop, const struct clock *clock, const struct agent_settings *settings,
                void (*failed)(void *ctx, enum agent_end end, const struct err *err), void *ctx,
                struct agent **ret_agent, struct err *err)
{
    struct agent *agent = calloc(1, sizeof *agent);
    if (agent == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the agent");
    agent->loop = loop;
    agent->clock = clock;
    agent->settings = settings;
    agent->failed = failed;
    agent->failed_ctx = ctx;
    /* A fleet that is away for days is not asked more often than receipts are worth their bytes. */
    agent->hello.longest_wait_ms = settings->uplink_receipts_ms;
    content_wait_init(&agent->content, settings->content_patience_ms);
    start_timers(agent);
    bool ok = open_keys(agent, err) && clock_boot_id(agent->boot_id, err) &&
              open_spool(agent, err) && open_port(agent, err);
    if (ok) {
        init_sender(agent);
        agent_tell_link_time(agent);
        agent_await_root(agent);
        ok = open_gate_hook(agent, err) && open_registrar(agent, err) &&
             agent_open_keyring(agent, err) && agent_open_installer(agent, err) &&
             open_intake(agent, err) && agent_open_actions(agent, err);
        if (ok) {
            agent_load_profiles(agent);
            agent_look_at_keys(agent);
            agent_look_at_packages(agent);
            agent_count_again(agent);
            agent_record_opened(agent);
            agent_tell_roots(agent);
            agent_start_looking(agent);
        }
    }
    *ret_agent = agent;
    if (ok)
        return true;
    agent_close(agent);
    uv_run(loop, UV_RUN_DEFAULT);
    agent_free(agent);
    *ret_agent = NULL;
    return false;
}

static void on_keyring_closed(void *ctx)
{
    struct agent *agent = ctx;
    agent->keyring = NULL;
}

static void on_registrar_closed(void *ctx)
{
    struct agent *agent = ctx;
    agent->registrar = NULL;
    recorder_close(agent->recorder);
    agent->recorder = NULL;
}

void agent_close(struct agent *agent)
{
    if (agent->closing)
        return;
    agent->closing = true;
    uv_close((uv_handle_t *)&agent->pump_timer, NULL);
    uv_close((uv_handle_t *)&agent->probe_timer, NULL);
    uv_close((uv_handle_t *)&agent->forget_timer, NULL);
    uv_close((uv_handle_t *)&agent->look_timer, NULL);
    agent_close_actions(agent);
    /* What clients were not yet answered for is committed and answered before they are let go. */
    if (agent->recorder != NULL)
        recorder_flush(agent->recorder);
    agent_answer_leases(agent);
    if (agent->registrar != NULL && agent->spool != NULL)
        agent_save_waited(agent, true);
    intake_close(agent->intake);
    if (agent->spool != NULL && agent->port != NULL)
        agent_save_traffic(agent);
    linkport_close(agent->port);
    if (agent->spool != NULL)
        agent_save_receipts(agent);
    if (agent->spool != NULL)
        agent_save_clock(agent);
    agent_close_installer(agent);
    if (agent->keyring != NULL)
        keyring_close(agent->keyring, on_keyring_closed, agent);
    if (agent->registrar != NULL)
        registrar_close(agent->registrar, on_registrar_closed, agent);
    else
        on_registrar_closed(agent);
    gate_hook_close(agent->gate_hook);
}

void agent_free(struct agent *agent)
{
    if (agent == NULL)
        return;
    intake_free(agent->intake);
    linkport_free(agent->port);
    spool_close(agent->spool);
    sign_key_free(agent->key);
    roots_done(&agent->roots);
    proofs_done(&agent->proofs);
    actions_done(&agent->actions.book);
    free(agent);
}
