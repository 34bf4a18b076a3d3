/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CLIENT_TXN_H
#define AGENT_CLIENT_TXN_H

#include "agent/client.h"
#include "base/buf.h"

enum { CLIENT_KEY_BYTES = 32, CLIENT_GENERATION_BYTES = 8 };

/* Checks `txn` and packs it as the ClientRequest `request_id` at the end of `out`, under the key
 * given here; `generation`: what it was made with, 8 bytes, NULL: not known. ERR_INVALID names the
 * field and what was expected. */
bool client_txn_pack(const struct muster_txn *txn, struct bytes key, const uint8_t *generation,
                     uint64_t request_id, struct buf *out, struct err *err) MUSTER_CHECK;

/* What the agent said to a txn request. False: `frame` is no ClientReply, or one that says stored
 * and does not say where. */
struct client_reply {
    uint64_t request_id;
    struct muster_answer answer; /* without the key */
};
bool client_txn_unpack(struct bytes frame, struct client_reply *ret_reply,
                       struct err *err) MUSTER_CHECK;

#endif
