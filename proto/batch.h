/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_BATCH_H
#define PROTO_BATCH_H

#include "base/buf.h"
#include "proto/arena.h"
#include "proto/batch.pb-c.h"

enum { BATCH_ARENA_BYTES = 8 * 1024 * 1024 };

/* Records first_seq .. first_seq + count - 1 of one stream, or the word that they will not come. */
struct lane_rows {
    Muster__Lane lane;
    uint64_t incarnation;
    uint64_t first_seq;
    size_t count;            /* of rows; with `lost` up to LIMIT_LOST_RANGE */
    ProtobufCMessage **rows; /* of lane_message(lane); NULL with `lost` */
    uint32_t *sizes;         /* room that each row needs, packed, at the most; of batch_decode */
    Muster__LossReason lost;
    uint64_t behind; /* seqs that the stream has given behind these */
};

/* TxnResult, Event or Health; NULL for an unknown lane. */
const ProtobufCMessageDescriptor *lane_message(Muster__Lane lane);
const char *lane_name(Muster__Lane lane); /* "txn" "event" "health" */

/* Appends the packed Batch (not yet sealed), with the newest dictionary; zstd at `level` (1..19).
 * ERR_FULL: well formed but too much for one batch (LIMIT_BATCH_*; the rows as packed messages must
 * also stay within LIMIT_BATCH_BODY_BYTES): send fewer rows. */
bool batch_encode(const struct lane_rows *lanes, size_t lane_count, int level, struct buf *out,
                  struct err *err) MUSTER_CHECK;
/* The two steps of it, for who makes dictionaries and who wants to know what takes how much. */
struct batch_streams {
    struct buf body, marks, steps, raw;
};
bool batch_compose(const struct lane_rows *lanes, size_t lane_count,
                   const Muster__Dictionary *dictionary, struct batch_streams *streams,
                   struct err *err) MUSTER_CHECK;
bool batch_pack_streams(const struct batch_streams *streams, const Muster__Dictionary *dictionary,
                        int level, struct buf *out, struct err *err) MUSTER_CHECK;
void batch_streams_done(struct batch_streams *streams);

/* The reverse, for foreign bytes (the signature has been verified). Everything lives in `arena`,
 * whose limit bounds the memory; LIMIT_BATCH_* bound size and rows. A full batch needs up to
 * BATCH_ARENA_BYTES. ERR_NEWER: whole, but of a sender that is newer than this program. */
bool batch_decode(struct bytes in, struct arena *arena, struct lane_rows **ret_lanes,
                  size_t *ret_lane_count, struct err *err) MUSTER_CHECK;
/* The same for who decodes many: it keeps what is the same for all of them, above all the
 * dictionary, which takes longer to read than a batch. Of one thread at a time. */
struct batch_decoder;
bool batch_decoder_open(struct batch_decoder **ret_decoder, struct err *err) MUSTER_CHECK;
void batch_decoder_close(struct batch_decoder *decoder);
bool batch_decoder_read(struct batch_decoder *decoder, struct bytes in, struct arena *arena,
                        struct lane_rows **ret_lanes, size_t *ret_lane_count,
                        struct err *err) MUSTER_CHECK;

#endif
