/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mqtt_session_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    UNACKED_MIN_MS = 10000,
    UNSENT_BYTES = 64 * 1024,
};

static int set_options(struct mqtt_session *session)
{
    const struct mqtt_settings *mqtt = session->settings.mqtt;
    struct mosquitto *mosq = session->mosq;
    int version = session->settings.v311 ? MQTT_PROTOCOL_V311 : MQTT_PROTOCOL_V5;
    int rc = mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION, version);

    if (rc == 0) {
        rc = mosquitto_int_option(mosq, MOSQ_OPT_TCP_NODELAY, 1);
    }
    if (rc == 0) {
        rc = mosquitto_int_option(mosq, MOSQ_OPT_RECEIVE_MAXIMUM, MQTT_MAX_INFLIGHT);
    }
    if (rc == 0) {
        rc = mosquitto_max_inflight_messages_set(mosq, mqtt->max_inflight);
    }
    if (rc == 0) { /* else it would want certificate paths of its own, and change our context */
        rc = mosquitto_int_option(mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
    }
    if (rc == 0) {
        rc = mosquitto_void_option(mosq, MOSQ_OPT_SSL_CTX, tls_context(session->tls));
    }
    if (rc == 0 && mqtt->will_topic != NULL) {
        rc = mosquitto_will_set(mosq, mqtt->will_topic, (int)session->settings.will.length,
                                session->settings.will.data, 1,
                                session->settings.keeping == MQTT_KEEPS);
    }
    mqtt_session_listen(session);
    return rc;
}

/*
 * Only the blocking connect takes CONNECT properties, but it keeps them for the connects that
 * follow. Port -1 makes it return before it touches the network. Were that to change, the limit
 * would still hold: this only asks the broker to spare us.
 */
static void announce_packet_limit(struct mqtt_session *session)
{
    size_t limit = session->settings.mqtt->max_message_bytes + PACKET_OVERHEAD_BYTES / 16;
    mosquitto_property *properties = NULL;

    if (!session->settings.v311 &&
        mosquitto_property_add_int32(&properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, (uint32_t)limit) ==
            MOSQ_ERR_SUCCESS) {
        (void)mosquitto_connect_bind_v5(session->mosq, session->settings.address, -1, 60, NULL,
                                        properties);
    }
    mosquitto_property_free_all(&properties);
}

/* The kernel would keep megabytes for a peer that does not read, and try for 15 minutes to reach
 * one that does not even acknowledge. What is under way is not limited. */
static void set_tcp_limits(int fd, int64_t keepalive_ms)
{
    int unsent = UNSENT_BYTES;
    unsigned unacked_ms =
        keepalive_ms / 2 > UNACKED_MIN_MS ? (unsigned)(keepalive_ms / 2) : UNACKED_MIN_MS;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof unacked_ms);
}

static bool connect_socket(struct mqtt_session *session, struct err *err)
{
    int keepalive_s = (int)(session->settings.mqtt->keepalive_ms / 1000);
    int rc = mosquitto_connect_bind_async(session->mosq, session->settings.address,
                                          atoi(session->settings.broker->port), keepalive_s, NULL);
    int error = rc == MOSQ_ERR_ERRNO && errno != EPROTO ? errno : tls_socket_error(session->tls);

    if (error != 0) {
        if (error == ECONNREFUSED) {
            traffic_count_refusal(strchr(session->settings.address, ':') != NULL,
                                  &session->traffic);
        }
        return err_set(err, ERR_UNAVAILABLE, "TCP: %s", strerror(error));
    }
    if (rc != MOSQ_ERR_SUCCESS) { /* on a fast network the handshake can fail at once */
        mqtt_session_describe_end(session, rc);
        return err_set(err, ERR_REFUSED, "%s", session->why.text);
    }
    set_tcp_limits(mosquitto_socket(session->mosq), session->settings.mqtt->keepalive_ms);
    int fd = mosquitto_socket(session->mosq);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    session->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (session->fd < 0) {
        return err_errno(err, errno, "duplicating the socket");
    }
    return true;
}

bool mqtt_session_open(uv_loop_t *loop, const struct mqtt_session_settings *settings,
                       const struct mqtt_session_events *events, void *ctx,
                       struct mqtt_session **ret_session, struct err *err)
{
    struct mqtt_session *session = calloc(1, sizeof *session);
    const struct mqtt_settings *mqtt = settings->mqtt;
    const struct tls_settings tls = {
        .ca_path = mqtt->ca_path,
        .certificate_path = mqtt->certificate_path,
        .key_path = mqtt->key_path,
        .judge = settings->judge,
        .kept = settings->kept,
    };

    if (session == NULL || mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
        free(session);
        return err_set(err, ERR_NO_MEMORY, "no memory for an MQTT session");
    }
    session->settings = *settings;
    session->events = events;
    session->ctx = ctx;
    session->loop = loop;
    session->fd = -1;
    session->window_size = mqtt->max_inflight;
    if (!tls_open(&tls, settings->broker->host, settings->broker->numeric, &session->tls, err)) {
        goto fail;
    }
    mqtt_session_allow(session);
    session->mosq = mosquitto_new(mqtt->client_id, true, session);
    if (session->mosq == NULL || set_options(session) != MOSQ_ERR_SUCCESS) {
        (void)err_set(err, ERR_NO_MEMORY, "libmosquitto refused its settings");
        goto fail;
    }
    announce_packet_limit(session);
    if (!connect_socket(session, err)) {
        goto fail;
    }
    if (uv_poll_init(loop, &session->poll, session->fd) != 0) {
        close(session->fd);
        session->fd = -1;
        (void)err_set(err, ERR_IO, "the loop refused the socket");
        goto fail;
    }
    (void)uv_timer_init(loop, &session->held); /* cannot fail */
    session->poll.data = session->held.data = session;
    session->settings.address = NULL; /* the caller's; libmosquitto has its copy */
    mqtt_session_watch(session);
    *ret_session = session;
    return true;
fail:
    mqtt_session_destroy(session);
    return false;
}
