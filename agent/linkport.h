/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LINKPORT_H
#define AGENT_LINKPORT_H

#include "agent/peers.h"
#include "base/buf.h"
#include "base/traffic.h"

#include <uv.h>

/*
 * The agent's side of the link socket: one muster-link at a time, a new one replaces the old.
 * What it says is foreign all the same: bounded, checked, counted.
 */
struct linkport;

struct linkport_events {
    /* The session with the broker began or ended, or the link came or went. */
    void (*changed)(void *ctx);
    void (*puback)(void *ctx, uint64_t token, bool accepted);
    void (*message)(void *ctx, const char *topic, struct bytes payload);
};

struct linkport_state {
    bool joined, connected;
    bool keeps_nothing; /* the broker: no messages for who comes later */
    char broker[128];
    char reason[512]; /* why not connected */
    int64_t next_attempt_ms;
    uint32_t sessions; /* begun since the agent started */
    /* Counted by the link since its own start, which `link_start` names (0: it has not said). So
     * what was spent between two looks is the difference if link_start is the same, and all of the
     * newer count if it is not; that holds over restarts of either. */
    uint64_t link_start;
    struct traffic traffic;
    uint64_t link_sessions, link_resumed, link_failures;
    char failure[512];       /* the last of these; stays while connected */
    int64_t failed_ms;       /* wall time */
    uint64_t link_refused;   /* messages of the broker that the link did not pass on */
    char content_held[512];  /* why the link does not ask for content now; "": it does */
    int64_t content_held_ms; /* until then, wall time */
    uint64_t frames_refused; /* from the link, or from a user who may not be the link */
};

bool linkport_open(uv_loop_t *loop, const char *path, const struct peers *peers,
                   const struct linkport_events *events, void *ctx, struct linkport **ret_port,
                   struct err *err) MUSTER_CHECK;
/* Stops listening and lets the link go; free it when the loop has run out. */
void linkport_close(struct linkport *port);
void linkport_free(struct linkport *port);
const struct linkport_state *linkport_state(const struct linkport *port);

/* ERR_UNAVAILABLE without a session; ERR_FULL while the link does not read. */
bool linkport_publish(struct linkport *port, uint64_t token, const char *topic,
                      struct bytes payload, struct err *err) MUSTER_CHECK;
/* Lets the link go, which then comes again and begins a new session. */
void linkport_drop(struct linkport *port);
/* Replaces the set of blobs that the link is to fetch; said again when a link joins. */
void linkport_fetch(struct linkport *port, const uint8_t (*blobs)[32], const uint64_t *sizes,
                    size_t count);
/* The version of the trust root that is waited for; said again when a link joins. */
void linkport_trust(struct linkport *port, uint64_t version);
/* What is proved of the time; said again when a link joins. */
struct linkport_time {
    int64_t at_least_ms, boot_ms;
    bool exact;
};
void linkport_time(struct linkport *port, const struct linkport_time *time);

#endif
