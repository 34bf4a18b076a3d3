/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LIVENESS_H
#define AGENT_LIVENESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whether the agent gets on with its work, and what to do when it does not, as a pure state
 * machine: a process that turns its loop and moves nothing forward must not pass for healthy.
 *
 * What was sent is to be receipted, a hello to be welcomed. While that is owed over a connection
 * that stands and does not come, time runs; only progress sets it back, no reconnect does. After
 * `patience_ms` the hello is said and all is sent again, after twice that the link is made to begin
 * anew, after four times the agent gives up and is started again, if it has seen progress since its
 * start: a fleet that is silent is cured by no restart, nor is being offline, nor a full disk.
 * Those are told, not acted on.
 */
struct liveness {
    int64_t patience_ms;
    int64_t looked_ms;  /* 0: never */
    int64_t stalled_ms; /* so long something was owed without progress */
    int64_t next_ms;    /* of `stalled_ms`: when the next step is due */
    uint64_t progress;
    bool owed; /* when it was looked at last */
    bool ever; /* there has been progress since the start */
    unsigned steps;
};

struct liveness_sight {
    bool joined, connected; /* the link, and its session with the broker */
    bool welcomed;          /* in this session */
    bool outstanding;       /* something was sent, or is overdue to be, and has no receipt */
    uint64_t waiting;       /* records without receipt */
    uint64_t progress;      /* counts receipts that freed something */
    const char *fault;      /* why records cannot be stored; NULL: they can */
    const char *offline;    /* why not connected */
};

enum liveness_step {
    LIVENESS_GOES_ON,
    LIVENESS_SEND_AGAIN, /* with a hello before it */
    LIVENESS_RELINK,     /* the link begins anew */
    LIVENESS_GIVE_UP,    /* no more food for the watchdog: be started again */
};

void liveness_init(struct liveness *liveness, int64_t patience_ms);
/* Looks now; what is to be done is to be done once. */
enum liveness_step liveness_look(struct liveness *liveness, const struct liveness_sight *sight,
                                 int64_t now_ms);
/* Whether all is well, and the reason in words, for people. */
bool liveness_tell(const struct liveness *liveness, const struct liveness_sight *sight, char *why,
                   size_t size);

#endif
