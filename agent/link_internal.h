/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LINK_INTERNAL_H
#define AGENT_LINK_INTERNAL_H

/* The two sides of muster-link; for link.c (the agent's) and the link_*.c files only. */

#include "agent/content_hold.h"
#include "agent/link.h"
#include "agent/link_wants.h"
#include "base/backoff.h"
#include "base/log.h"
#include "base/mqtt.h"
#include "base/stream.h"
#include "proto/arena.h"
#include "proto/topics.h"

enum {
    LINK_OWN_TOKEN = 0,                     /* of publishes that the agent did not ask for */
    LINK_TOPICS = LIMIT_MANIFEST_ITEMS + 8, /* all that is subscribed to */
};

/* Subscribed to, or given up, together. */
struct link_topics {
    size_t count;
    char names[LINK_TOPICS][TOPIC_CHARS];
};

struct link {
    struct link_settings settings;
    uv_loop_t *loop;
    struct mqtt *mqtt;
    struct stream *agent; /* NULL: not connected, nor connecting */
    bool joined, closing, missing_logged;
    struct backoff join_backoff;
    uv_timer_t join_timer, drain_timer, content_timer, leave_timer;
    struct arena arena;
    struct link_wants wants;
    struct link_wants left; /* not wanted any more, and the broker does not know that yet */
    bool subscribed;        /* to them, in this session */
    struct content_hold hold;
    char hold_why[MQTT_REASON_CHARS];
    uint64_t broken;      /* sessions by a message without an end, when last looked at */
    uint64_t trust;       /* version of the root that is waited for; 0: of none */
    uint64_t start;       /* random, not 0: which of the links this is */
    uint64_t boot;        /* as in Online */
    int64_t began_ms;     /* of the newest attempt, time since boot */
    struct buf will;      /* of that attempt, packed */
    struct log_gate gate; /* of lines that the broker can cause */
    uint64_t refused; /* frames of the agent and messages of the broker that were not passed on */
};

/* link_broker.c */
extern const struct mqtt_events link_mqtt_events;
void link_report_state(struct link *link, const char *reason);
/* Before a link that is told to stop goes; the will that follows says nothing new. */
void link_say_goodbye(struct link *link);
void link_report_puback(struct link *link, uint64_t token, bool accepted);
/* The root after the one that the agent knows. */
void link_await_root(struct link *link, uint64_t version);
void link_subscribe(struct link *link, const struct link_topics *topics);
void link_unsubscribe(struct link *link, const struct link_topics *topics);

/* link_content.c */
/* Other blobs than before, subscribed to as needed. */
void link_want(struct link *link, const struct link_wants *wants);
/* A session begins: adds those that are to be subscribed to. */
void link_content_connected(struct link *link, struct link_topics *topics);
/* Tells the broker what is not wanted any more, if it is not told yet: to be called when something
 * is said anyway. */
void link_content_leave(struct link *link);
/* The session is over: was it what came for content? */
void link_content_disconnected(struct link *link, const char *reason);
/* A blob that was passed on. */
void link_content_came(struct link *link, const uint8_t blob[32], struct bytes content);
/* Wall time until which content is held back; 0: it is not. */
int64_t link_content_held_ms(const struct link *link);

#endif
