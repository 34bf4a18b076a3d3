/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link_internal.h"

#include "agent/link_restarts.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/notify.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/online.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <stdio.h>
#include <string.h>

enum {
    PAUSE_ABOVE_BYTES = 1024 * 1024, /* stop reading the broker while this much waits */
    RESUME_BELOW_BYTES = 256 * 1024,
    DRAIN_CHECK_MS = 50,
};

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

void link_report_state(struct link *link, const char *reason)
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
    state.refused = link->refused;
    state.content_held_ms = link_content_held_ms(link);
    state.keeps_nothing = state.connected && !status->keeps;
    state.content_held = state.content_held_ms != 0 ? link->hold_why : state.content_held;
    up.what_case = MUSTER__LINK_UP__WHAT_STATE;
    up.state = &state;
    (void)send_up(link, &up);
}

void link_report_puback(struct link *link, uint64_t token, bool accepted)
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

/* What is older has been taken, and may still be under way; what is newer comes in its turn. */
static bool expected_root(const struct link *link, uint64_t version, size_t length, struct err *err)
{
    if (version != link->trust)
        return err_set(err, version < link->trust ? ERR_NOT_FOUND : ERR_REFUSED,
                       "a root that nobody waits for");
    return length <= LIMIT_ROOT_BYTES ||
           err_set(err, ERR_REFUSED, "a root of %zu bytes, %d are the most", length,
                   (int)LIMIT_ROOT_BYTES);
}

/* What was given up may come all the same until the broker knows. */
static bool expected_blob(const struct link *link, const uint8_t blob[32], size_t length,
                          struct err *err)
{
    if (link_wants_has(&link->left, blob) && !link_wants_has(&link->wants, blob))
        return err_set(err, ERR_NOT_FOUND, "a blob that nobody wants any more");
    return link_wants_takes(&link->wants, blob, length, err);
}

static bool expected(const struct link *link, const struct topic *topic, size_t length,
                     struct err *err)
{
    switch (topic->kind) {
    case TOPIC_DOWN_MANIFEST:
    case TOPIC_DOWN_RECEIPT:
    case TOPIC_DOWN_WELCOME:
        return strcmp(topic->device, link->settings.device) == 0 ||
               err_set(err, ERR_REFUSED, "for another device");
    case TOPIC_BLOB:
        return expected_blob(link, topic->sha256, length, err);
    case TOPIC_TRUST:
        return expected_root(link, topic->version, length, err);
    default:
        return err_set(err, ERR_REFUSED, "not subscribed to");
    }
}

static void on_message(void *ctx, const char *name, struct bytes payload, bool kept)
{
    (void)kept;
    struct link *link = ctx;
    struct topic topic;
    Muster__LinkMessage message = MUSTER__LINK_MESSAGE__INIT;
    Muster__LinkUp up = MUSTER__LINK_UP__INIT;
    struct err err;

    if (!topic_parse(name, &topic, &err) || !expected(link, &topic, payload.length, &err)) {
        if (err.code == ERR_NOT_FOUND) {
            return;
        }
        link->refused++;
        if (log_gate_pass(&link->gate, clock_boot_ms(&clock_real), "the broker's log")) {
            log_warn("broker: message on %.96s refused: %s", name, err.text);
        }
        return;
    }
    message.topic = (char *)(uintptr_t)name;
    message.payload =
        (ProtobufCBinaryData){.len = payload.length, .data = (uint8_t *)(uintptr_t)payload.data};
    up.what_case = MUSTER__LINK_UP__WHAT_MESSAGE;
    up.message = &message;
    if (send_up(link, &up)) {
        hold_back(link);
    }
    if (topic.kind == TOPIC_BLOB) {
        link_content_came(link, topic.sha256, payload);
    }
}

static void on_puback(void *ctx, uint64_t token, bool accepted)
{
    struct link *link = ctx;

    if (token != LINK_OWN_TOKEN) {
        link_report_puback(link, token, accepted);
    } else if (!accepted) {
        log_warn("broker: refused to take that this device is online");
    }
}

static size_t list_topics(const struct link_topics *topics, const char *list[LINK_TOPICS])
{
    for (size_t i = 0; i < topics->count; i++) {
        list[i] = topics->names[i];
    }
    return topics->count;
}

void link_subscribe(struct link *link, const struct link_topics *topics)
{
    const char *list[LINK_TOPICS];
    size_t count = list_topics(topics, list);
    struct err err;

    if (!mqtt_subscribe(link->mqtt, list, count, &err)) {
        log_warn("broker: cannot subscribe to %s and %zu more: %s", list[0], count - 1, err.text);
    }
}

void link_unsubscribe(struct link *link, const struct link_topics *topics)
{
    const char *list[LINK_TOPICS];
    size_t count = list_topics(topics, list);
    struct err err;

    if (!mqtt_unsubscribe(link->mqtt, list, count, &err)) {
        log_warn("broker: cannot unsubscribe from %s and %zu more: %s", list[0], count - 1,
                 err.text);
    }
}

static void trust_topic(uint64_t version, char topic[TOPIC_CHARS])
{
    topic_format(&(struct topic){.kind = TOPIC_TRUST, .version = version}, topic);
}

static void add_trust(uint64_t version, struct link_topics *topics)
{
    if (version != 0) {
        trust_topic(version, topics->names[topics->count++]);
    }
}

static void add_down(const struct link *link, enum topic_kind kind, struct link_topics *topics)
{
    topic_device(kind, link->settings.device, topics->names[topics->count++]);
}

/* ---- who is there ---- */

static bool pack_online(const struct link *link, bool online, bool goodbye, struct buf *out,
                        struct err *err)
{
    const struct online_word word = {
        .online = online, .goodbye = goodbye, .boot = link->boot, .began_ms = link->began_ms};

    return online_write(&word, out, err);
}

/* Each attempt's will names its own session, so that it cannot be taken for a later one's. */
static struct bytes on_will(void *ctx)
{
    struct link *link = ctx;
    int64_t now_ms = clock_boot_ms(&clock_real);
    struct err err;

    link->began_ms = now_ms > link->began_ms ? now_ms : link->began_ms + 1;
    buf_clear(&link->will);
    return pack_online(link, false, false, &link->will, &err) ? buf_bytes(&link->will)
                                                              : bytes_of("0", 1);
}

static void say_online(struct link *link, bool online)
{
    struct buf word = {.limit = LIMIT_ONLINE_BYTES};
    char topic[TOPIC_CHARS];
    struct err err;

    topic_device(TOPIC_UP_ONLINE, link->settings.device, topic);
    if (!pack_online(link, online, !online, &word, &err) ||
        !mqtt_publish(link->mqtt, LINK_OWN_TOKEN, topic, buf_bytes(&word), true, &err)) {
        log_warn("broker: cannot say that this device is %s: %s", online ? "online" : "going",
                 err.text);
    }
    buf_done(&word);
}

void link_say_goodbye(struct link *link)
{
    if (mqtt_status(link->mqtt)->state == MQTT_CONNECTED) {
        say_online(link, false);
    }
}

static void on_connected(void *ctx, const char *broker)
{
    static const enum topic_kind kinds[] = {TOPIC_DOWN_MANIFEST, TOPIC_DOWN_RECEIPT,
                                            TOPIC_DOWN_WELCOME};
    struct link *link = ctx;
    struct link_topics topics = {.count = 0};
    char status[MQTT_BROKER_CHARS + 32];

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        add_down(link, kinds[i], &topics);
    }
    add_trust(link->trust, &topics);
    link_content_connected(link, &topics);
    link_subscribe(link, &topics);
    say_online(link, true);
    log_info("broker: connected to %s", broker);
    if (!mqtt_status(link->mqtt)->keeps) {
        log_warn("broker: %s keeps no messages: what is lacking is asked of the fleet, and that "
                 "this device goes offline is heard by who listens then",
                 broker);
    }
    (void)snprintf(status, sizeof status, "STATUS=connected to %s", broker);
    notify_send(status);
    link_report_state(link, "");
    memory_settle(); /* the handshake ran through much of libcrypto */
}

static void on_disconnected(void *ctx, const char *reason, int64_t next_attempt_ms)
{
    struct link *link = ctx;
    char status[MQTT_REASON_CHARS + 96], next[32];
    int64_t wait_ms = next_attempt_ms - clock_wall_ms(&clock_real);

    link_content_disconnected(link, reason);
    clock_format(next_attempt_ms, next);
    log_warn("broker: %s; next attempt in %lld ms, at %s", reason,
             (long long)(wait_ms > 0 ? wait_ms : 0), next);
    (void)snprintf(status, sizeof status, "STATUS=not connected: %s; next attempt at %s", reason,
                   next);
    notify_send(status);
    link_report_state(link, reason);
}

static void on_refused(void *ctx, const char *reason)
{
    log_warn("broker: %s", reason);
    link_report_state(ctx, reason);
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

    link_report_state(link, mqtt_status(link->mqtt)->reason);
}

/* What the broker keeps for this device may have come before the root that its signature needs:
 * each root that was taken asks for it again. */
void link_await_root(struct link *link, uint64_t version)
{
    struct link_topics wanted = {.count = 0}, left = {.count = 0};
    uint64_t before = link->trust;

    link->trust = version;
    if (version == before || mqtt_status(link->mqtt)->state != MQTT_CONNECTED) {
        return;
    }
    add_trust(version, &wanted);
    if (before != 0) {
        add_trust(before, &left);
        add_down(link, TOPIC_DOWN_MANIFEST, &wanted);
        link_unsubscribe(link, &left);
    }
    if (wanted.count > 0) {
        link_subscribe(link, &wanted);
    }
}

const struct mqtt_events link_mqtt_events = {
    .connected = on_connected,
    .disconnected = on_disconnected,
    .message = on_message,
    .puback = on_puback,
    .refused = on_refused,
    .will = on_will,
    .stable = on_stable,
    .traffic = on_traffic,
};
