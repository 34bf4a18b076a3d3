/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CONTENT_WAIT_H
#define AGENT_CONTENT_WAIT_H

#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Content that does not come: when the fleet is to be asked for it by a hello, and when it is late.
 * A broker that keeps messages brings what is subscribed to by itself, so what it was just asked
 * for gets the time that a thin line needs; one that keeps none has the fleet publish it again,
 * which costs every line that has asked for it, and is not to be asked for while it comes.
 * Only time with a session counts. Pure; times are since boot. See content_wait_init.
 */
enum { CONTENT_WAIT_BLOBS = LIMIT_MANIFEST_ITEMS };

struct content_wait {
    int64_t patience_ms;
    size_t count; /* blobs that the link is asked for now */
    uint8_t blobs[CONTENT_WAIT_BLOBS][32];
    bool told[CONTENT_WAIT_BLOBS]; /* a hello has named it as lacking */
    uint64_t largest_bytes;        /* of them */
    bool connected;
    bool keeps_nothing; /* the broker: it has what is asked for only once the fleet sends it */
    int64_t connected_ms, before_ms; /* since when, and with a session before that */
    /* With a session, as are these: */
    int64_t since_ms; /* the last time that one came, or that waiting began */
    int64_t ask_ms;   /* the next hello for it, INT64_MAX: none */
    int64_t wait_ms;  /* after that one */
    int64_t flow_ms;  /* the last look at what comes, and what had come */
    uint64_t flow_bytes;
    bool moved;    /* one came since the set was last said */
    bool comes;    /* one came, and none was waited for too long since */
    bool late;     /* and told so */
    bool came;     /* one did since then */
    bool given_up; /* on what was asked for last */
};

void content_wait_init(struct content_wait *wait, int64_t patience_ms);
void content_wait_connected(struct content_wait *wait, bool keeps_nothing, int64_t now_ms);
void content_wait_disconnected(struct content_wait *wait, int64_t now_ms);
/* The set that is asked for now; replaces the one before. `bytes`: so many have come from the
 * broker in all, as far as is known; the count may lag by CONTENT_WAIT_LAG_MS. */
enum { CONTENT_WAIT_LAG_MS = 10000 };
void content_wait_set(struct content_wait *wait, const uint8_t (*blobs)[32], const uint64_t *sizes,
                      size_t count, uint64_t bytes, int64_t now_ms);
/* One of them came whole. */
void content_wait_came(struct content_wait *wait, int64_t now_ms);
/* A hello was said, which names all that is lacking. */
void content_wait_named(struct content_wait *wait, int64_t now_ms);
/* A broker that keeps messages has been bringing them: a hello, as each new session has one, need
 * not have the fleet publish again what is subscribed to anyway. */
bool content_wait_comes(const struct content_wait *wait);
/* One is about to be said, as content_wait_ask wanted. */
void content_wait_asked(struct content_wait *wait, int64_t now_ms, uint64_t random);
bool content_wait_ask(const struct content_wait *wait, int64_t now_ms);
/* Something is on its way: it is not to be asked for yet, though content_wait_ask said so. */
bool content_wait_flows(struct content_wait *wait, uint64_t bytes, int64_t now_ms);
/* True once: nothing came for `patience_ms`, and a second for each KiB of the largest. */
bool content_wait_late(struct content_wait *wait, int64_t now_ms);
/* True once: for as long again nothing came from a broker that keeps messages: it has not got it,
 * and who could send it does not hear us. What can be had in another way is not to wait longer. */
bool content_wait_give_up(struct content_wait *wait, int64_t now_ms);
/* Nothing is lacking any more. True: what was late is not. */
bool content_wait_over(struct content_wait *wait);
/* How long nothing has come. */
int64_t content_wait_waited_ms(const struct content_wait *wait, int64_t now_ms);
/* When to look again. `may_ask`: the fleet hears us. INT64_MAX: nothing is to be done. */
int64_t content_wait_deadline(const struct content_wait *wait, bool may_ask, int64_t now_ms);

#endif
