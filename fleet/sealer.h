/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SEALER_H
#define FLEET_SEALER_H

#include "proto/seal.h"
#include "proto/topics.h"

/*
 * Signs replies beside the thread that stores, in the order in which they are given. Whatever they
 * say has been committed before; here nothing is read, sent or said.
 */
struct sealer;

struct sealer_reply {
    char topic[TOPIC_CHARS];
    char id[33]; /* of the device that it is for */
    bool welcome;
    const struct sign_key *key; /* stays until it is signed; NULL: `message` is signed already */
    const char *domain;
    struct buf body;    /* to be signed */
    struct buf message; /* what came of it; empty: `why` */
    struct err why;
    size_t bytes; /* as it was given */
};

/* `wake` is called by a thread of the sealer's own when all is signed, or half of what it holds is.
 * NULL: there is no thread, and what is given is signed at once. */
bool sealer_make(void (*wake)(void *ctx), void *ctx, struct sealer **ret_sealer,
                 struct err *err) MUSTER_CHECK;
/* Signs all that it has been given; from now on there is no thread. */
void sealer_stop(struct sealer *sealer);
/* What was not taken is gone. */
void sealer_free(struct sealer *sealer);

bool sealer_full(struct sealer *sealer);
/* Nothing is given that is not taken yet. */
bool sealer_empty(struct sealer *sealer);
/* Takes its bufs over; it is not full. */
void sealer_give(struct sealer *sealer, const struct sealer_reply *reply);
/* Waits until all that it was given is signed, so that keys may go. */
void sealer_settle(struct sealer *sealer);
/* The first one, when it is signed, else NULL. */
const struct sealer_reply *sealer_first(struct sealer *sealer);
void sealer_drop(struct sealer *sealer); /* that one */

#endif
