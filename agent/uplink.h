/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_UPLINK_H
#define AGENT_UPLINK_H

#include "agent/apart.h"
#include "agent/linger.h"

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
    UPLINK_REMEMBERED = 64,      /* packets of this session that can be refused */
    UPLINK_DIGEST_BYTES = 16,
};

struct uplink_policy {
    struct linger_policy linger;
    int64_t resend_ms, resend_max_ms; /* longer than the fleet takes its time with receipts */
    /* After a connect so long for the welcome, which says what need not be sent again. */
    int64_t welcome_ms;
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

/* What one packet held of a stream. */
struct uplink_part {
    uint64_t incarnation;
    int lane;
    uint64_t first, last;
    bool lost; /* the word that they are lost */
};

struct uplink_packet {
    uint8_t digest[UPLINK_DIGEST_BYTES]; /* by which a receipt refuses it */
    size_t part_count;                   /* 0: none */
    struct uplink_part parts[UPLINK_PACKET_STREAMS];
};

struct uplink {
    struct uplink_policy policy;
    bool connected;
    uint64_t next_token;
    uint64_t in_flight[UPLINK_WINDOW]; /* tokens, 0: free */
    struct uplink_cursor cursors[UPLINK_STREAMS];
    size_t cursor_count;
    struct apart apart;
    struct uplink_packet remembered[UPLINK_REMEMBERED]; /* in turn, of this session */
    size_t remember_next;
    struct lingering linger;
    int64_t welcome_until_ms; /* what was sent before this session waits for the welcome */
    int64_t resend_at_ms;     /* 0: nothing outstanding */
    int64_t resend_wait_ms;
    uint64_t resends;
    uint64_t refusals_ignored; /* of what this session did not send, or cannot make smaller */
};

struct uplink_range {
    uint64_t incarnation;
    int lane;
    uint64_t from_seq;
    uint64_t to_seq;   /* no record beyond it in this packet */
    uint64_t last_seq; /* of the stream */
    size_t max_records;
};

struct uplink_plan {
    uint64_t token;
    bool apart; /* one range, not of the stream's cursor */
    size_t range_count;
    struct uplink_range ranges[UPLINK_PACKET_STREAMS];
};

void uplink_init(struct uplink *uplink, const struct uplink_policy *policy);
/* A session begins: everything without a receipt is sent (again), when the welcome has come or
 * takes too long. */
void uplink_connected(struct uplink *uplink, int64_t now_ms);
void uplink_disconnected(struct uplink *uplink);
/* The hello was answered, and the receipt in the answer has been taken. */
void uplink_welcomed(struct uplink *uplink);
/* Something new was stored. */
void uplink_stored(struct uplink *uplink, enum haste haste, int64_t now_ms);
/* The broker took (or refused) a packet. A refused one is resent when its receipt is overdue. */
void uplink_puback(struct uplink *uplink, uint64_t token);

/* The next packet to send now. False: nothing to send now. */
bool uplink_next(struct uplink *uplink, const struct uplink_stream *streams, size_t stream_count,
                 int64_t now_ms, struct uplink_plan *ret_plan);
/* The plan was carried out with this packet. `random` is 64 uniform bits. */
void uplink_sent(struct uplink *uplink, const struct uplink_plan *plan,
                 const struct uplink_packet *packet, int64_t now_ms, uint64_t random);
/* Nothing of the plan's range is to be sent before `next_seq`: all is receipted, or cannot be read
 * now. What lies behind it shall not wait for it; it is tried again with the next resend or
 * session. */
void uplink_skipped(struct uplink *uplink, const struct uplink_plan *plan, size_t range,
                    uint64_t next_seq, int64_t now_ms, uint64_t random);

enum uplink_refusal {
    UPLINK_IGNORED, /* nothing that this session sent, or nothing that could be smaller */
    UPLINK_SMALLER, /* it is sent again, in halves */
    UPLINK_ALONE,   /* one record alone: it will never be understood */
};
/* A verified receipt says that nobody can decode the packet with this digest. */
enum uplink_refusal uplink_refused(struct uplink *uplink, const uint8_t *digest,
                                   struct uplink_part *ret_alone);
/* Something was given up that may have been sent: its declaration goes at once. */
void uplink_lost(struct uplink *uplink, uint64_t incarnation, int lane, uint64_t first,
                 uint64_t last);
/* The fleet has forgotten part of this stream: it is sent again from its first seq without a
 * receipt. */
void uplink_again(struct uplink *uplink, uint64_t incarnation, int lane);
/* Looks at the receipts. A stream whose low end has not moved in time is rewound to it. (A receipt
 * that only fills in beyond a hole does not count: the hole must still be sent again in time.) */
void uplink_tick(struct uplink *uplink, const struct uplink_stream *streams, size_t stream_count,
                 int64_t now_ms, uint64_t random);
/* Whether a record that waits does so for a receipt, or to be sent: not for company. */
bool uplink_owes(const struct uplink *uplink, int64_t now_ms);
/* When to tick and ask for a plan again, unless something happens before; INT64_MAX: never. */
int64_t uplink_deadline(const struct uplink *uplink, int64_t now_ms);

#endif
