/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link_internal.h"

#include "agent/link_restarts.h"
#include "base/clock.h"
#include "base/notify.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <stdlib.h>
#include <string.h>

enum {
    JOIN_FIRST_MS = 100,
    JOIN_MAX_MS = 5000,
    ANSWERS_WAIT_MS = 30, /* less than what TCP delays its own by */
};

static void join(struct link *link);

/* ---- from the agent ---- */

static bool take_publish(struct link *link, const Muster__LinkPublish *publish, struct err *err)
{
    struct topic topic;

    if (publish->token == LINK_OWN_TOKEN) {
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
    link_content_leave(link);
    if (!mqtt_publish(link->mqtt, publish->token, publish->topic, payload, false, err)) {
        /* Not an offence: the session may just have ended. The spool sends it again. */
        log_debug("publish %llu not sent: %s", (unsigned long long)publish->token, err->text);
        if (err->code != ERR_UNAVAILABLE) {
            link_report_puback(link, publish->token, false);
        }
    }
    return true;
}

static bool take_fetch(struct link *link, const Muster__LinkFetch *fetch, struct err *err)
{
    struct link_wants wants = {.count = 0};

    if (fetch->n_sizes != fetch->n_blobs) {
        return err_set(err, ERR_INVALID, "fetch: %zu blobs and the sizes of %zu", fetch->n_blobs,
                       fetch->n_sizes);
    }
    for (size_t i = 0; i < fetch->n_blobs; i++) {
        if (fetch->blobs[i].len != 32) {
            return err_set(err, ERR_INVALID, "fetch: a digest of %zu bytes", fetch->blobs[i].len);
        }
        if (!link_wants_add(&wants, fetch->blobs[i].data, fetch->sizes[i], err)) {
            return err_context(err, "fetch");
        }
    }
    link_want(link, &wants);
    link_await_root(link, fetch->trust);
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
                                                .max_elements = 2 * LIMIT_MANIFEST_ITEMS + 16};
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
    link->trust = 0;
    link->wants.count = 0; /* the agent says what it wants when it is joined */
    backoff_reset(&link->join_backoff);
    log_info("agent: joined at %s", link->settings.agent_socket);
    mqtt_start(link->mqtt);
    const struct mqtt_status *status = mqtt_status(link->mqtt);
    bool held = status->failures == 0 && link->settings.restarts > 0;
    link_report_state(link, status->reason[0] != '\0' ? status->reason
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
        .plain = !settings->retain,
        .max_inflight = (unsigned)settings->inflight,
        .max_message_bytes = LIMIT_BLOB_BYTES,
        .time_floor_ms = settings->time_floor_s * 1000,
        .retry_first_ms = settings->retry_first_ms,
        .retry_max_ms = settings->retry_max_ms,
        .stable_ms = settings->stable_ms,
        .failures_before = settings->restarts,
        .connect_limit_ms = settings->connect_limit_ms,
        .answers_wait_ms = ANSWERS_WAIT_MS,
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
    char will_topic[TOPIC_CHARS];
    struct link *link = calloc(1, sizeof *link);

    if (link == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the link");
    }
    topic_device(TOPIC_UP_ONLINE, settings->device, will_topic);
    struct mqtt_settings mqtt = mqtt_settings_of(settings, will_topic);
    if (!mqtt_check(&mqtt, err) ||
        !mqtt_open(loop, &mqtt, &link_mqtt_events, link, &link->mqtt, err)) {
        free(link);
        return false;
    }
    link->settings = *settings;
    link->start = random_u64() | 1;
    uint8_t boot_id[16];
    if (clock_boot_id(boot_id, NULL)) {
        memcpy(&link->boot, boot_id, sizeof link->boot);
    }
    link->loop = loop;
    link->join_backoff = (struct backoff){.first_ms = JOIN_FIRST_MS, .max_ms = JOIN_MAX_MS};
    link->arena.limit_bytes = (size_t)2 * LIMIT_LINK_FRAME_BYTES;
    (void)uv_timer_init(loop, &link->join_timer);
    (void)uv_timer_init(loop, &link->drain_timer);
    (void)uv_timer_init(loop, &link->content_timer);
    (void)uv_timer_init(loop, &link->leave_timer);
    link->join_timer.data = link->drain_timer.data = link;
    link->content_timer.data = link->leave_timer.data = link;
    link->hold.first_ms = settings->content_hold_ms;
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
    link_say_goodbye(link);
    mqtt_close(link->mqtt);
    link->mqtt = NULL;
    if (link->agent != NULL) {
        stream_close(link->agent);
    }
    uv_close((uv_handle_t *)&link->join_timer, NULL);
    uv_close((uv_handle_t *)&link->drain_timer, NULL);
    uv_close((uv_handle_t *)&link->content_timer, NULL);
    uv_close((uv_handle_t *)&link->leave_timer, NULL);
}

void link_free(struct link *link)
{
    if (link != NULL) {
        arena_done(&link->arena);
        buf_done(&link->will);
        free(link);
    }
}
