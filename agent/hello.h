/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_HELLO_H
#define AGENT_HELLO_H

#include <stdbool.h>
#include <stdint.h>

/*
 * When to say hello, as a pure state machine: at each connect, again until welcomed (5 s doubling
 * to 5 min, or more where each costs, jittered), then daily, and when something makes it due
 * (hello_soon, hello_now). Only the answer to the newest nonce counts: that is the proof of
 * freshness.
 */
struct hello {
    int64_t longest_wait_ms; /* between hellos that nobody answers; 5 min if less */
    bool connected, welcomed;
    bool outstanding; /* a hello was sent and `nonce` waits for its answer */
    bool asked;       /* for another one since then: its answer does not put that off */
    uint8_t nonce[16];
    int64_t wait_ms;
    int64_t next_ms;                      /* 0: none planned */
    int64_t doubt_wait_ms, doubt_next_ms; /* see hello_doubt */
};

void hello_connected(struct hello *hello, int64_t now_ms);
void hello_disconnected(struct hello *hello);
/* The fleet should hear now how things stand; once welcomed, a hello follows in seconds. */
void hello_soon(struct hello *hello, int64_t now_ms);
void hello_now(struct hello *hello, int64_t now_ms); /* the same, and it is due at once */
/* What was said of the trust root is no longer so: says it again, spread over some seconds, since
 * every terminal learns of a new root in the same moment. */
void hello_anew(struct hello *hello, int64_t now_ms, uint64_t random);
/* What came contradicts what is held, and the fleet should hear: soon the first time, then ever
 * more seldom, for a broker may repeat itself. */
void hello_doubt(struct hello *hello, int64_t now_ms);
void hello_sure(struct hello *hello); /* it does not any more */
bool hello_due(const struct hello *hello, int64_t now_ms);
void hello_sent(struct hello *hello, const uint8_t nonce[16], int64_t now_ms, uint64_t random);
/* False: not the answer to the newest hello. */
bool hello_welcomed(struct hello *hello, const uint8_t *nonce, unsigned long nonce_length,
                    bool behind, int64_t now_ms, uint64_t random);
int64_t hello_deadline(const struct hello *hello); /* INT64_MAX: none */

#endif
