/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MQTT_SESSION_H
#define BASE_MQTT_SESSION_H

#include "base/brokers.h"
#include "base/mqtt.h"
#include "base/tls_kept.h"

/*
 * One libmosquitto handle: one TCP connection to one address, one TLS session, one MQTT session.
 * It is never reused: libmosquitto keeps messages across its own reconnects, and the spool is the
 * only queue we want. mqtt.c decides when and where to.
 */
struct mqtt_session;

enum mqtt_end {
    MQTT_END_TCP,      /* another address of the same broker may do */
    MQTT_END_PROTOCOL, /* no answer to CONNECT, or "unsupported version": 3.1.1 may do */
    MQTT_END_OVERSIZED,
    MQTT_END_STUCK, /* in the middle of a message, which came too slowly or no further */
    MQTT_END_VIOLATION,
    MQTT_END_RETAIN, /* the broker keeps no messages, and was asked to */
    MQTT_END_OTHER,
};

/* Whether a broker keeps retained messages. MQTT 5 lets it say so in each CONNACK; one that has
 * only refused who asked for it is not asked again. */
enum mqtt_keeping { MQTT_KEEPS, MQTT_SAYS_IT_DOES_NOT, MQTT_KEEPS_NOTHING };

struct mqtt_session_settings {
    const struct mqtt_settings *mqtt; /* defaults filled in; must outlive the session */
    const struct broker *broker;      /* must outlive the session */
    const char *address;              /* numeric; what is connected to */
    bool v311;
    struct bytes will;         /* payload; copied */
    enum mqtt_keeping keeping; /* as was known before */
    struct tls_judge judge;    /* of certificates */
    struct tls_kept *kept;     /* of this broker; outlives the session */
    struct traffic *ended;     /* gets what the session has cost once it is over; outlives it */
};

struct mqtt_session_events { /* none may be NULL */
    void (*accepted)(void *ctx);
    void (*message)(void *ctx, const char *topic, struct bytes payload, bool kept);
    void (*puback)(void *ctx, uint64_t token, bool accepted);
    void (*refused)(void *ctx, const char *why);
    /* Last call; the session is closed after it. `why` does not name the broker. */
    void (*ended)(void *ctx, enum mqtt_end end, const char *why);
};

/* ERR_UNAVAILABLE: TCP failed, another address of the same broker may do. */
bool mqtt_session_open(uv_loop_t *loop, const struct mqtt_session_settings *settings,
                       const struct mqtt_session_events *events, void *ctx,
                       struct mqtt_session **ret_session, struct err *err) MUSTER_CHECK;
/* No event follows. May be called from an event. NULL is fine. */
void mqtt_session_close(struct mqtt_session *session);
/* To be called every few seconds: pings, and notices what failed outside the loop. */
void mqtt_session_tick(struct mqtt_session *session);
/* Breaks it off from outside: `ended` is called with `why`. */
void mqtt_session_abort(struct mqtt_session *session, const char *why);

bool mqtt_session_publish(struct mqtt_session *session, uint64_t token, const char *topic,
                          struct bytes payload, bool retain, struct err *err) MUSTER_CHECK;
bool mqtt_session_subscribe(struct mqtt_session *session, const char *const *filters, size_t count,
                            bool wanted, struct err *err) MUSTER_CHECK;
/* So far. */
void mqtt_session_traffic(const struct mqtt_session *session, struct traffic *ret_traffic);
/* Only what the socket has taken and given: cheap, and enough to see that something happened. */
uint64_t mqtt_session_tls_bytes(const struct mqtt_session *session);
bool mqtt_session_resumed(const struct mqtt_session *session);
/* Once it is accepted. */
enum mqtt_keeping mqtt_session_keeping(const struct mqtt_session *session);
void mqtt_session_pause(struct mqtt_session *session, bool paused);

#endif
