/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_RECORDER_H
#define AGENT_RECORDER_H

#include "agent/linger.h"
#include "proto/record.pb-c.h"
#include "storage/spool.h"

#include <uv.h>

/*
 * Everything that is to be kept passes here: what arrives during one turn of the loop shares one
 * commit, and only then each giver gets its answer.
 */
struct recorder;

/* `record` is NULL when nothing was stored; `err` says why. Called once for each record given. */
typedef void recorder_done(void *ctx, const struct spool_record *record, const struct err *err);

struct recorder_events {
    /* After each commit that stored something new; of all that, the greatest haste. */
    void (*stored)(void *ctx, enum haste haste);
    /* So many were not stored, and their givers have been told. */
    void (*failed)(void *ctx, size_t count, const struct err *err);
};

struct recorder_counts {
    uint64_t accepted, duplicates, refused;
};

/* `spool` must outlive the recorder. */
bool recorder_open(uv_loop_t *loop, struct spool *spool, const struct recorder_events *events,
                   void *ctx, struct recorder **ret_recorder, struct err *err) MUSTER_CHECK;
/* Commits what waits, then frees it once the loop has let go of it. */
void recorder_close(struct recorder *recorder);

/* Packs `message` (TxnResult, Event or Health, by lane) and queues it. `key` may be empty. `done`
 * may be NULL. False: it was not queued and `done` will not be called. */
bool recorder_add(struct recorder *recorder, Muster__Lane lane, enum haste haste, struct bytes key,
                  const ProtobufCMessage *message, recorder_done *done, void *ctx,
                  struct err *err) MUSTER_CHECK;
/* Commits now instead of at the end of the loop's turn. */
void recorder_flush(struct recorder *recorder);
struct recorder_counts recorder_counts(const struct recorder *recorder);

#endif
