/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LINK_INTERNAL_H
#define AGENT_LINK_INTERNAL_H

/* The two sides of muster-link; for link.c (the agent's) and link_broker.c only. */

#include "agent/link.h"
#include "agent/link_wants.h"
#include "base/backoff.h"
#include "base/log.h"
#include "base/mqtt.h"
#include "base/stream.h"
#include "proto/arena.h"

enum { LINK_OWN_TOKEN = 0 }; /* of publishes that the agent did not ask for */

struct link {
    struct link_settings settings;
    uv_loop_t *loop;
    struct mqtt *mqtt;
    struct stream *agent; /* NULL: not connected, nor connecting */
    bool joined, closing, missing_logged;
    struct backoff join_backoff;
    uv_timer_t join_timer, drain_timer;
    struct arena arena;
    struct link_wants wants;
    uint64_t trust;       /* version of the root that is waited for; 0: of none */
    uint64_t start;       /* random, not 0: which of the links this is */
    struct log_gate gate; /* of lines that the broker can cause */
    uint64_t refused; /* frames of the agent and messages of the broker that were not passed on */
};

/* link_broker.c */
extern const struct mqtt_events link_mqtt_events;
void link_report_state(struct link *link, const char *reason);
void link_report_puback(struct link *link, uint64_t token, bool accepted);
/* Other blobs than before, subscribed to as needed. */
void link_want(struct link *link, const struct link_wants *wants);
/* The root after the one that the agent knows. */
void link_await_root(struct link *link, uint64_t version);

#endif
