/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link.h"

#include "agent/link_restarts.h"
#include "agent/link_wants.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/mqtt.h"
#include "base/notify.h"
#include "base/stream.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAUSE_ABOVE_BYTES = 1024 * 1024, /* stop reading the broker while this much waits */
    RESUME_BELOW_BYTES = 256 * 1024,
    DRAIN_CHECK_MS = 50,
    JOIN_FIRST_MS = 100,
    JOIN_MAX_MS = 5000,
    OWN_TOKEN = 0, /* of publishes that the agent did not ask for */
};

struct link {
    struct link_settings settings;
    uv_loop_t *loop;
    struct mqtt *mqtt;
    struct stream *agent; /* NULL: not connected, nor connecting */
    bool joined, closing, missing_logged;
    struct backoff join_backoff;
    uv_timer_t join_timer, drain_timer;
    struct arena arena;
    struct link_wants wants;
    uint64_t start;       /* random, not 0: which of the links this is */
    struct log_gate gate; /* of lines that the broker can cause */
    uint64_t refused; /* frames of the agent and messages of the broker that were not passed on */
};

static void join(struct link *link);

/* ---- to the agent ---- */

static bool send_up(struct link *link, const Muster__LinkUp *up)
{
    struct buf frame = {.limit = LIMIT_LINK_FRAME_BYTES};
    struct err err;
    bool ok = link->joined && pack(&up->base, &frame, &err) &&
              stream_send(link->agent, buf_bytes(&frame), &err);

    buf_done(&frame);
    if (!ok && link->joined) {
        log_warn("agent: cannot pass a message on: %s", err.text);
    }
    return ok;
}

static void report_state(struct link *link, const char *reason)
{
    const struct mqtt_status *status = mqtt_status(link->mqtt);
    const struct traffic traffic = mqtt_traffic(link->mqtt);
    Muster__LinkState state = MUSTER__LINK_STATE__INIT;
    Muster__LinkUp up = MUSTER__LINK_UP__INIT;

    state.connected = status->state == MQTT_CONNECTED;
    state.broker = (char *)(uintptr_t)status->broker;
    state.reason = (char *)(uintptr_t)reason;
    state.next_attempt_ms = status->next_attempt_ms;
    state.payload_bytes_up = traffic.up.payload;
    state.payload_bytes_down = traffic.down.payload;
    state.mqtt_bytes_up = traffic.up.mqtt;
    state.mqtt_bytes_down = traffic.down.mqtt;
    state.tls_bytes_up = traffic.up.tls;
    state.tls_bytes_down = traffic.down.tls;
    state.tcpip_bytes_up = traffic.up.tcpip;
    state.tcpip_bytes_down = traffic.down.tcpip;
    state.sessions = status->sessions;
    state.resumed = status->resumed;
    state.failures = status->failures;
    state.link_start = link->start;
    up.what_case = MUSTER__LINK_UP__WHAT_STATE;
    up.state = &state;
    (void)send_up(link, &up);
}

static void report_puback(struct link *link, uint64_t token, bool accepted)
{
    Muster__LinkPuback puback = MUSTER__LINK_PUBACK__INIT;
    Muster__LinkUp up = MUSTER__LINK_UP__INIT;

    puback.token = token;
    puback.accepted = accepted;
    up.what_case = MUSTER__LINK_UP__WHAT_PUBACK;
    up.puback = &puback;
    (void)send_up(link, &up);
}

static void on_drain_check(uv_timer_t *timer)
{
    struct link *link = timer->data;

    if (link->agent == NULL || stream_queued_bytes(link->agent) < RESUME_BELOW_BYTES) {
        (void)uv_timer_stop(timer);
        mqtt_pause(link->mqtt, false);
    }
}

/* An agent that is slow slows the broker down, by TCP, instead of filling our memory. */
static void hold_back(struct link *link)
{
    if (stream_queued_bytes(link->agent) > PAUSE_ABOVE_BYTES) {
        mqtt_pause(link->mqtt, true);
        (void)uv_timer_start(&link->drain_timer, on_drain_check, DRAIN_CHECK_MS, DRAIN_CHECK_MS);
    }
}

/* ---- from the broker ---- */

static bool expected(const struct link *link, const char *text, struct err *err)
{
    struct topic topic;

    if (!topic_parse(text, &topic, err)) {
        return false;
    }
    switch (topic.kind) {
    case TOPIC_DOWN_MANIFEST:
    case TOPIC_DOWN_RECEIPT:
    case TOPIC_DOWN_WELCOME:
        return strcmp(topic.device, link->settings.device) == 0 ||
               err_set(err, ERR_REFUSED, "for another device");
    case TOPIC_BLOB:
        return link_wants_has(&link->wants, topic.sha256) ||
               err_set(err, ERR_REFUSED, "a blob that nobody wants");
    default:
        return err_set(err, ERR_REFUSED, "not subscribed to");
    }
}

static void on_message(void *ctx, const char *topic, struct bytes payload)
{
    struct link *link = ctx;
    Muster__LinkMessage message = MUSTER__LINK_MESSAGE__INIT;
    Muster__LinkUp up = MUSTER__LINK_UP__INIT;
    struct err err;

    if (!expected(link, topic, &err)) {
        link->refused++;
        if (log_gate_pass(&link->gate, clock_boot_ms(&clock_real), "the broker's log")) {
            log_warn("broker: message on %.96s refused: %s", topic, err.text);
        }
        return;
    }
    message.topic = (char *)(uintptr_t)topic;
    message.payload =
        (ProtobufCBinaryData){.len = payload.length, .data = (uint8_t *)(uintptr_t)payload.data};
    up.what_case = MUSTER__LINK_UP__WHAT_MESSAGE;
    up.message = &message;
    if (send_up(link, &up)) {
        hold_back(link);
    }
}

static void on_puback(void *ctx, uint64_t token, bool accepted)
{
    struct link *link = ctx;

    if (token != OWN_TOKEN) {
        report_puback(link, token, accepted);
    } else if (!accepted) {
        log_warn("broker: refused to take that this device is online");
    }
}

static void subscribe(struct link *link, const char *topic)
{
    struct err err;

    if (!mqtt_subscribe(link->mqtt, topic, &err)) {
        log_warn("broker: cannot subscribe to %s: %s", topic, err.text);
    }
}

static void subscribe_blob(void *ctx, const uint8_t blob[32])
{
    char topic[TOPIC_CHARS];

    topic_blob(blob, topic);
    subscribe(ctx, topic);
}

static void unsubscribe_blob(void *ctx, const uint8_t blob[32])
{
    struct link *link = ctx;
    char topic[TOPIC_CHARS];
    struct err err;

    topic_blob(blob, topic);
    if (!mqtt_unsubscribe(link->mqtt, topic, &err)) {
        log_warn("broker: cannot unsubscribe from %s: %s", topic, err.text);
    }
}

static void on_connected(void *ctx, const char *broker)
{
    static const enum topic_kind kinds[] = {TOPIC_DOWN_MANIFEST, TOPIC_DOWN_RECEIPT,
                                            TOPIC_DOWN_WELCOME};
    static const struct link_wants nothing = {.count = 0};
    struct link *link = ctx;
    char topic[TOPIC_CHARS];
    char status[MQTT_BROKER_CHARS + 32];
    struct err err;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        topic_device(kinds[i], link->settings.device, topic);
        subscribe(link, topic);
    }
    link_wants_diff(&link->wants, &nothing, subscribe_blob, link);
    topic_device(TOPIC_UP_ONLINE, link->settings.device, topic);
    if (!mqtt_publish(link->mqtt, OWN_TOKEN, topic, bytes_of("1", 1), true, &err)) {
        log_warn("broker: cannot say that this device is online: %s", err.text);
    }
    log_info("broker: connected to %s", broker);
    (void)snprintf(status, sizeof status, "STATUS=connected to %s", broker);
    notify_send(status);
    report_state(link, "");
    memory_settle(); /* the handshake ran through much of libcrypto */
}

static void on_disconnected(void *ctx, const char *reason, int64_t next_attempt_ms)
{
    struct link *link = ctx;
    char status[MQTT_REASON_CHARS + 96], next[32];
    int64_t wait_ms = next_attempt_ms - clock_wall_ms(&clock_real);

    clock_format(next_attempt_ms, next);
    log_warn("broker: %s; next attempt in %lld ms, at %s", reason,
             (long long)(wait_ms > 0 ? wait_ms : 0), next);
    (void)snprintf(status, sizeof status, "STATUS=not connected: %s; next attempt at %s", reason,
                   next);
    notify_send(status);
    report_state(link, reason);
}

static void on_refused(void *ctx, const char *reason)
{
    log_warn("broker: %s", reason);
    report_state(ctx, reason);
}

static void on_stable(void *ctx)
{
    struct link *link = ctx;

    link_restarts_forget(link->settings.runtime_directory);
}

/* The counts travel with what woke both up anyway. */
static void on_traffic(void *ctx)
{
    struct link *link = ctx;

    report_state(link, mqtt_status(link->mqtt)->reason);
}

/* ---- from the agent ---- */

static bool take_publish(struct link *link, const Muster__LinkPublish *publish, struct err *err)
{
    struct topic topic;

    if (publish->token == OWN_TOKEN) {
        return err_set(err, ERR_INVALID, "publish: token 0");
    }
    if (!topic_parse(publish->topic, &topic, err)) {
        return err_context(err, "publish");
    }
    if ((topic.kind != TOPIC_UP_BATCH && topic.kind != TOPIC_UP_HELLO) ||
        strcmp(topic.device, link->settings.device) != 0) {
        return err_set(err, ERR_REFUSED, "publish: %s is not for this device to write",
                       publish->topic);
    }
    struct bytes payload = bytes_of(publish->payload.data, publish->payload.len);
    if (!mqtt_publish(link->mqtt, publish->token, publish->topic, payload, false, err)) {
        /* Not an offence: the session may just have ended. The spool sends it again. */
        log_debug("publish %llu not sent: %s", (unsigned long long)publish->token, err->text);
        if (err->code != ERR_UNAVAILABLE) {
            report_puback(link, publish->token, false);
        }
    }
    return true;
}

static bool take_fetch(struct link *link, const Muster__LinkFetch *fetch, struct err *err)
{
    struct link_wants wants = {.count = 0};

    for (size_t i = 0; i < fetch->n_blobs; i++) {
        if (fetch->blobs[i].len != 32) {
            return err_set(err, ERR_INVALID, "fetch: a digest of %zu bytes", fetch->blobs[i].len);
        }
        if (!link_wants_add(&wants, fetch->blobs[i].data, err)) {
            return err_context(err, "fetch");
        }
    }
    if (mqtt_status(link->mqtt)->state == MQTT_CONNECTED) {
        link_wants_diff(&link->wants, &wants, unsubscribe_blob, link);
        link_wants_diff(&wants, &link->wants, subscribe_blob, link);
    }
    link->wants = wants;
    return true;
}

static bool take_time(struct link *link, const Muster__LinkTime *said, struct err *err)
{
    const struct tls_time time = {said->at_least_ms, (int64_t)said->boot_ms, said->exact};

    if (said->at_least_ms <= 0 || said->boot_ms > (uint64_t)clock_boot_ms(&clock_real)) {
        return err_set(err, ERR_INVALID, "time: a moment that is not over");
    }
    mqtt_time(link->mqtt, &time);
    return true;
}

static bool take(struct link *link, const Muster__LinkDown *down, struct err *err)
{
    switch (down->what_case) {
    case MUSTER__LINK_DOWN__WHAT_PUBLISH:
        return take_publish(link, down->publish, err);
    case MUSTER__LINK_DOWN__WHAT_FETCH:
        return take_fetch(link, down->fetch, err);
    case MUSTER__LINK_DOWN__WHAT_TIME:
        return take_time(link, down->time, err);
    default:
        return err_set(err, ERR_INVALID, "a frame that says nothing this version knows");
    }
}

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_LINK_FRAME_BYTES,
                                                .max_elements = LIMIT_MANIFEST_ITEMS + 16};
    struct link *link = ctx;
    ProtobufCMessage *message;
    struct err err;

    (void)stream;
    if (!unpack(&muster__link_down__descriptor, frame, &limits, &link->arena, &message, &err) ||
        !take(link, (const Muster__LinkDown *)message, &err)) {
        link->refused++;
        log_warn("agent: a frame of %zu bytes refused: %s", frame.length, err.text);
    }
    arena_done(&link->arena);
}

static void on_opened(void *ctx, struct stream *stream)
{
    struct link *link = ctx;

    (void)stream;
    link->joined = true;
    link->missing_logged = false;
    link->wants.count = 0; /* the agent says what it wants when it is joined */
    backoff_reset(&link->join_backoff);
    log_info("agent: joined at %s", link->settings.agent_socket);
    mqtt_start(link->mqtt);
    const struct mqtt_status *status = mqtt_status(link->mqtt);
    bool held = status->failures == 0 && link->settings.restarts > 0;
    report_state(link, status->reason[0] != '\0' ? status->reason
                       : held ? "waiting: muster-link ended again and again with this broker"
                              : "connecting");
}

static void on_join_timer(uv_timer_t *timer)
{
    join(timer->data);
}

static void join_later(struct link *link, const char *why)
{
    if (!link->missing_logged) {
        log_warn("agent: %s; trying again until it is there", why);
        notify_send("STATUS=waiting for the agent");
        link->missing_logged = true;
    }
    int64_t delay_ms = backoff_next_ms(&link->join_backoff, random_u64());
    (void)uv_timer_start(&link->join_timer, on_join_timer, (uint64_t)delay_ms, 0);
}

static void on_closed(void *ctx, struct stream *stream, const struct err *why)
{
    struct link *link = ctx;

    (void)stream;
    link->agent = NULL;
    link->joined = false;
    if (link->closing) {
        return;
    }
    (void)uv_timer_stop(&link->drain_timer);
    mqtt_pause(link->mqtt, false);
    mqtt_stop(link->mqtt);
    join_later(link, why != NULL ? why->text : "it has left");
}

static void join(struct link *link)
{
    static const struct stream_events events = {
        .opened = on_opened, .frame = on_frame, .closed = on_closed};
    const struct stream_limits limits = {
        .max_frame_bytes = LIMIT_LINK_FRAME_BYTES,
        .max_queue_bytes = (size_t)link->settings.queue_bytes,
        .partial_frame_ms = 60000,
    };
    struct err err;

    if (!stream_connect(link->loop, link->settings.agent_socket, &limits, &events, link,
                        &link->agent, &err)) {
        join_later(link, err.text);
    }
}

/* ---- opening and closing ---- */

static struct mqtt_settings mqtt_settings_of(const struct link_settings *settings,
                                             const char *will_topic)
{
    return (struct mqtt_settings){
        .brokers = settings->brokers,
        .client_id = settings->device,
        .ca_path = settings->ca,
        .certificate_path = settings->certificate,
        .key_path = settings->key,
        .protocol = (enum mqtt_protocol)settings->protocol,
        .keepalive_ms = settings->keepalive_ms,
        .will_topic = will_topic,
        .will_payload = bytes_of("0", 1),
        .max_inflight = (unsigned)settings->inflight,
        .max_message_bytes = LIMIT_BLOB_BYTES,
        .time_floor_ms = settings->time_floor_s * 1000,
        .retry_first_ms = settings->retry_first_ms,
        .retry_max_ms = settings->retry_max_ms,
        .stable_ms = settings->stable_ms,
        .failures_before = settings->restarts,
        .connect_limit_ms = settings->connect_limit_ms,
    };
}

bool link_check(const struct link_settings *settings, struct err *err)
{
    struct mqtt_settings mqtt = mqtt_settings_of(settings, NULL);

    return mqtt_check(&mqtt, err);
}

bool link_open(uv_loop_t *loop, const struct link_settings *settings, struct link **ret_link,
               struct err *err)
{
    static const struct mqtt_events events = {
        .connected = on_connected,
        .disconnected = on_disconnected,
        .message = on_message,
        .puback = on_puback,
        .refused = on_refused,
        .stable = on_stable,
        .traffic = on_traffic,
    };
    char will_topic[TOPIC_CHARS];
    struct link *link = calloc(1, sizeof *link);

    if (link == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the link");
    }
    topic_device(TOPIC_UP_ONLINE, settings->device, will_topic);
    struct mqtt_settings mqtt = mqtt_settings_of(settings, will_topic);
    if (!mqtt_check(&mqtt, err) || !mqtt_open(loop, &mqtt, &events, link, &link->mqtt, err)) {
        free(link);
        return false;
    }
    link->settings = *settings;
    link->start = random_u64() | 1;
    link->loop = loop;
    link->join_backoff = (struct backoff){.first_ms = JOIN_FIRST_MS, .max_ms = JOIN_MAX_MS};
    link->arena.limit_bytes = (size_t)2 * LIMIT_LINK_FRAME_BYTES;
    (void)uv_timer_init(loop, &link->join_timer);
    (void)uv_timer_init(loop, &link->drain_timer);
    link->join_timer.data = link->drain_timer.data = link;
    join(link);
    *ret_link = link;
    return true;
}

void link_close(struct link *link)
{
    if (link->closing) {
        return;
    }
    link->closing = true;
    link_restarts_forget(link->settings.runtime_directory);
    mqtt_close(link->mqtt);
    link->mqtt = NULL;
    if (link->agent != NULL) {
        stream_close(link->agent);
    }
    uv_close((uv_handle_t *)&link->join_timer, NULL);
    uv_close((uv_handle_t *)&link->drain_timer, NULL);
}

void link_free(struct link *link)
{
    if (link != NULL) {
        arena_done(&link->arena);
        free(link);
    }
}
