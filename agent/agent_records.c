/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_parts.h"

#include "agent/probe.h"
#include "base/log.h"
#include "base/mask.h"
#include "base/utf8.h"
#include "proto/batch.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <stdio.h>
#include <string.h>

enum { OPEN_STREAMS = 64, EVENT_TEXT_BYTES = 480, GENERATION_BYTES = 8 };

/* What was in force is the agent's to say, by the time of the sale; the application knows better
 * only of what has just been replaced. */
static void name_generation(const struct agent *agent, Muster__TxnResult *txn, uint8_t *generation)
{
    const uint8_t *claimed = txn->generation.len == GENERATION_BYTES ? txn->generation.data : NULL;
    bool known =
        registrar_manifest_version(agent->registrar) != 0 &&
        registrar_in_force_at(agent->registrar, (int64_t)txn->boot_ms, claimed, generation);
    txn->generation = (ProtobufCBinaryData){0};
    if (known)
        txn->generation = (ProtobufCBinaryData){.len = GENERATION_BYTES, .data = generation};
}

bool agent_record_txn(struct agent *agent, Muster__TxnResult *txn, recorder_done *done,
                      void *done_ctx, struct err *err)
{
    uint8_t generation[GENERATION_BYTES];
    if (!txn_check(txn, err))
        return false;
    txn_guard(&agent->guard, txn);
    agent_look_at_clock(agent);
    agent_place_txn(agent, txn);
    name_generation(agent, txn, generation);
    if (protobuf_c_message_get_packed_size(&txn->base) > LIMIT_TXN_BYTES)
        return err_set(err, ERR_INVALID, "the result is longer than %d bytes",
                       (int)LIMIT_TXN_BYTES);
    if (!agent_watch_sign_on(agent, txn, &done, &done_ctx, err))
        return false;
    agent_begin(agent);
    if (agent_store_txn(agent, txn, done, done_ctx, err))
        return true;
    agent_unwatch_sign_on(done, done_ctx);
    return false;
}

static bool add_own(struct agent *agent, Muster__Lane lane, enum haste haste,
                    const ProtobufCMessage *message, recorder_done *done, void *done_ctx)
{
    struct err err = {0};
    bool ok = recorder_add(agent->recorder, lane, haste, bytes_of(NULL, 0), message, done, done_ctx,
                           &err);
    if (!ok)
        log_error("%s record of the agent's own not stored: %s", lane_name(lane), err.text);
    return ok;
}

static bool add_event(struct agent *agent, const Muster__Event *event, enum haste haste,
                      recorder_done *done, void *done_ctx)
{
    char text[EVENT_TEXT_BYTES + 1];
    Muster__Event stamped = *event;
    snprintf(text, sizeof text, "%s", event->text);
    utf8_clean(text);
    mask_card_numbers(text, strlen(text));
    stamped.text = text;
    stamped.wall_ms = clock_wall_ms(agent->clock);
    stamped.boot_ms = (uint64_t)clock_boot_ms(agent->clock);
    return add_own(agent, MUSTER__LANE__LANE_EVENT, haste, &stamped.base, done, done_ctx);
}

static size_t earlier_streams(const struct agent *agent, Muster__OpenStream *ret_streams,
                              Muster__OpenStream **ret_list)
{
    struct spool_stream streams[OPEN_STREAMS];
    size_t kept = 0;
    size_t count = spool_unclosed(agent->spool, streams, OPEN_STREAMS);
    for (size_t i = 0; i < count && i < OPEN_STREAMS; i++) {
        if (streams[i].incarnation == spool_incarnation(agent->spool))
            continue;
        Muster__OpenStream *stream = &ret_streams[kept];
        *stream = (Muster__OpenStream)MUSTER__OPEN_STREAM__INIT;
        stream->incarnation = streams[i].incarnation;
        stream->lane = (Muster__Lane)streams[i].lane;
        stream->last_seq = streams[i].last_seq;
        ret_list[kept++] = stream;
    }
    return kept;
}

static void record_open(struct agent *agent)
{
    Muster__OpenStream streams[OPEN_STREAMS];
    Muster__OpenStream *unclosed[OPEN_STREAMS];
    Muster__Open open = MUSTER__OPEN__INIT;
    open.n_unclosed = earlier_streams(agent, streams, unclosed);
    open.unclosed = unclosed;
    open.boot_id = (ProtobufCBinaryData){.len = sizeof agent->boot_id, .data = agent->boot_id};
    if (agent->timekeeper.has_before)
        open.boot_before = (ProtobufCBinaryData){.len = sizeof agent->timekeeper.before,
                                                 .data = agent->timekeeper.before};
    open.agent_version = (char *)(uintptr_t)MUSTER_VERSION;
    open.starts = spool_starts(agent->spool);
    struct buf detail = {.limit = LIMIT_RECORD_BYTES};
    struct err err = {0};
    if (!pack(&open.base, &detail, &err)) {
        log_error("the OPEN record was not made: %s", err.text);
        return;
    }
    Muster__Event event = MUSTER__EVENT__INIT;
    event.kind = MUSTER__EVENT_KIND__EVENT_OPEN;
    event.text = (char *)(uintptr_t) "the agent started";
    event.detail = (ProtobufCBinaryData){.len = detail.length, .data = detail.data};
    (void)add_event(agent, &event, HASTE_LINGERS, NULL, NULL);
    buf_done(&detail);
}

static void sample_spool(const struct agent *agent, Muster__Health *health)
{
    struct spool_stats stats;
    spool_stats(agent->spool, &stats);
    health->wal_bytes = stats.wal_bytes;
    health->spool_records = stats.records;
    health->spool_bytes = stats.bytes;
    health->spool_oldest_ms = (uint64_t)stats.oldest_ms;
    struct recorder_counts counts = recorder_counts(agent->recorder);
    health->records_accepted = counts.accepted;
    health->records_refused = counts.refused;
}

void agent_sample_health(struct agent *agent, Muster__Health *ret_health)
{
    Muster__Health health = MUSTER__HEALTH__INIT;
    probe_host(agent->settings->state_dir, &health);
    sample_spool(agent, &health);
    const struct linkport_state *link = linkport_state(agent->port);
    health.wall_ms = clock_wall_ms(agent->clock);
    health.boot_ms = (uint64_t)clock_boot_ms(agent->clock);
    health.link_connected = link->connected ? 1 : 0;
    health.link_connects = link->sessions;
    health.clock_offset_ms =
        timekeeper_offset(&agent->timekeeper, health.wall_ms, (int64_t)health.boot_ms);
    health.frames_refused =
        intake_refused(agent->intake) + link->frames_refused + agent->messages_refused;
    health.receipts_refused = agent->receipts_refused;
    agent_look_at_traffic(agent);
    const struct traffic *traffic = &agent->account.now.traffic;
    health.traffic_month = agent->account.now.month;
    health.traffic_bytes = traffic->up.tcpip + traffic->down.tcpip;
    health.traffic_payload_bytes = traffic->up.payload + traffic->down.payload;
    *ret_health = health;
}

/* A sample; with those before it, when they are to be told, a record. */
static void add_health(struct agent *agent, bool now)
{
    const struct agent_settings *settings = agent->settings;
    Muster__Health health;
    agent_sample_health(agent, &health);
    samples_add(&agent->samples, &health);
    if (!now && !samples_due(&agent->samples, (int64_t)health.boot_ms, settings->probe_every_ms,
                             settings->probe_record_ms))
        return;
    samples_tell(&agent->samples, &health);
    (void)add_own(agent, MUSTER__LANE__LANE_HEALTH, HASTE_RIDES, &health.base, NULL, NULL);
}

void agent_begin(struct agent *agent)
{
    if (agent->begun)
        return;
    agent->begun = true;
    record_open(agent);
    agent->timekeeper.unsaved = agent->timekeeper.unsaved || !agent->timekeeper.spoke;
    agent->timekeeper.spoke = true;
    add_health(agent, true);
    if (!agent->closing)
        registrar_tell(agent->registrar);
}

void agent_record_event(struct agent *agent, const Muster__Event *event)
{
    (void)agent_record_event_then(agent, event, HASTE_LINGERS, NULL, NULL);
}

bool agent_record_event_then(struct agent *agent, const Muster__Event *event, enum haste haste,
                             recorder_done *done, void *done_ctx)
{
    agent_begin(agent);
    return add_event(agent, event, haste, done, done_ctx);
}

void agent_record_health(struct agent *agent, bool now)
{
    if (agent->begun)
        add_health(agent, now);
    else
        agent_begin(agent); /* with a sample of its own */
}

void agent_record_opened(struct agent *agent)
{
    const char *said = spool_opened(agent->spool);
    if (said[0] == '\0')
        return;
    log_warn("spool: %s", said);
    Muster__Event event = MUSTER__EVENT__INIT;
    event.kind = MUSTER__EVENT_KIND__EVENT_SPOOL;
    event.text = (char *)(uintptr_t)said;
    agent_record_event(agent, &event);
}
