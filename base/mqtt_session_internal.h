/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MQTT_SESSION_INTERNAL_H
#define BASE_MQTT_SESSION_INTERNAL_H

#include "base/mqtt_alive.h"
#include "base/mqtt_guard.h"
#include "base/mqtt_session.h"
#include "base/tls.h"

#include <mosquitto.h>

/* What mqtt_session.c, which drives a session, mqtt_session_open.c, which makes it, and
 * mqtt_session_say.c, which writes to it, share. */

enum {
    PACKET_OVERHEAD_BYTES = 64 * 1024, /* topic, properties, TLS records and handshake */
    TURN_PACKETS = 32,                 /* read in one turn of the loop, where they are there */
    PACKET_FILTERS = 8,                /* in one SUBSCRIBE; some hosted brokers take no more */
};

struct publish {
    uint64_t token;
    int mid;
};

struct mqtt_session {
    struct mqtt_session_settings settings;
    const struct mqtt_session_events *events;
    void *ctx;
    uv_loop_t *loop;
    struct tls *tls;
    struct mosquitto *mosq;
    uv_poll_t poll;
    uv_timer_t held; /* until it fires nothing leaves by itself: see mqtt_session_hold */
    bool corked;
    struct traffic traffic; /* payload; the layers below count for themselves */
    int fd; /* a duplicate: libmosquitto closes its own when it likes, libuv must not see that */
    bool in_library, closed, paused;
    bool answered, accepted; /* a CONNACK came; and it was a yes */
    enum mqtt_keeping keeping;
    struct mqtt_guard guard;
    struct mqtt_alive alive;
    unsigned unread; /* packets that came while the broker did not take what we have to say */
    int socket_errno;
    bool ending; /* with `end` and `why`, as soon as libmosquitto has returned */
    enum mqtt_end end;
    struct err why;
    char library_error[160];
    struct publish window[MQTT_MAX_INFLIGHT];
    size_t inflight, window_size;
};

/* The session is to end; gives where to say why, or NULL if a reason is there: the first counts. */
struct err *mqtt_session_ending(struct mqtt_session *session, enum mqtt_end end);
bool mqtt_session_deaf(const struct mqtt_session *session);
/* What is said from now until the loop turns again, or for `wait_ms` if nothing but answers is
 * said, leaves together. */
void mqtt_session_hold(struct mqtt_session *session, int64_t wait_ms);
void mqtt_session_listen(struct mqtt_session *session); /* to libmosquitto's callbacks */
void mqtt_session_allow(struct mqtt_session *session);  /* the broker one packet */
void mqtt_session_watch(struct mqtt_session *session);  /* the socket */
/* `rc` is libmosquitto's; sets `why`. */
void mqtt_session_describe_end(struct mqtt_session *session, int rc);
void mqtt_session_destroy(struct mqtt_session *session);

#endif
