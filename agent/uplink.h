/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_UPLINK_H
#define AGENT_UPLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * When to send what: the window between spool and broker, as a pure state machine. It knows
 * nothing of sockets, databases or bytes; the caller asks for a plan, does it, and tells what
 * happened. PUBACKs only open the window, receipts alone move a stream forward: what was sent and
 * not receipted in time is sent again, with a wait that doubles and is jittered.
 */
enum {
    UPLINK_STREAMS = 32,       /* looked at together; the rest comes when these are drained */
    UPLINK_WINDOW = 4,         /* packets given to the link and not acknowledged by the broker */
    UPLINK_PACKET_STREAMS = 8, /* ranges in one packet */
    UPLINK_PACKET_RECORDS = 500,
    UPLINK_AHEAD_RECORDS = 8000, /* sent in one session beyond the newest receipt, per stream */
};

struct uplink_policy {
    int64_t linger_ms;
    int64_t resend_ms, resend_max_ms;
};

struct uplink_stream {
    uint64_t incarnation;
    int lane;
    uint64_t last_seq;
    uint64_t first_unsent; /* lowest seq without a receipt */
    uint64_t receipted_to; /* highest seq with one; 0: none */
};

struct uplink_cursor {
    uint64_t incarnation;
    int lane;
    uint64_t next_seq; /* next to send in this session */
    uint64_t low_seq;  /* lowest seq without a receipt when last looked at */
};

struct uplink {
    struct uplink_policy policy;
    bool connected;
    uint64_t next_token;
    uint64_t in_flight[UPLINK_WINDOW]; /* tokens, 0: free */
    struct uplink_cursor cursors[UPLINK_STREAMS];
    size_t cursor_count;
    int64_t linger_until_ms; /* 0: nothing waits */
    int64_t resend_at_ms;    /* 0: nothing outstanding */
    int64_t resend_wait_ms;
    uint64_t resends;
};

struct uplink_range {
    uint64_t incarnation;
    int lane;
    uint64_t from_seq;
    size_t max_records;
};

struct uplink_plan {
    uint64_t token;
    size_t range_count;
    struct uplink_range ranges[UPLINK_PACKET_STREAMS];
};

void uplink_init(struct uplink *uplink, const struct uplink_policy *policy);
/* A session begins: everything without a receipt is sent (again), at once. */
void uplink_connected(struct uplink *uplink);
void uplink_disconnected(struct uplink *uplink);
/* Something new was stored. `urgent` ends the linger. */
void uplink_stored(struct uplink *uplink, bool urgent, int64_t now_ms);
/* The broker took (or refused) a packet. A refused one is resent when its receipt is overdue. */
void uplink_puback(struct uplink *uplink, uint64_t token);

/* The next packet to send now. False: nothing to send now. */
bool uplink_next(const struct uplink *uplink, const struct uplink_stream *streams,
                 size_t stream_count, int64_t now_ms, struct uplink_plan *ret_plan);
/* The plan was carried out: of each range, records up to last_seq[i] were sent. `random` is 64
 * uniform bits. */
void uplink_sent(struct uplink *uplink, const struct uplink_plan *plan, const uint64_t *last_seq,
                 int64_t now_ms, uint64_t random);
/* Nothing of the range before `next_seq` can be sent: what lies behind it shall not wait for it. It
 * is tried again with the next resend or session. */
void uplink_skipped(struct uplink *uplink, const struct uplink_range *range, uint64_t next_seq);
/* Looks at the receipts. A stream whose low end has not moved in time is rewound to it. (A receipt
 * that only fills in beyond a hole does not count: the hole must still be sent again in time.) */
void uplink_tick(struct uplink *uplink, const struct uplink_stream *streams, size_t stream_count,
                 int64_t now_ms, uint64_t random);
/* When to tick and ask for a plan again, unless something happens before; INT64_MAX: never. */
int64_t uplink_deadline(const struct uplink *uplink, int64_t now_ms);

#endif
