/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CLIENT_INTERNAL_H
#define AGENT_CLIENT_INTERNAL_H

#include "agent/client.h"
#include "agent/client_txn.h"
#include "agent/client_wire.h"

/* What was said of one logical terminal, to be said again to an agent that does not know it. */
struct client_lease {
    uint32_t terminal;
    bool transaction;
    int64_t until_ms; /* of the transaction */
    bool set;         /* reversal and batch were said in this process: */
    bool reversal, batch;
    bool unsaid;       /* of the transaction: the agent has not confirmed it */
    bool set_unsaid;   /* of reversal and batch likewise */
    uint64_t again_id; /* of the request that said it again last */
    bool told;         /* what was in force when the transaction began: */
    uint8_t generation[CLIENT_GENERATION_BYTES];
};

struct muster_client {
    struct client_wire wire;
    int deadline_ms;
    uint64_t last_id, next_key;
    uint64_t asked_id;                /* of `request` */
    uint64_t again_first, again_last; /* ids of what was said again on this connection */
    struct buf request;
    const struct client_lease *asking; /* the word that `request` is itself */
    bool asking_set;                   /* and it speaks of reversal and batch */
    size_t lease_count;
    struct client_lease leases[MUSTER_LEASE_TERMINALS];
};

/* client.c: sends `request` and takes its answer, within the deadline, over a connection that is
 * made if there is none. The frame is valid until the next call. */
bool client_ask(struct muster_client *client, struct bytes *ret_frame, struct err *err);
enum muster_status client_status_of(const struct err *err);
/* client_lease.c: puts into the connection, before anything else, what has not been heard; and all
 * that holds when the connection is `fresh`. */
bool client_lease_say_again(struct muster_client *client, bool fresh, struct err *err);
/* A transaction is under way: the agent takes the end of the connection for the application's. */
bool client_lease_holds(const struct muster_client *client);
/* The answer to one of these came. */
void client_lease_heard(struct muster_client *client, uint64_t id, bool said);

/* What the newest transaction of this logical terminal began with; NULL: not known. */
const uint8_t *client_lease_generation(const struct muster_client *client, uint32_t terminal);

/* client_txn.c */
bool client_reply_id(struct bytes frame, uint64_t *ret_id, bool *ret_ok, struct err *err);
enum muster_status client_reply_status(int status);
/* One line of UTF-8, whoever it was that answered. */
void client_copy_text(const char *why, char *out, size_t size);

#endif
