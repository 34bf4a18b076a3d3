/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mqtt_session_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UNREAD_MAX = 1024 };

struct err *mqtt_session_ending(struct mqtt_session *session, enum mqtt_end end)
{
    if (session->ending) {
        return NULL;
    }
    session->ending = true;
    session->end = end;
    return &session->why;
}

void mqtt_session_allow(struct mqtt_session *session)
{
    size_t max = session->settings.mqtt->max_message_bytes;

    tls_allow(session->tls, max + max / 8 + PACKET_OVERHEAD_BYTES);
}

bool mqtt_session_deaf(const struct mqtt_session *session)
{
    return session->closed || session->ending;
}

static int64_t now_ms(const struct mqtt_session *session)
{
    return (int64_t)uv_now(session->loop);
}

/* ---- what libmosquitto calls ---- */

static void read_keeping(struct mqtt_session *session, const mosquitto_property *properties)
{
    uint8_t available;

    session->keeping = session->settings.keeping;
    if (session->settings.v311 || session->settings.mqtt->plain) {
        return;
    }
    if (mosquitto_property_read_byte(properties, MQTT_PROP_RETAIN_AVAILABLE, &available, false) !=
        NULL) {
        session->keeping = available != 0 ? MQTT_KEEPS : MQTT_SAYS_IT_DOES_NOT;
    } else if (session->keeping == MQTT_SAYS_IT_DOES_NOT) {
        session->keeping = MQTT_KEEPS; /* it does not say so any more */
    }
}

static void on_connect(struct mosquitto *mosq, void *ctx, int code, int flags,
                       const mosquitto_property *properties)
{
    struct mqtt_session *session = ctx;
    uint16_t receive_maximum = 0;

    (void)mosq, (void)flags;
    session->answered = true;
    if (mqtt_session_deaf(session)) {
        return;
    }
    if (code != 0) {
        bool retain = !session->settings.v311 && code == MQTT_RC_RETAIN_NOT_SUPPORTED;
        bool version = code == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION ||
                       code == CONNACK_REFUSED_PROTOCOL_VERSION;
        bool v3_code = session->settings.v311 || code < 128;
        enum mqtt_end end = version ? MQTT_END_PROTOCOL : retain ? MQTT_END_RETAIN : MQTT_END_OTHER;
        (void)err_set(mqtt_session_ending(session, end), ERR_UNAVAILABLE,
                      "broker refused the session: %s (CONNACK %d)",
                      v3_code ? mosquitto_connack_string(code) : mosquitto_reason_string(code),
                      code);
        return;
    }
    if (mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &receive_maximum,
                                      false) != NULL &&
        receive_maximum > 0 && receive_maximum < session->window_size) {
        session->window_size = receive_maximum;
    }
    read_keeping(session, properties);
    session->accepted = true;
    mqtt_alive_begin(&session->alive, session->settings.mqtt->keepalive_ms, now_ms(session));
    mqtt_alive_packet(&session->alive, tls_counts(session->tls)->raw_down, now_ms(session));
    session->events->accepted(session->ctx);
}

/* Only an MQTT 5 DISCONNECT carries a reason >= 128; the rest is libmosquitto's own code. */
static void on_disconnect(struct mosquitto *mosq, void *ctx, int code,
                          const mosquitto_property *properties)
{
    struct mqtt_session *session = ctx;

    (void)mosq, (void)properties;
    if (code >= 128 && !mqtt_session_deaf(session)) {
        bool retain = code == MQTT_RC_RETAIN_NOT_SUPPORTED;
        (void)err_set(mqtt_session_ending(session, retain ? MQTT_END_RETAIN : MQTT_END_OTHER),
                      ERR_UNAVAILABLE, "broker ended the session: %s",
                      mosquitto_reason_string(code));
    }
}

static void on_message(struct mosquitto *mosq, void *ctx, const struct mosquitto_message *message)
{
    struct mqtt_session *session = ctx;
    size_t length = message->payloadlen > 0 ? (size_t)message->payloadlen : 0;

    (void)mosq;
    if (mqtt_session_deaf(session)) {
        return;
    }
    if (length > session->settings.mqtt->max_message_bytes) {
        (void)err_set(mqtt_session_ending(session, MQTT_END_OVERSIZED), ERR_UNAVAILABLE,
                      "broker sent a message of %zu bytes, limit %zu", length,
                      session->settings.mqtt->max_message_bytes);
        return;
    }
    session->traffic.down.payload += length;
    session->events->message(session->ctx, message->topic, bytes_of(message->payload, length),
                             message->retain);
}

static void on_publish(struct mosquitto *mosq, void *ctx, int mid, int code,
                       const mosquitto_property *properties)
{
    struct mqtt_session *session = ctx;

    (void)mosq, (void)properties;
    for (size_t i = 0; i < session->inflight; i++) {
        if (session->window[i].mid == mid) {
            uint64_t token = session->window[i].token;
            session->window[i] = session->window[--session->inflight];
            session->guard.pubacks--;
            if (!mqtt_session_deaf(session)) {
                session->events->puback(session->ctx, token, code < 128);
            }
            return;
        }
    }
}

static void on_subscribe(struct mosquitto *mosq, void *ctx, int mid, int count, const int *granted,
                         const mosquitto_property *properties)
{
    struct mqtt_session *session = ctx;

    (void)mosq, (void)mid, (void)properties;
    /* Said once for a packet, or a broker could fill a log. */
    for (int i = 0; i < count && !mqtt_session_deaf(session); i++) {
        if (granted[i] >= 128) {
            session->events->refused(session->ctx, mosquitto_reason_string(granted[i]));
            return;
        }
    }
}

/* Each packet resets what the broker may send. */
static void on_log(struct mosquitto *mosq, void *ctx, int level, const char *text)
{
    struct mqtt_session *session = ctx;
    bool packet;
    const char *why =
        mqtt_guard_line(&session->guard, text, session->settings.mqtt->client_id, &packet);

    (void)mosq;
    if (level == MOSQ_LOG_ERR && session->library_error[0] == '\0') {
        (void)snprintf(session->library_error, sizeof session->library_error, "%s", text);
    }
    if (packet) {
        session->unread++;
        mqtt_session_allow(session);
        mqtt_alive_packet(&session->alive, tls_counts(session->tls)->raw_down, now_ms(session));
    }
    if (mqtt_guard_is(text, session->settings.mqtt->client_id, " sending PINGREQ")) {
        mqtt_alive_ping(&session->alive, now_ms(session));
    } else if (mqtt_guard_is(text, session->settings.mqtt->client_id, " received PINGRESP")) {
        mqtt_alive_answer(&session->alive);
    }
    if (why != NULL) {
        (void)err_set(mqtt_session_ending(session, MQTT_END_VIOLATION), ERR_UNAVAILABLE, "%s", why);
        /* A record may hold thousands more of these: libmosquitto is to see no other. */
        tls_deafen(mosquitto_ssl_get(session->mosq));
    }
}

void mqtt_session_listen(struct mqtt_session *session)
{
    struct mosquitto *mosq = session->mosq;

    mosquitto_connect_v5_callback_set(mosq, on_connect);
    mosquitto_disconnect_v5_callback_set(mosq, on_disconnect);
    mosquitto_message_callback_set(mosq, on_message);
    mosquitto_publish_v5_callback_set(mosq, on_publish);
    mosquitto_subscribe_v5_callback_set(mosq, on_subscribe);
    mosquitto_log_callback_set(mosq, on_log);
}

/* ---- how it ended ---- */

void mqtt_session_describe_end(struct mqtt_session *session, int rc)
{
    bool established = tls_established(session->tls);
    const char *tls_why = tls_reason(session->tls);

    if (tls_overrun(session->tls)) {
        (void)err_set(mqtt_session_ending(session, MQTT_END_OVERSIZED), ERR_UNAVAILABLE,
                      "broker sent a message longer than %zu bytes",
                      session->settings.mqtt->max_message_bytes);
    } else if (tls_why != NULL) {
        (void)err_set(mqtt_session_ending(session, MQTT_END_OTHER), ERR_UNAVAILABLE, "TLS: %s",
                      tls_why);
    } else if (session->socket_errno != 0) {
        (void)err_set(mqtt_session_ending(session, established ? MQTT_END_OTHER : MQTT_END_TCP),
                      ERR_UNAVAILABLE, "TCP: %s", strerror(session->socket_errno));
    } else if (!established) {
        /* "OpenSSL Error[0]: error:0A00010B:SSL routines::wrong version number" */
        const char *text = strrchr(session->library_error, ':');
        (void)err_set(mqtt_session_ending(session, MQTT_END_OTHER), ERR_UNAVAILABLE,
                      "TLS handshake failed: %s", text != NULL ? text + 1 : "connection closed");
    } else if (!session->answered && rc == MOSQ_ERR_PROTOCOL) {
        (void)err_set(mqtt_session_ending(session, MQTT_END_PROTOCOL), ERR_UNAVAILABLE,
                      "broker sent something else instead of a CONNACK");
    } else if (!session->answered) {
        (void)err_set(mqtt_session_ending(session, MQTT_END_PROTOCOL), ERR_UNAVAILABLE,
                      "broker closed the connection instead of a CONNACK");
    } else if (rc == MOSQ_ERR_CONN_LOST || rc == MOSQ_ERR_ERRNO || rc == MOSQ_ERR_NO_CONN) {
        (void)err_set(mqtt_session_ending(session, MQTT_END_OTHER), ERR_UNAVAILABLE,
                      "broker closed the connection");
    } else {
        (void)err_set(mqtt_session_ending(session, MQTT_END_VIOLATION), ERR_UNAVAILABLE,
                      "broker broke the protocol: %s", mosquitto_strerror(rc));
    }
}

static void on_held_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct mqtt_session *session = handle->data;

    uv_close((uv_handle_t *)&session->held, on_held_closed);
}

void mqtt_session_traffic(const struct mqtt_session *session, struct traffic *ret_traffic)
{
    *ret_traffic = session->traffic;
    if (session->tls != NULL) {
        const struct tls_counts *counts = tls_counts(session->tls);
        ret_traffic->up.mqtt = counts->plain_up;
        ret_traffic->down.mqtt = counts->plain_down;
        ret_traffic->up.tls = counts->raw_up;
        ret_traffic->down.tls = counts->raw_down;
    }
    if (session->fd >= 0) {
        traffic_count_socket(session->fd, ret_traffic);
    }
}

uint64_t mqtt_session_tls_bytes(const struct mqtt_session *session)
{
    const struct tls_counts *counts = tls_counts(session->tls);

    return counts->raw_up + counts->raw_down;
}

bool mqtt_session_resumed(const struct mqtt_session *session)
{
    return tls_resumed(session->tls);
}

enum mqtt_keeping mqtt_session_keeping(const struct mqtt_session *session)
{
    return session->keeping;
}

/* The connection ends here, with a close_notify where there is room for it and a FIN, so that both
 * are counted. What the peer still says to that is not. */
static void hang_up(struct mqtt_session *session)
{
    struct traffic traffic;

    if (session->mosq == NULL) {
        return;
    }
    /* The handle first: its SSL object refers to the context that `tls` owns. */
    mosquitto_destroy(session->mosq);
    mosquitto_lib_cleanup();
    session->mosq = NULL;
    if (session->fd >= 0) {
        (void)shutdown(session->fd, SHUT_WR);
    }
    mqtt_session_traffic(session, &traffic);
    traffic_add(session->settings.ended, &traffic);
    if (tls_resumed(session->tls) && !session->accepted) {
        /* A broker that resumes and then does not know us any more: the next time in full. */
        tls_kept_disappoint(session->settings.kept, session->answered);
    }
}

void mqtt_session_destroy(struct mqtt_session *session)
{
    hang_up(session);
    tls_close(session->tls);
    if (session->fd >= 0) {
        (void)uv_timer_stop(&session->held);
        uv_close((uv_handle_t *)&session->poll, on_poll_closed);
        close(session->fd);
    } else {
        free(session);
    }
}

void mqtt_session_close(struct mqtt_session *session)
{
    if (session == NULL || session->closed) {
        return;
    }
    session->closed = true;
    if (!session->in_library) {
        mqtt_session_destroy(session);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events);

void mqtt_session_watch(struct mqtt_session *session)
{
    const void *ssl = mosquitto_ssl_get(session->mosq);
    bool write =
        tls_established(session->tls) ? mosquitto_want_write(session->mosq) : tls_wants_write(ssl);

    /* An answer to each packet may wait in memory. A broker that reads none of them is not read
     * either; if that is for ever, no ping of ours is answered. */
    session->unread = write ? session->unread : 0;
    int readable = session->unread > UNREAD_MAX ? 0 : UV_READABLE;
    int events = (session->paused ? 0 : readable | UV_DISCONNECT) | (write ? UV_WRITABLE : 0);

    if (events == 0) {
        (void)uv_poll_stop(&session->poll);
    } else {
        (void)uv_poll_start(&session->poll, events, on_poll);
    }
}

/* After each call into libmosquitto: carry out what its callbacks asked for. */
static void settle(struct mqtt_session *session, int rc)
{
    if (session->closed) {
        mqtt_session_destroy(session);
        return;
    }
    const char *why = mqtt_guard_settle(&session->guard);
    if (why != NULL) {
        (void)err_set(mqtt_session_ending(session, MQTT_END_VIOLATION), ERR_UNAVAILABLE, "%s", why);
    }
    if (rc != MOSQ_ERR_SUCCESS) {
        mqtt_session_describe_end(session, rc);
    }
    if (!session->ending) {
        mqtt_session_watch(session);
        return;
    }
    session->closed = true;
    hang_up(session);
    session->events->ended(session->ctx, session->end, session->why.text);
    mqtt_session_destroy(session);
}

/* ---- driving ---- */

static int take_socket_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

static bool nothing_unread(int fd)
{
    int unread = 0;

    return ioctl(fd, FIONREAD, &unread) != 0 || unread == 0;
}

/* libmosquitto reads one packet a call, and may stop at an old errno with bytes left that poll(2)
 * cannot see. What has arrived together is taken in one turn of the loop, so that whoever commits
 * at its end commits it together. */
static int read_packets(struct mqtt_session *session)
{
    int rc, count = 0;
    bool more;

    do {
        rc = mosquitto_loop_read(session->mosq, 1);
        if (rc != MOSQ_ERR_SUCCESS || mqtt_session_deaf(session) || session->paused) {
            break;
        }
        count++;
        more = tls_has_pending(mosquitto_ssl_get(session->mosq)) ||
               (count < TURN_PACKETS && !nothing_unread(session->fd));
    } while (more);
    return rc;
}

static void service(struct mqtt_session *session, int events)
{
    int rc = MOSQ_ERR_SUCCESS;
    /* libmosquitto takes a dead socket in the handshake for "try again" and would spin. */
    int error = take_socket_error(session->fd);

    /* What is written on from before is no answer. */
    mqtt_session_hold(session,
                      (events & UV_WRITABLE) != 0 ? 0 : session->settings.mqtt->answers_wait_ms);
    session->in_library = true;
    session->socket_errno = error;
    if ((events & (UV_READABLE | UV_DISCONNECT)) != 0 || error != 0 ||
        !tls_established(session->tls)) {
        /* On an error too: a TLS alert may be waiting. And only reading drives the handshake,
         * which waits for room to write while TCP is still connecting. */
        rc = read_packets(session);
    }
    if (rc == MOSQ_ERR_SUCCESS && !mqtt_session_deaf(session) && (events & UV_WRITABLE) != 0) {
        rc = mosquitto_loop_write(session->mosq, 1);
    }
    if (rc == MOSQ_ERR_SUCCESS && !mqtt_session_deaf(session) &&
        (error != 0 || ((events & UV_DISCONNECT) != 0 && nothing_unread(session->fd)))) {
        rc = MOSQ_ERR_CONN_LOST;
    }
    session->in_library = false;
    settle(session, rc);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    /* A negative status is libuv's word for POLLERR: the socket itself says why. */
    service(poll->data, status < 0 ? UV_READABLE | UV_DISCONNECT : events);
}

/* libmosquitto waits a whole keepalive for the answer to its ping, and takes a packet that is slow
 * to come for none. So it is not asked while a ping is out. */
static int look_alive(struct mqtt_session *session)
{
    const struct mqtt_settings *mqtt = session->settings.mqtt;

    switch (mqtt_alive_look(&session->alive, tls_counts(session->tls)->raw_down, now_ms(session))) {
    case MQTT_LIFE_GOOD:
        return mosquitto_loop_misc(session->mosq);
    case MQTT_LIFE_BUSY:
        return MOSQ_ERR_SUCCESS;
    case MQTT_LIFE_STIR: /* there is no call for a ping; any packet keeps a session (MQTT 3.1.2.10)
                          */
        session->guard.unsubscribes++;
        return mosquitto_unsubscribe(session->mosq, NULL, mqtt->client_id);
    case MQTT_LIFE_DEAD:
        (void)err_set(mqtt_session_ending(session, mqtt_alive_in_packet(&session->alive)
                                                       ? MQTT_END_STUCK
                                                       : MQTT_END_OTHER),
                      ERR_UNAVAILABLE, "no answer to a ping within %lld s",
                      (long long)mqtt->keepalive_ms / 2000);
        return MOSQ_ERR_SUCCESS;
    case MQTT_LIFE_SLOW:
        (void)err_set(mqtt_session_ending(session, MQTT_END_STUCK), ERR_UNAVAILABLE,
                      "broker sends a message at less than %d bytes a second",
                      MQTT_ALIVE_BYTES_PER_S);
        return MOSQ_ERR_SUCCESS;
    }
    return MOSQ_ERR_SUCCESS;
}

void mqtt_session_tick(struct mqtt_session *session)
{
    mqtt_session_hold(session, 0);
    session->in_library = true;
    int rc = session->accepted ? look_alive(session) : MOSQ_ERR_SUCCESS;
    session->in_library = false;
    settle(session, rc);
}

void mqtt_session_abort(struct mqtt_session *session, const char *why)
{
    (void)err_set(mqtt_session_ending(session, MQTT_END_OTHER), ERR_UNAVAILABLE, "%s", why);
    if (!session->in_library) {
        settle(session, MOSQ_ERR_SUCCESS);
    }
}

void mqtt_session_pause(struct mqtt_session *session, bool paused)
{
    if (session->paused == paused) {
        return;
    }
    session->paused = paused;
    if (!session->in_library && !session->closed) {
        if (!paused && tls_has_pending(mosquitto_ssl_get(session->mosq))) {
            service(session, UV_READABLE);
        } else {
            mqtt_session_watch(session);
        }
    }
}
