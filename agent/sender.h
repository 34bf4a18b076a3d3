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
    uint64_t batches, batch_bytes, records_sent, losses_sent;
    uint64_t unreadable; /* places of the spool that the database could not read, with each try */
    uint64_t unreadable_logged;
};

/* Sends all that may go at `now_ms` (powered-on time). */
void sender_pump(struct sender *sender, int64_t now_ms);
/* A verified receipt says that nobody can decode the packet with this digest (UPLINK_DIGEST_BYTES).
 * It goes again in halves; a record that is refused alone is given up: true, and *ret_lost names
 * it. */
bool sender_refused(struct sender *sender, const uint8_t *digest, struct uplink_part *ret_lost);
/* The spool's streams as the uplink wants them; returns how many, at most UPLINK_STREAMS. */
size_t sender_streams(const struct sender *sender, struct uplink_stream *ret_streams);

#endif
