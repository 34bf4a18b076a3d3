/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LINGER_H
#define AGENT_LINGER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How long what was stored waits for company, as a pure state machine. A terminal pays for each
 * packet, so records wait until their linger is over; a suspect result does not, and takes along
 * all that waits, so that what failed and what did not arrive together. After such a flush the
 * next one, suspect or not, waits until the minute is over: a terminal that declines every card
 * sends once a minute, not with every card.
 */
enum haste {
    HASTE_RIDES,   /* health: goes with the next packet, alone only after a long time */
    HASTE_LINGERS, /* waits for company */
    HASTE_URGENT,  /* a suspect result: goes now */
};

struct linger_policy {
    int64_t linger_ms;
    int64_t alone_ms; /* what rides may wait so long for something to ride with */
    int64_t quiet_ms; /* after an urgent flush */
};

struct lingering { /* <sys/socket.h> has a `struct linger` */
    bool drained;  /* all that was stored has been sent */
    bool held;     /* all that was not sent may wait until `until_ms` */
    bool urgent;   /* something of it is */
    int64_t until_ms;
    int64_t quiet_until_ms;
    uint64_t urgent_flushes;
};

/* Whatever waits may go at once. */
void linger_release(struct lingering *linger);
void linger_stored(struct lingering *linger, const struct linger_policy *policy, enum haste haste,
                   int64_t now_ms);
/* Whether a packet that is not full may go. */
bool linger_over(const struct lingering *linger, int64_t now_ms);
/* Nothing is left to send. */
void linger_drained(struct lingering *linger, const struct linger_policy *policy, int64_t now_ms);
/* When it will be over; INT64_MAX: it is, or nothing waits. */
int64_t linger_deadline(const struct lingering *linger, int64_t now_ms);

#endif
