/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mqtt.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/mqtt_session.h"
#include "base/tls.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MIN_MS = 1000, TICK_MAX_MS = 10000 };

struct mqtt;

/* Outlives a stop: getaddrinfo cannot be interrupted. */
struct resolve {
    uv_getaddrinfo_t request;
    struct mqtt *mqtt; /* NULL: nobody waits for it any more */
};

struct mqtt {
    uv_loop_t *loop;
    struct mqtt_settings settings;
    char *strings; /* what `settings` points to */
    struct broker_list brokers;
    bool v311[BROKERS_MAX]; /* MQTT_AUTO: 5 was refused there */
    enum mqtt_keeping keeping[BROKERS_MAX];
    size_t next; /* of `brokers` */
    struct mqtt_events events;
    void *ctx;
    struct mqtt_status status;
    struct backoff backoff;
    bool stable, paused, closing;
    uv_timer_t timer; /* the one thing that is waited for: retry, connect limit, stable */
    uv_timer_t tick;
    int open_timers;
    struct resolve *resolve;
    struct addrinfo *addresses, *address; /* of the broker being tried; the next one to try */
    struct mqtt_session *session;
    struct tls_kept kept[BROKERS_MAX];
    struct tls_time time;    /* what is proved of it */
    struct traffic ended;    /* of sessions and attempts that are over */
    uint64_t told_tls_bytes; /* of the session, at the last event about traffic */
};

static void attempt(struct mqtt *mqtt);
static void try_addresses(struct mqtt *mqtt, const char *why);

static const struct broker *current(const struct mqtt *mqtt)
{
    return &mqtt->brokers.brokers[mqtt->next];
}

static void forget_attempt(struct mqtt *mqtt)
{
    if (mqtt->resolve != NULL) {
        mqtt->resolve->mqtt = NULL;
        (void)uv_cancel((uv_req_t *)&mqtt->resolve->request);
        mqtt->resolve = NULL;
    }
    if (mqtt->addresses != NULL) {
        uv_freeaddrinfo(mqtt->addresses);
        mqtt->addresses = mqtt->address = NULL;
    }
    mqtt_session_close(mqtt->session);
    mqtt->session = NULL;
    (void)uv_timer_stop(&mqtt->timer);
    (void)uv_timer_stop(&mqtt->tick);
}

static void on_retry(uv_timer_t *timer)
{
    attempt(timer->data);
}

static void wait_for_retry(struct mqtt *mqtt, int64_t delay_ms)
{
    mqtt->status.state = MQTT_WAITING;
    mqtt->status.next_attempt_ms = clock_wall_ms(&clock_real) + delay_ms;
    (void)uv_timer_start(&mqtt->timer, on_retry, (uint64_t)delay_ms, 0);
}

/* Every failed attempt and every lost session ends here. */
static void fail(struct mqtt *mqtt, const char *why, bool same_broker)
{
    forget_attempt(mqtt);
    mqtt->status.failures++;
    (void)snprintf(mqtt->status.reason, sizeof mqtt->status.reason, "%s: %s", mqtt->status.broker,
                   why);
    if (!same_broker) {
        mqtt->next = (mqtt->next + 1) % mqtt->brokers.count;
    }
    wait_for_retry(mqtt, backoff_next_ms(&mqtt->backoff, random_u64()));
    if (mqtt->events.disconnected != NULL) {
        mqtt->events.disconnected(mqtt->ctx, mqtt->status.reason, mqtt->status.next_attempt_ms);
    }
}

/* ---- the session's events ---- */

static void on_stable(uv_timer_t *timer)
{
    struct mqtt *mqtt = timer->data;

    mqtt->stable = true;
    backoff_reset(&mqtt->backoff);
    if (mqtt->events.stable != NULL) {
        mqtt->events.stable(mqtt->ctx);
    }
}

static void tell_traffic(struct mqtt *mqtt)
{
    uint64_t tls_bytes = mqtt_session_tls_bytes(mqtt->session);

    if (tls_bytes != mqtt->told_tls_bytes && mqtt->events.traffic != NULL) {
        mqtt->told_tls_bytes = tls_bytes;
        mqtt->events.traffic(mqtt->ctx);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct mqtt *mqtt = timer->data;

    tell_traffic(mqtt);
    mqtt_session_tick(mqtt->session);
}

/* Often enough for the keepalive, seldom enough to let a processor sleep. */
static uint64_t tick_ms(const struct mqtt *mqtt)
{
    int64_t eighth_ms = mqtt->settings.keepalive_ms / 8;

    if (eighth_ms < TICK_MIN_MS) {
        return TICK_MIN_MS;
    }
    return eighth_ms < TICK_MAX_MS ? (uint64_t)eighth_ms : TICK_MAX_MS;
}

static void on_accepted(void *ctx)
{
    struct mqtt *mqtt = ctx;

    mqtt->status.state = MQTT_CONNECTED;
    mqtt->keeping[mqtt->next] = mqtt_session_keeping(mqtt->session);
    mqtt->status.keeps = mqtt->keeping[mqtt->next] == MQTT_KEEPS;
    mqtt->status.reason[0] = '\0';
    mqtt->status.next_attempt_ms = 0;
    mqtt->status.sessions++;
    mqtt->status.resumed += mqtt_session_resumed(mqtt->session);
    (void)uv_timer_start(&mqtt->timer, on_stable, (uint64_t)mqtt->settings.stable_ms, 0);
    if (mqtt->events.connected != NULL) {
        mqtt->events.connected(mqtt->ctx, mqtt->status.broker);
    }
}

static void on_message(void *ctx, const char *topic, struct bytes payload, bool kept)
{
    struct mqtt *mqtt = ctx;

    if (mqtt->events.message != NULL) {
        mqtt->events.message(mqtt->ctx, topic, payload, kept);
    }
}

static void on_puback(void *ctx, uint64_t token, bool accepted)
{
    struct mqtt *mqtt = ctx;

    if (mqtt->events.puback != NULL) {
        mqtt->events.puback(mqtt->ctx, token, accepted);
    }
}

static void on_refused(void *ctx, const char *why)
{
    struct mqtt *mqtt = ctx;
    char text[MQTT_REASON_CHARS];

    if (mqtt->events.refused != NULL) {
        (void)snprintf(text, sizeof text, "%s: broker refused a subscription: %s",
                       mqtt->status.broker, why);
        mqtt->events.refused(mqtt->ctx, text);
    }
}

static void on_ended(void *ctx, enum mqtt_end end, const char *why)
{
    struct mqtt *mqtt = ctx;
    bool switched = false;

    mqtt->session = NULL; /* it closes itself */
    mqtt->status.oversized += end == MQTT_END_OVERSIZED;
    mqtt->status.stuck += end == MQTT_END_STUCK;
    mqtt->status.violations += end == MQTT_END_VIOLATION;
    if (end == MQTT_END_TCP) {
        try_addresses(mqtt, why);
        return;
    }
    if (end == MQTT_END_PROTOCOL && mqtt->settings.protocol == MQTT_AUTO) {
        /* 3.1.1 after 5, and back, so that a broker that was merely down is asked for 5 again. */
        mqtt->v311[mqtt->next] = !mqtt->v311[mqtt->next];
        switched = mqtt->v311[mqtt->next];
    }
    if (end == MQTT_END_RETAIN) {
        switched = mqtt->keeping[mqtt->next] == MQTT_KEEPS;
        mqtt->keeping[mqtt->next] = MQTT_KEEPS_NOTHING;
    }
    fail(mqtt, why, switched);
}

static const struct mqtt_session_events session_events = {
    .accepted = on_accepted,
    .message = on_message,
    .puback = on_puback,
    .refused = on_refused,
    .ended = on_ended,
};

/* ---- an attempt: resolve, then one address after the other ---- */

static void on_connect_limit(uv_timer_t *timer)
{
    struct mqtt *mqtt = timer->data;
    char why[80];

    (void)snprintf(why, sizeof why, "no session within %lld ms",
                   (long long)mqtt->settings.connect_limit_ms);
    fail(mqtt, why, false);
}

static bool open_session(struct mqtt *mqtt, const struct addrinfo *address, struct err *err)
{
    char text[NI_MAXHOST];
    int rc = getnameinfo(address->ai_addr, address->ai_addrlen, text, sizeof text, NULL, 0,
                         NI_NUMERICHOST);

    if (rc != 0) {
        return err_set(err, ERR_INVALID, "address: %s", gai_strerror(rc));
    }
    const struct mqtt_session_settings settings = {
        .mqtt = &mqtt->settings,
        .broker = current(mqtt),
        .address = text,
        .v311 = mqtt->settings.protocol == MQTT_311 || mqtt->v311[mqtt->next],
        .will =
            mqtt->events.will != NULL ? mqtt->events.will(mqtt->ctx) : mqtt->settings.will_payload,
        .keeping = mqtt->keeping[mqtt->next],
        .judge = tls_time_judge(&mqtt->time, mqtt->settings.time_floor_ms,
                                clock_wall_ms(&clock_real), clock_boot_ms(&clock_real)),
        .kept = &mqtt->kept[mqtt->next],
        .ended = &mqtt->ended,
    };
    if (!mqtt_session_open(mqtt->loop, &settings, &session_events, mqtt, &mqtt->session, err)) {
        return false;
    }
    mqtt->told_tls_bytes = 0;
    mqtt_session_pause(mqtt->session, mqtt->paused);
    return true;
}

static void try_addresses(struct mqtt *mqtt, const char *why)
{
    struct err err;

    (void)err_set(&err, ERR_UNAVAILABLE, "%s", why);
    while (mqtt->address != NULL && err.code == ERR_UNAVAILABLE) {
        const struct addrinfo *address = mqtt->address;
        mqtt->address = address->ai_next;
        if (open_session(mqtt, address, &err)) {
            uint64_t every_ms = tick_ms(mqtt);
            (void)uv_timer_start(&mqtt->tick, on_tick, every_ms, every_ms);
            return;
        }
    }
    fail(mqtt, err.text, false);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *result)
{
    struct resolve *resolve = request->data;
    struct mqtt *mqtt = resolve->mqtt;

    free(resolve);
    if (mqtt == NULL) {
        uv_freeaddrinfo(result);
        return;
    }
    mqtt->resolve = NULL;
    if (status != 0) {
        char why[160];
        uv_freeaddrinfo(result);
        (void)snprintf(why, sizeof why, "name not resolved: %s", uv_strerror(status));
        fail(mqtt, why, false);
        return;
    }
    mqtt->addresses = mqtt->address = result;
    try_addresses(mqtt, "no address");
}

static void attempt(struct mqtt *mqtt)
{
    const struct broker *broker = current(mqtt);
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (broker->numeric ? AI_NUMERICHOST : 0),
    };
    struct resolve *resolve = calloc(1, sizeof *resolve);

    mqtt->status.state = MQTT_CONNECTING;
    mqtt->status.next_attempt_ms = 0;
    mqtt->stable = false;
    broker_format(broker, mqtt->status.broker, sizeof mqtt->status.broker);
    if (resolve == NULL) {
        fail(mqtt, "no memory", true);
        return;
    }
    resolve->mqtt = mqtt;
    resolve->request.data = resolve;
    int rc = uv_getaddrinfo(mqtt->loop, &resolve->request, on_resolved, broker->host, broker->port,
                            &hints);
    if (rc != 0) {
        free(resolve);
        fail(mqtt, uv_strerror(rc), false);
        return;
    }
    mqtt->resolve = resolve;
    (void)uv_timer_start(&mqtt->timer, on_connect_limit, (uint64_t)mqtt->settings.connect_limit_ms,
                         0);
}

/* ---- settings ---- */

static void fill_defaults(struct mqtt_settings *settings)
{
    settings->keepalive_ms = settings->keepalive_ms > 0 ? settings->keepalive_ms : 300000;
    settings->max_inflight =
        settings->max_inflight > 0 ? settings->max_inflight : MQTT_MAX_INFLIGHT;
    settings->max_message_bytes =
        settings->max_message_bytes > 0 ? settings->max_message_bytes : 1024 * 1024;
    settings->retry_first_ms = settings->retry_first_ms > 0 ? settings->retry_first_ms : 1000;
    settings->retry_max_ms = settings->retry_max_ms > 0 ? settings->retry_max_ms : 300000;
    settings->stable_ms = settings->stable_ms > 0 ? settings->stable_ms : 30000;
    settings->connect_limit_ms =
        settings->connect_limit_ms > 0 ? settings->connect_limit_ms : 30000;
}

static bool check_settings(const struct mqtt_settings *settings, struct broker_list *ret_brokers,
                           struct err *err)
{
    if (!brokers_parse(settings->brokers, ret_brokers, err)) {
        return false;
    }
    if (settings->client_id == NULL || settings->client_id[0] == '\0') {
        return err_set(err, ERR_INVALID, "the MQTT client id is empty");
    }
    if (settings->max_inflight > MQTT_MAX_INFLIGHT) {
        return err_set(err, ERR_INVALID, "max_inflight is %u, at most %d", settings->max_inflight,
                       MQTT_MAX_INFLIGHT);
    }
    if (settings->keepalive_ms != 0 &&
        (settings->keepalive_ms < 5000 || settings->keepalive_ms > 65535000)) {
        return err_set(err, ERR_INVALID, "keepalive is outside 5 s to 65535 s");
    }
    return true;
}

bool mqtt_check(const struct mqtt_settings *settings, struct err *err)
{
    const struct tls_settings files = {
        .ca_path = settings->ca_path,
        .certificate_path = settings->certificate_path,
        .key_path = settings->key_path,
    };
    struct broker_list brokers;
    struct tls *tls;

    if (!check_settings(settings, &brokers, err) ||
        !tls_open(&files, brokers.brokers[0].host, brokers.brokers[0].numeric, &tls, err)) {
        return false;
    }
    tls_close(tls);
    return true;
}

static size_t text_bytes(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static const void *keep(char **at, const void *data, size_t length)
{
    if (length == 0) {
        return NULL;
    }
    char *kept = *at;
    memcpy(kept, data, length);
    *at += length;
    return kept;
}

static bool copy_settings(struct mqtt *mqtt, const struct mqtt_settings *from)
{
    struct mqtt_settings *to = &mqtt->settings;
    size_t size = text_bytes(from->client_id) + text_bytes(from->ca_path) +
                  text_bytes(from->certificate_path) + text_bytes(from->key_path) +
                  text_bytes(from->will_topic) + from->will_payload.length;
    char *at = malloc(size);

    if (at == NULL) {
        return false;
    }
    mqtt->strings = at;
    *to = *from;
    to->brokers = NULL; /* parsed already */
    to->client_id = keep(&at, from->client_id, text_bytes(from->client_id));
    to->ca_path = keep(&at, from->ca_path, text_bytes(from->ca_path));
    to->certificate_path = keep(&at, from->certificate_path, text_bytes(from->certificate_path));
    to->key_path = keep(&at, from->key_path, text_bytes(from->key_path));
    to->will_topic = keep(&at, from->will_topic, text_bytes(from->will_topic));
    to->will_payload.data = keep(&at, from->will_payload.data, from->will_payload.length);
    fill_defaults(to);
    return true;
}

/* ---- the interface ---- */

bool mqtt_open(uv_loop_t *loop, const struct mqtt_settings *settings,
               const struct mqtt_events *events, void *ctx, struct mqtt **ret_mqtt, struct err *err)
{
    struct broker_list brokers;

    if (!check_settings(settings, &brokers, err)) {
        return false;
    }
    struct mqtt *mqtt = calloc(1, sizeof *mqtt);
    if (mqtt == NULL || !copy_settings(mqtt, settings)) {
        free(mqtt);
        return err_set(err, ERR_NO_MEMORY, "no memory for MQTT");
    }
    mqtt->loop = loop;
    mqtt->brokers = brokers;
    for (size_t i = 0; i < brokers.count; i++) {
        mqtt->keeping[i] = settings->plain ? MQTT_KEEPS_NOTHING : MQTT_KEEPS;
    }
    mqtt->events = *events;
    mqtt->ctx = ctx;
    mqtt->backoff = (struct backoff){.first_ms = mqtt->settings.retry_first_ms,
                                     .max_ms = mqtt->settings.retry_max_ms,
                                     .failures = mqtt->settings.failures_before};
    (void)uv_timer_init(loop, &mqtt->timer); /* cannot fail */
    (void)uv_timer_init(loop, &mqtt->tick);
    mqtt->timer.data = mqtt->tick.data = mqtt;
    mqtt->open_timers = 2;
    *ret_mqtt = mqtt;
    return true;
}

void mqtt_start(struct mqtt *mqtt)
{
    if (mqtt->status.state != MQTT_STOPPED || mqtt->closing) {
        return;
    }
    int64_t delay_ms =
        mqtt->backoff.failures == 0 ? 0 : backoff_next_ms(&mqtt->backoff, random_u64());
    wait_for_retry(mqtt, delay_ms);
}

void mqtt_stop(struct mqtt *mqtt)
{
    if (mqtt->status.state == MQTT_STOPPED) {
        return;
    }
    /* Starting and stopping in a circle must not hammer the broker either. */
    if (mqtt->session != NULL && !mqtt->stable) {
        (void)backoff_next_ms(&mqtt->backoff, 0);
    }
    forget_attempt(mqtt);
    mqtt->status.state = MQTT_STOPPED;
    mqtt->status.next_attempt_ms = 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct mqtt *mqtt = handle->data;

    if (--mqtt->open_timers == 0) {
        for (size_t i = 0; i < mqtt->brokers.count; i++) {
            tls_kept_forget(&mqtt->kept[i]);
        }
        free(mqtt->strings);
        free(mqtt);
    }
}

void mqtt_close(struct mqtt *mqtt)
{
    if (mqtt == NULL || mqtt->closing) {
        return;
    }
    mqtt_stop(mqtt);
    mqtt->closing = true;
    uv_close((uv_handle_t *)&mqtt->timer, on_timer_closed);
    uv_close((uv_handle_t *)&mqtt->tick, on_timer_closed);
}

const struct mqtt_status *mqtt_status(const struct mqtt *mqtt)
{
    return &mqtt->status;
}

struct traffic mqtt_traffic(const struct mqtt *mqtt)
{
    struct traffic total = {0};

    if (mqtt->session != NULL) {
        mqtt_session_traffic(mqtt->session, &total);
    }
    traffic_add(&total, &mqtt->ended);
    return total;
}

bool mqtt_publish(struct mqtt *mqtt, uint64_t token, const char *topic, struct bytes payload,
                  bool retain, struct err *err)
{
    if (mqtt->session == NULL) {
        return err_set(err, ERR_UNAVAILABLE, "no session with the broker");
    }
    return mqtt_session_publish(mqtt->session, token, topic, payload, retain, err);
}

static bool change_subscriptions(struct mqtt *mqtt, const char *const *filters, size_t count,
                                 bool wanted, struct err *err)
{
    if (mqtt->session == NULL) {
        return err_set(err, ERR_UNAVAILABLE, "no session with the broker");
    }
    return mqtt_session_subscribe(mqtt->session, filters, count, wanted, err);
}

bool mqtt_subscribe(struct mqtt *mqtt, const char *const *filters, size_t count, struct err *err)
{
    return change_subscriptions(mqtt, filters, count, true, err);
}

bool mqtt_unsubscribe(struct mqtt *mqtt, const char *const *filters, size_t count, struct err *err)
{
    return change_subscriptions(mqtt, filters, count, false, err);
}

void mqtt_time(struct mqtt *mqtt, const struct tls_time *time)
{
    mqtt->time = *time;
}

void mqtt_pause(struct mqtt *mqtt, bool paused)
{
    mqtt->paused = paused;
    if (mqtt->session != NULL) {
        mqtt_session_pause(mqtt->session, paused);
    }
}
