/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MQTT_H
#define BASE_MQTT_H

#include "base/buf.h"
#include "base/tls_time.h"
#include "base/traffic.h"

#include <stdint.h>
#include <uv.h>

/*
 * One MQTT connection over mutual TLS on a libuv loop: QoS 1, clean start, no threads of its own.
 * Nothing waits here: while there is no session a publish is refused, and never more than
 * `max_inflight` are under way. What is said in one turn of the loop leaves together, in as few
 * TCP segments as it fits. It reconnects by itself, through the list of brokers, with full
 * jitter. Names are resolved by libuv's worker pool, so nothing here blocks the loop.
 * The program must ignore SIGPIPE.
 */
struct mqtt;

enum { MQTT_MAX_INFLIGHT = 16, MQTT_BROKER_CHARS = 272, MQTT_REASON_CHARS = 400 };

enum mqtt_protocol { MQTT_AUTO, MQTT_5, MQTT_311 }; /* auto: 5, and 3.1.1 where 5 is refused */

struct mqtt_settings {   /* copied, strings too; numbers that are 0 take the default in brackets */
    const char *brokers; /* "host:port, host:port"; IPv6 as "[::1]:8883" */
    const char *client_id;
    /* PEM, read again at every attempt. The broker's certificate must carry the host name or
     * address that `brokers` gives as a subjectAltName; there is no switch to leave that out. */
    const char *ca_path, *certificate_path, *key_path;
    enum mqtt_protocol protocol;
    int64_t keepalive_ms; /* at least 5 s [5 min] */
    const char
        *will_topic; /* NULL: no will; sent retained by the broker however the session ends */
    struct bytes will_payload;
    bool plain; /* ask no broker to keep a message; one that keeps none says so with MQTT 5 */
    unsigned max_inflight;    /* publishes without puback, at most MQTT_MAX_INFLIGHT [16] */
    size_t max_message_bytes; /* an inbound payload beyond ends the session [1 MiB] */
    int64_t time_floor_ms;    /* certificates are judged at this wall time if the clock is before */
    int64_t retry_first_ms, retry_max_ms; /* back-off before jitter [1 s, 5 min] */
    int64_t stable_ms; /* a session this old makes the next back-off start small [30 s] */
    unsigned
        failures_before; /* in a row, of an earlier process: the first attempt waits for them */
    int64_t connect_limit_ms; /* from the first packet to the CONNACK [30 s] */
    int64_t answers_wait_ms;  /* acknowledgements may wait for something that goes with them [0] */
};

struct mqtt_events { /* any may be NULL; all may call any function below */
    /* Subscriptions do not outlive a session: subscribe here. */
    void (*connected)(void *ctx, const char *broker);
    /* After a session and after each failed attempt. `reason` names host:port and why;
     * `next_attempt_ms` is wall time. Pubacks that did not come will not come. */
    void (*disconnected)(void *ctx, const char *reason, int64_t next_attempt_ms);
    /* `kept`: the broker had it before we subscribed, nobody knows for how long. */
    void (*message)(void *ctx, const char *topic, struct bytes payload, bool kept);
    /* accepted is false when the broker refused it (MQTT 5 reason >= 128); true says only that the
     * broker took it, not that anybody stored it. */
    void (*puback)(void *ctx, uint64_t token, bool accepted);
    /* The broker refused a subscription, or several that were asked for together; the session goes
     * on. */
    void (*refused)(void *ctx, const char *reason);
    /* An attempt begins: the payload of its will, instead of will_payload; copied. */
    struct bytes (*will)(void *ctx);
    /* This session is older than stable_ms. */
    void (*stable)(void *ctx);
    /* mqtt_traffic has grown. Comes with the timer that keeps a session alive, so it wakes nobody
     * up, and not more often than every second; never from an idle session. */
    void (*traffic)(void *ctx);
};

enum mqtt_state { MQTT_STOPPED, MQTT_WAITING, MQTT_CONNECTING, MQTT_CONNECTED };

struct mqtt_status {
    enum mqtt_state state;
    char broker[MQTT_BROKER_CHARS]; /* of the session or the last attempt: host:port */
    char reason[MQTT_REASON_CHARS]; /* of the last end; "" before and while connected */
    int64_t next_attempt_ms;        /* wall time, 0: none planned */
    bool keeps; /* as far as is known the broker of the session keeps retained messages */
    /* Counted since mqtt_open. */
    uint64_t sessions, failures; /* CONNACKs that accepted; attempts and sessions that ended */
    uint64_t resumed;            /* sessions that went on with an earlier TLS session */
    uint64_t oversized;          /* sessions ended by too long a message */
    uint64_t stuck;              /* sessions ended in the middle of a message that did not go on */
    uint64_t violations;         /* sessions ended by packets that MQTT or we do not allow */
};

/* Are settings and files usable? For a start-up check. */
bool mqtt_check(const struct mqtt_settings *settings, struct err *err) MUSTER_CHECK;

/* Ready, not yet connecting. ERR_INVALID names the wrong setting. */
bool mqtt_open(uv_loop_t *loop, const struct mqtt_settings *settings,
               const struct mqtt_events *events, void *ctx, struct mqtt **ret_mqtt,
               struct err *err) MUSTER_CHECK;
/* Connects at once, or when the back-off of earlier failures has passed. */
void mqtt_start(struct mqtt *mqtt);
/* Ends the session without a DISCONNECT, so that the will is sent. No event follows. */
void mqtt_stop(struct mqtt *mqtt);
/* Stops; memory is given back by the loop once its handles have closed. NULL is fine. */
void mqtt_close(struct mqtt *mqtt);

const struct mqtt_status *mqtt_status(const struct mqtt *mqtt);
/* What all sessions and attempts have cost since mqtt_open. */
struct traffic mqtt_traffic(const struct mqtt *mqtt);

/* ERR_UNAVAILABLE: no session; ERR_FULL: the window is full, a puback will open it. `token` comes
 * back in the puback event. A broker that keeps no messages passes on what is retained as it would
 * any other. */
bool mqtt_publish(struct mqtt *mqtt, uint64_t token, const char *topic, struct bytes payload,
                  bool retain, struct err *err) MUSTER_CHECK;
/* In as few packets as brokers take. */
bool mqtt_subscribe(struct mqtt *mqtt, const char *const *filters, size_t count,
                    struct err *err) MUSTER_CHECK;
bool mqtt_unsubscribe(struct mqtt *mqtt, const char *const *filters, size_t count,
                      struct err *err) MUSTER_CHECK;

/* Back pressure: while paused nothing is read from the broker; at most what one TLS record holds
 * still arrives. A pause longer than the keepalive ends the session. */
void mqtt_pause(struct mqtt *mqtt, bool paused);
/* What is proved of the time: later attempts judge certificates by it. */
void mqtt_time(struct mqtt *mqtt, const struct tls_time *time);

#endif
