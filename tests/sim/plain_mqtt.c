/* SPDX-License-Identifier: Apache-2.0 */
/* In place of base/mqtt*.c and base/tls*.c: the same promises to muster-link over plain TCP to this
 * machine's own broker, with one descriptor a connection: ten thousand fit below the usual limit.
 * libmosquitto's select(2) ends at 1,024, so the loop watches the socket. */
#include "base/mqtt.h"

#include "base/backoff.h"
#include "base/brokers.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { TICK_MS = 10000, TURN_PACKETS = 32, PACKET_FILTERS = 8, TEXT_BYTES = 128, WHY_BYTES = 120 };

struct publish {
    uint64_t token;
    int mid;
};

struct mqtt {
    uv_loop_t *loop;
    struct mqtt_settings settings;
    struct broker broker;
    char client_id[TEXT_BYTES], will_topic[TEXT_BYTES], will_payload[TEXT_BYTES];
    struct mqtt_events events;
    void *ctx;
    struct mqtt_status status;
    struct backoff backoff;
    uv_timer_t timer; /* retry, connect limit, stable */
    uv_timer_t tick;
    int open_timers;
    struct mosquitto *mosq;
    uv_poll_t *poll; /* of its socket; frees itself */
    bool paused, closing, in_library;
    bool ending; /* once the library has returned, because of: */
    char why[WHY_BYTES];
    bool silent; /* nobody is to be told */
    struct publish window[MQTT_MAX_INFLIGHT];
    size_t inflight;
    struct traffic traffic; /* of payloads */
};

/* libmosquitto makes a pair to wake its thread with, and does without where it gets none: there is
 * no thread here, and there are ten thousand of it. */
int socketpair(int domain, int type, int protocol, int fds[2])
{
    (void)domain, (void)type, (void)protocol;
    fds[0] = fds[1] = -1;
    errno = EMFILE;
    return -1;
}

static void attempt(struct mqtt *mqtt);

/* ---- the end of a session ---- */

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void hang_up(struct mqtt *mqtt)
{
    if (mqtt->poll != NULL)
        uv_close((uv_handle_t *)mqtt->poll, on_poll_closed);
    mqtt->poll = NULL;
    if (mqtt->mosq != NULL)
        mosquitto_destroy(mqtt->mosq); /* closes the socket */
    mqtt->mosq = NULL;
    mqtt->inflight = 0;
    (void)uv_timer_stop(&mqtt->timer);
    (void)uv_timer_stop(&mqtt->tick);
}

static void on_retry(uv_timer_t *timer)
{
    attempt(timer->data);
}

static void end_session(struct mqtt *mqtt)
{
    mqtt->ending = false;
    hang_up(mqtt);
    mqtt->status.state = MQTT_STOPPED;
    if (mqtt->silent)
        return;
    mqtt->status.failures++;
    (void)snprintf(mqtt->status.reason, sizeof mqtt->status.reason, "%s: %s", mqtt->status.broker,
                   mqtt->why);
    int64_t delay_ms = backoff_next_ms(&mqtt->backoff, random_u64());
    mqtt->status.state = MQTT_WAITING;
    mqtt->status.next_attempt_ms = clock_wall_ms(&clock_real) + delay_ms;
    (void)uv_timer_start(&mqtt->timer, on_retry, (uint64_t)delay_ms, 0);
    if (mqtt->events.disconnected != NULL)
        mqtt->events.disconnected(mqtt->ctx, mqtt->status.reason, mqtt->status.next_attempt_ms);
}

/* The first reason stays. */
static void will_end(struct mqtt *mqtt, const char *why)
{
    if (mqtt->ending)
        return;
    (void)snprintf(mqtt->why, sizeof mqtt->why, "%s", why);
    mqtt->ending = true;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void settle(struct mqtt *mqtt, int rc)
{
    if (rc != MOSQ_ERR_SUCCESS)
        will_end(mqtt, mosquitto_strerror(rc));
    if (mqtt->ending) {
        end_session(mqtt);
        return;
    }
    int events =
        (mqtt->paused ? 0 : UV_READABLE) | (mosquitto_want_write(mqtt->mosq) ? UV_WRITABLE : 0);
    if (events == 0)
        (void)uv_poll_stop(mqtt->poll);
    else
        (void)uv_poll_start(mqtt->poll, events, on_poll);
}

/* ---- what libmosquitto calls ---- */

static void on_stable(uv_timer_t *timer)
{
    struct mqtt *mqtt = timer->data;
    backoff_reset(&mqtt->backoff);
    if (mqtt->events.stable != NULL)
        mqtt->events.stable(mqtt->ctx);
}

static void on_connect(struct mosquitto *mosq, void *ctx, int code, int flags,
                       const mosquitto_property *properties)
{
    struct mqtt *mqtt = ctx;
    (void)mosq, (void)flags, (void)properties;
    if (code != 0) {
        will_end(mqtt, mosquitto_reason_string(code));
        return;
    }
    mqtt->status.state = MQTT_CONNECTED;
    mqtt->status.reason[0] = '\0';
    mqtt->status.next_attempt_ms = 0;
    mqtt->status.sessions++;
    (void)uv_timer_start(&mqtt->timer, on_stable, (uint64_t)mqtt->settings.stable_ms, 0);
    if (mqtt->events.connected != NULL)
        mqtt->events.connected(mqtt->ctx, mqtt->status.broker);
}

static void on_disconnect(struct mosquitto *mosq, void *ctx, int code,
                          const mosquitto_property *properties)
{
    (void)mosq, (void)properties;
    will_end(ctx, code == 0 ? "the session ended" : mosquitto_reason_string(code));
}

static void on_message(struct mosquitto *mosq, void *ctx, const struct mosquitto_message *message)
{
    struct mqtt *mqtt = ctx;
    size_t length = message->payloadlen > 0 ? (size_t)message->payloadlen : 0;
    (void)mosq;
    if (mqtt->ending)
        return;
    mqtt->traffic.down.payload += length;
    if (length > mqtt->settings.max_message_bytes) {
        mqtt->status.oversized++;
        will_end(mqtt, "too long a message");
    } else if (mqtt->events.message != NULL) {
        mqtt->events.message(mqtt->ctx, message->topic, bytes_of(message->payload, length),
                             message->retain);
    }
}

static void on_publish(struct mosquitto *mosq, void *ctx, int mid, int code,
                       const mosquitto_property *properties)
{
    struct mqtt *mqtt = ctx;
    (void)mosq, (void)properties;
    for (size_t i = 0; i < mqtt->inflight; i++) {
        if (mqtt->window[i].mid != mid)
            continue;
        uint64_t token = mqtt->window[i].token;
        mqtt->window[i] = mqtt->window[--mqtt->inflight];
        if (mqtt->events.puback != NULL && !mqtt->ending)
            mqtt->events.puback(mqtt->ctx, token, code < 128);
        return;
    }
}

static void on_subscribe(struct mosquitto *mosq, void *ctx, int mid, int count, const int *granted,
                         const mosquitto_property *properties)
{
    struct mqtt *mqtt = ctx;
    (void)mosq, (void)mid, (void)properties;
    for (int i = 0; i < count; i++) {
        if (granted[i] < 128 || mqtt->events.refused == NULL)
            continue;
        mqtt->events.refused(mqtt->ctx, mosquitto_reason_string(granted[i]));
        return;
    }
}

/* ---- driving ---- */

static int read_packets(struct mqtt *mqtt)
{
    int rc = MOSQ_ERR_SUCCESS;
    char byte;
    for (int i = 0; i < TURN_PACKETS && rc == MOSQ_ERR_SUCCESS && !mqtt->ending; i++) {
        rc = mosquitto_loop_read(mqtt->mosq, 1);
        int fd = mosquitto_socket(mqtt->mosq);
        if (fd < 0 || recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
            break; /* an end of file too is for the next turn */
    }
    return rc;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct mqtt *mqtt = poll->data;
    int rc = MOSQ_ERR_SUCCESS;
    mqtt->in_library = true;
    if (status < 0 || (events & UV_READABLE) != 0)
        rc = read_packets(mqtt);
    if (rc == MOSQ_ERR_SUCCESS && !mqtt->ending && (events & UV_WRITABLE) != 0)
        rc = mosquitto_loop_write(mqtt->mosq, 1);
    mqtt->in_library = false;
    settle(mqtt, rc);
}

static void on_tick(uv_timer_t *timer)
{
    struct mqtt *mqtt = timer->data;
    mqtt->in_library = true;
    int rc = mosquitto_loop_misc(mqtt->mosq);
    mqtt->in_library = false;
    settle(mqtt, rc);
}

static void on_connect_limit(uv_timer_t *timer)
{
    struct mqtt *mqtt = timer->data;
    will_end(mqtt, "no session within the limit");
    end_session(mqtt);
}

static int set_options(struct mqtt *mqtt)
{
    struct mosquitto *mosq = mqtt->mosq;
    int rc = mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    if (rc == 0)
        rc = mosquitto_int_option(mosq, MOSQ_OPT_TCP_NODELAY, 1);
    if (rc == 0)
        rc = mosquitto_int_option(mosq, MOSQ_OPT_RECEIVE_MAXIMUM, MQTT_MAX_INFLIGHT);
    if (rc == 0 && mqtt->will_topic[0] != '\0') {
        struct bytes will = mqtt->events.will != NULL
                                ? mqtt->events.will(mqtt->ctx)
                                : bytes_of(mqtt->will_payload, mqtt->settings.will_payload.length);
        rc = mosquitto_will_set(mosq, mqtt->will_topic, (int)will.length, will.data, 1, true);
    }
    mosquitto_connect_v5_callback_set(mosq, on_connect);
    mosquitto_disconnect_v5_callback_set(mosq, on_disconnect);
    mosquitto_message_callback_set(mosq, on_message);
    mosquitto_publish_v5_callback_set(mosq, on_publish);
    mosquitto_subscribe_v5_callback_set(mosq, on_subscribe);
    return rc;
}

static const char *connect_socket(struct mqtt *mqtt)
{
    mqtt->mosq = mosquitto_new(mqtt->client_id, true, mqtt);
    if (mqtt->mosq == NULL || set_options(mqtt) != MOSQ_ERR_SUCCESS)
        return "libmosquitto refused its settings";
    int rc = mosquitto_connect_bind_async(mqtt->mosq, mqtt->broker.host, atoi(mqtt->broker.port),
                                          (int)(mqtt->settings.keepalive_ms / 1000), NULL);
    if (rc != MOSQ_ERR_SUCCESS)
        return rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc);
    int fd = mosquitto_socket(mqtt->mosq);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    mqtt->poll = calloc(1, sizeof *mqtt->poll);
    if (mqtt->poll == NULL)
        return "no memory";
    if (uv_poll_init(mqtt->loop, mqtt->poll, fd) != 0) {
        free(mqtt->poll);
        mqtt->poll = NULL;
        return "the loop refused the socket";
    }
    mqtt->poll->data = mqtt;
    return NULL;
}

static void attempt(struct mqtt *mqtt)
{
    mqtt->status.state = MQTT_CONNECTING;
    mqtt->status.next_attempt_ms = 0;
    mqtt->ending = mqtt->silent = false;
    mqtt->in_library = true;
    const char *why = connect_socket(mqtt);
    mqtt->in_library = false;
    if (why != NULL) {
        will_end(mqtt, why);
        end_session(mqtt);
        return;
    }
    (void)uv_timer_start(&mqtt->timer, on_connect_limit, (uint64_t)mqtt->settings.connect_limit_ms,
                         0);
    (void)uv_timer_start(&mqtt->tick, on_tick, TICK_MS, TICK_MS);
    settle(mqtt, MOSQ_ERR_SUCCESS);
}

/* ---- the interface ---- */

bool mqtt_check(const struct mqtt_settings *settings, struct err *err)
{
    struct broker_list brokers;
    if (!brokers_parse(settings->brokers, &brokers, err))
        return false;
    const char *host = brokers.brokers[0].host;
    if (strcmp(host, "127.0.0.1") != 0 && strcmp(host, "::1") != 0)
        return err_set(err, ERR_INVALID,
                       "broker %s: simulated terminals speak without TLS, so only to 127.0.0.1 or "
                       "[::1]",
                       host);
    return (strlen(settings->client_id) < TEXT_BYTES &&
            strlen(settings->will_topic != NULL ? settings->will_topic : "") < TEXT_BYTES &&
            settings->will_payload.length < TEXT_BYTES) ||
           err_set(err, ERR_INVALID, "client id or will: longer than %d bytes", TEXT_BYTES - 1);
}

static void copy_settings(struct mqtt *mqtt, const struct mqtt_settings *from)
{
    mqtt->settings = *from;
    strcpy(mqtt->client_id, from->client_id);
    if (from->will_topic != NULL)
        strcpy(mqtt->will_topic, from->will_topic);
    if (from->will_payload.length > 0)
        memcpy(mqtt->will_payload, from->will_payload.data, from->will_payload.length);
    mqtt->backoff =
        (struct backoff){.first_ms = from->retry_first_ms, .max_ms = from->retry_max_ms};
    broker_format(&mqtt->broker, mqtt->status.broker, sizeof mqtt->status.broker);
    mqtt->status.keeps = true;
}

bool mqtt_open(uv_loop_t *loop, const struct mqtt_settings *settings,
               const struct mqtt_events *events, void *ctx, struct mqtt **ret_mqtt, struct err *err)
{
    struct broker_list brokers;
    if (!mqtt_check(settings, err) || !brokers_parse(settings->brokers, &brokers, err))
        return false;
    struct mqtt *mqtt = calloc(1, sizeof *mqtt);
    if (mqtt == NULL || mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
        free(mqtt);
        return err_set(err, ERR_NO_MEMORY, "no memory for MQTT");
    }
    mqtt->loop = loop;
    mqtt->broker = brokers.brokers[0];
    mqtt->events = *events;
    mqtt->ctx = ctx;
    copy_settings(mqtt, settings);
    (void)uv_timer_init(loop, &mqtt->timer);
    (void)uv_timer_init(loop, &mqtt->tick);
    mqtt->open_timers = 2;
    mqtt->timer.data = mqtt->tick.data = mqtt;
    *ret_mqtt = mqtt;
    return true;
}

void mqtt_start(struct mqtt *mqtt)
{
    if (mqtt->status.state == MQTT_STOPPED && !mqtt->closing)
        attempt(mqtt);
}

void mqtt_stop(struct mqtt *mqtt)
{
    mqtt->ending = mqtt->silent = true;
    if (!mqtt->in_library)
        end_session(mqtt);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct mqtt *mqtt = handle->data;
    if (--mqtt->open_timers == 0) {
        mosquitto_lib_cleanup();
        free(mqtt);
    }
}

void mqtt_close(struct mqtt *mqtt)
{
    if (mqtt == NULL || mqtt->closing)
        return;
    mqtt->closing = true;
    mqtt_stop(mqtt);
    uv_close((uv_handle_t *)&mqtt->timer, on_timer_closed);
    uv_close((uv_handle_t *)&mqtt->tick, on_timer_closed);
}

const struct mqtt_status *mqtt_status(const struct mqtt *mqtt)
{
    return &mqtt->status;
}

struct traffic mqtt_traffic(const struct mqtt *mqtt)
{
    struct traffic traffic = mqtt->traffic;
    if (mqtt->mosq != NULL)
        traffic_count_socket(mosquitto_socket(mqtt->mosq), &traffic);
    return traffic;
}

static bool has_session(const struct mqtt *mqtt, struct err *err)
{
    return (mqtt->status.state == MQTT_CONNECTED && !mqtt->ending) ||
           err_set(err, ERR_UNAVAILABLE, "no session with the broker");
}

static bool said(struct mqtt *mqtt, int rc, struct err *err)
{
    if (rc == MOSQ_ERR_SUCCESS) {
        if (!mqtt->in_library)
            settle(mqtt, rc);
        return true;
    }
    will_end(mqtt, mosquitto_strerror(rc)); /* at the next tick */
    return err_set(err, ERR_UNAVAILABLE, "the connection is lost: %s", mosquitto_strerror(rc));
}

bool mqtt_publish(struct mqtt *mqtt, uint64_t token, const char *topic, struct bytes payload,
                  bool retain, struct err *err)
{
    int mid = 0;
    if (!has_session(mqtt, err))
        return false;
    if (mqtt->inflight == mqtt->settings.max_inflight)
        return err_set(err, ERR_FULL, "%zu publishes wait for the broker", mqtt->inflight);
    int rc = mosquitto_publish_v5(mqtt->mosq, &mid, topic, (int)payload.length, payload.data, 1,
                                  retain, NULL);
    if (rc == MOSQ_ERR_SUCCESS) {
        mqtt->traffic.up.payload += payload.length;
        mqtt->window[mqtt->inflight++] = (struct publish){.token = token, .mid = mid};
    }
    return said(mqtt, rc, err);
}

static bool change(struct mqtt *mqtt, const char *const *filters, size_t count, bool wanted,
                   struct err *err)
{
    if (!has_session(mqtt, err))
        return false;
    for (size_t at = 0; at < count; at += PACKET_FILTERS) {
        char *const *list = (char *const *)(uintptr_t)(filters + at);
        int few = (int)(count - at < PACKET_FILTERS ? count - at : PACKET_FILTERS);
        int rc = wanted ? mosquitto_subscribe_multiple(mqtt->mosq, NULL, few, list, 1, 0, NULL)
                        : mosquitto_unsubscribe_multiple(mqtt->mosq, NULL, few, list, NULL);
        if (!said(mqtt, rc, err))
            return false;
    }
    return true;
}

bool mqtt_subscribe(struct mqtt *mqtt, const char *const *filters, size_t count, struct err *err)
{
    return change(mqtt, filters, count, true, err);
}

bool mqtt_unsubscribe(struct mqtt *mqtt, const char *const *filters, size_t count, struct err *err)
{
    return change(mqtt, filters, count, false, err);
}

void mqtt_pause(struct mqtt *mqtt, bool paused)
{
    mqtt->paused = paused;
    if (mqtt->poll != NULL && !mqtt->in_library)
        settle(mqtt, MOSQ_ERR_SUCCESS);
}

void mqtt_time(struct mqtt *mqtt, const struct tls_time *time)
{
    (void)mqtt, (void)time; /* there are no certificates to judge */
}
