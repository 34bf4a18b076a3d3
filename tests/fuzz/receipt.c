/* SPDX-License-Identifier: Apache-2.0 */
/* A receipt as the agent takes it, over a spool with records: the first byte chooses whether the
 * Envelope comes as it is, or the body is signed: the receipt key may be stolen. Incarnations 1
 * and 2 stand for the spool's older ones, 3 for the running one. What a receipt does not claim
 * stays; what is there is what was pushed, now and after the next start. */
#include "agent/proofs.h"
#include "agent/receipts.h"
#include "proto/limits.h"
#include "tests/fuzz/spool_world.h"

#include <stdlib.h>
#include <string.h>

enum { STREAMS = 16 };

static bool claims(const Muster__Receipt *receipt, const struct spool_stream *stream, uint64_t seq)
{
    for (size_t i = 0; i < receipt->n_streams; i++) {
        const Muster__StreamReceipt *said = receipt->streams[i];
        if (said->incarnation != stream->incarnation || (int)said->lane != stream->lane)
            continue;
        if (seq <= said->cumulative)
            return true;
        for (size_t r = 0; r < said->n_ranges; r++)
            if (said->ranges[r]->first <= seq && seq <= said->ranges[r]->last)
                return true;
    }
    return false;
}

/* Lane 1 has 1, 2 and 4 receipted before; whatever else is gone was claimed. */
static void check_freed(const struct spool_stream *before, const struct spool_stream *after,
                        const Muster__Receipt *receipt)
{
    HOLDS(after->last_seq == before->last_seq && after->first_unsent >= before->first_unsent);
    for (uint64_t seq = before->first_unsent; seq < after->first_unsent; seq++)
        HOLDS(receipt && (claims(receipt, before, seq) || (before->lane == 1 && seq == 4)));
}

static const struct spool_stream *find(const struct spool_stream *streams, size_t count,
                                       const struct spool_stream *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (streams[i].incarnation == wanted->incarnation && streams[i].lane == wanted->lane)
            return &streams[i];
    return NULL;
}

static void take(struct spool *spool, struct bytes envelope)
{
    static struct receipts_taken taken;
    struct spool_stream before[STREAMS], after[STREAMS];
    struct arena arena = {0};
    struct proofs *proofs = calloc(1, sizeof *proofs);
    struct err err = {0};
    bool less = false;
    size_t count = spool_unclosed(spool, before, STREAMS);
    bool ok = receipts_take(spool, fuzz_trust(), SPOOL_DEVICE, envelope, 0, &arena, &taken, &err);
    HOLDS(ok || (err.code != ERR_NONE && err.code != ERR_IO && err.text[0]));
    HOLDS(!ok || taken.receipt);
    HOLDS(taken.lost_count <= RECEIPTS_LOST);
    size_t left = spool_unclosed(spool, after, STREAMS);
    HOLDS(proofs && left == count && count <= STREAMS);
    for (size_t i = 0; i < count; i++) {
        const struct spool_stream *now = find(after, left, &before[i]);
        HOLDS(now);
        check_freed(&before[i], now, taken.receipt);
    }
    if (ok) {
        HOLDS(proofs_take(proofs, taken.receipt, envelope, after, left, &less, NULL));
        HOLDS(proofs->count <= 1 && !less);
    }
    proofs_done(proofs);
    free(proofs);
    arena_done(&arena);
}

static void sign_and_take(struct spool *spool, struct bytes in)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_RECEIPT_BYTES};
    const uint64_t known[] = {spool_world_older(0), spool_world_older(1), spool_incarnation(spool)};
    struct arena arena = {0};
    struct buf body = {0};
    ProtobufCMessage *message = NULL;
    if (unpack(&muster__receipt__descriptor, in, &limits, &arena, &message, NULL)) {
        Muster__Receipt *receipt = (Muster__Receipt *)message;
        for (size_t i = 0; i < receipt->n_streams; i++)
            if (receipt->streams[i]->incarnation - 1 < 3)
                receipt->streams[i]->incarnation = known[receipt->streams[i]->incarnation - 1];
        if (protobuf_c_message_get_packed_size(message) > 0) {
            HOLDS(pack(message, &body, NULL));
            struct buf envelope = fuzz_seal("receipt", SPOOL_DEVICE, buf_bytes(&body));
            take(spool, buf_bytes(&envelope));
            buf_done(&envelope);
        }
    }
    buf_done(&body);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    struct spool *spool = NULL;
    uint64_t given = 0, again = 0;
    if (size < 2)
        return 0;
    spool_world_lay_out();
    HOLDS(spool_world_open(&spool, NULL));
    for (int lane = 1; lane <= SPOOL_LANES; lane++)
        HOLDS(spool_world_push(spool, lane, NULL));
    if (fuzz_byte(&in) % 2 == 0)
        sign_and_take(spool, in);
    else
        take(spool, in);
    HOLDS(spool_world_check(spool, false, &given, NULL));
    spool_close(spool);
    HOLDS(spool_world_open(&spool, NULL));
    HOLDS(spool_world_check(spool, false, &again, NULL) && again == given);
    spool_close(spool);
    return 0;
}
