/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PROOFS_H
#define AGENT_PROOFS_H

#include "proto/hello.pb-c.h"
#include "storage/spool.h"

/*
 * The newest receipt for each stream that is not closed, as received: every hello presents them,
 * so that a fleet database that was restored from a backup learns what it has lost. One receipt
 * stands for all streams that it is the newest of. Holds verified receipts only; knows no spool.
 */
enum {
    PROOFS_STREAMS = 64,
    PROOFS_BYTES = 48 * 1024, /* of all receipts, if there is more than one */
};

struct proof {
    int64_t issued_ms;
    struct buf envelope;
};

struct proofs {
    size_t count;
    struct proof list[PROOFS_STREAMS];
    size_t stream_count;
    struct {
        uint64_t incarnation;
        int lane;
        size_t of; /* place in `list` */
    } streams[PROOFS_STREAMS];
    bool unsaved;
};

/* Takes a receipt that was verified and counted. `unclosed` is the spool's list after that; what is
 * known of other streams goes. A receipt that claims less than was receipted before does not take
 * the place of an earlier one: *ret_less then says that the fleet may have forgotten. */
bool proofs_take(struct proofs *proofs, const Muster__Receipt *receipt, struct bytes envelope,
                 const struct spool_stream *unclosed, size_t unclosed_count, bool *ret_less,
                 struct err *err) MUSTER_CHECK;
/* This stream's receipt has done its work: the fleet has asked for the stream again. */
void proofs_drop(struct proofs *proofs, uint64_t incarnation, int lane);
/* Newest first; returns how many, at most PROOFS_STREAMS. They point into `proofs`. */
size_t proofs_newest(const struct proofs *proofs, ProtobufCBinaryData *ret_envelopes);
void proofs_done(struct proofs *proofs);

#endif
