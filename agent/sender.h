/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SENDER_H
#define AGENT_SENDER_H

#include "agent/linkport.h"
#include "agent/uplink.h"
#include "proto/seal.h"
#include "storage/spool.h"

/* Carries out what the uplink plans: reads the spool, makes the batch, signs it, gives it to the
 * link. */
struct sender {
    struct spool *spool;
    struct linkport *port;
    const struct sign_key *key;
    const char *device;
    struct uplink uplink;
    uint64_t batches, batch_bytes, records_sent;
    uint64_t unreadable; /* places of the spool that could not be read or sent, with each try */
    uint64_t unreadable_logged;
};

/* Sends all that may go at `now_ms` (powered-on time). */
void sender_pump(struct sender *sender, int64_t now_ms);
/* The spool's streams as the uplink wants them; returns how many, at most UPLINK_STREAMS. */
size_t sender_streams(const struct sender *sender, struct uplink_stream *ret_streams);

#endif
