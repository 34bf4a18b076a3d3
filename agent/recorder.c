/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/recorder.h"

#include "base/log.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <stdlib.h>
#include <string.h>

/* More than this in one turn and the commit does not wait for the turn's end. */
enum { PENDING_MAX = 256 };

struct pending {
    size_t key_at, key_length, body_at, body_length; /* offsets into `bytes` */
    Muster__Lane lane;
    enum haste haste;
    recorder_done *done;
    void *ctx;
};

struct recorder {
    struct spool *spool;
    struct recorder_events events;
    void *ctx;
    /* What arrived on sockets is committed when all of them were read; what timers gave, before
     * the loop falls asleep. */
    uv_check_t after_sockets;
    uv_prepare_t before_sleep;
    int open_handles;
    struct buf bytes;
    struct pending pending[PENDING_MAX];
    size_t count;
    struct recorder_counts counts;
};

static void answer_all(const struct pending *pending, size_t count,
                       const struct spool_record *records, const struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (pending[i].done != NULL)
            pending[i].done(pending[i].ctx, records == NULL ? NULL : &records[i], err);
}

static void count_stored(struct recorder *recorder, const struct pending *pending,
                         const struct spool_record *records, size_t count)
{
    uint64_t fresh = 0;
    enum haste haste = HASTE_RIDES;
    for (size_t i = 0; i < count; i++) {
        if (records[i].duplicate)
            continue;
        fresh++;
        if (pending[i].haste > haste)
            haste = pending[i].haste;
    }
    recorder->counts.accepted += fresh;
    recorder->counts.duplicates += count - fresh;
    if (fresh > 0 && recorder->events.stored != NULL)
        recorder->events.stored(recorder->ctx, haste);
}

/* Records of one spool_push, and what became of them. */
struct commit {
    size_t at, count;
    struct err err; /* code ERR_NONE: stored */
};

static void push(struct recorder *recorder, struct spool_record *records, struct commit *commit)
{
    if (spool_push(recorder->spool, records + commit->at, commit->count, &commit->err))
        commit->err.code = ERR_NONE;
}

/* By lane, else in the order in which they came. */
static void sort_by_worth(struct pending *pending, struct spool_record *records, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct pending one = pending[i];
        const struct spool_record record = records[i];
        size_t at = i;
        for (; at > 0 && pending[at - 1].lane > one.lane; at--) {
            pending[at] = pending[at - 1];
            records[at] = records[at - 1];
        }
        pending[at] = one;
        records[at] = record;
    }
}

/* All in one commit. What cannot be stored together is tried lane by lane: a health sample must not
 * keep out a result that may displace other samples. Returns how many commits there were. */
static size_t push_all(struct recorder *recorder, struct pending *pending,
                       struct spool_record *records, size_t count, struct commit *ret_commits)
{
    ret_commits[0] = (struct commit){.count = count};
    sort_by_worth(pending, records, count);
    push(recorder, records, &ret_commits[0]);
    if (ret_commits[0].err.code != ERR_FULL || pending[0].lane == pending[count - 1].lane)
        return 1;
    size_t commits = 0;
    for (size_t at = 0; at < count; at += ret_commits[commits++].count) {
        size_t end = at + 1;
        while (end < count && pending[end].lane == pending[at].lane)
            end++;
        ret_commits[commits] = (struct commit){.at = at, .count = end - at};
        push(recorder, records, &ret_commits[commits]);
    }
    return commits;
}

static void settle(struct recorder *recorder, const struct pending *pending,
                   const struct spool_record *records, const struct commit *commit)
{
    const struct err *err = &commit->err;
    if (err->code == ERR_NONE) {
        answer_all(pending + commit->at, commit->count, records + commit->at, NULL);
        count_stored(recorder, pending + commit->at, records + commit->at, commit->count);
        return;
    }
    recorder->counts.refused += commit->count;
    answer_all(pending + commit->at, commit->count, NULL, err);
    if (recorder->events.failed != NULL)
        recorder->events.failed(recorder->ctx, commit->count, err);
}

void recorder_flush(struct recorder *recorder)
{
    size_t count = recorder->count;
    if (count == 0)
        return;
    struct spool_record records[PENDING_MAX];
    struct pending pending[PENDING_MAX];
    struct commit commits[SPOOL_LANES];
    memcpy(pending, recorder->pending, count * sizeof *pending);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *base = recorder->bytes.data;
        records[i] = (struct spool_record){
            .lane = (int)pending[i].lane,
            .key = bytes_of(base + pending[i].key_at, pending[i].key_length),
            .body = bytes_of(base + pending[i].body_at, pending[i].body_length),
        };
    }
    size_t commit_count = push_all(recorder, pending, records, count, commits);
    /* Answers may add records again: they belong to the next commit. */
    recorder->count = 0;
    buf_clear(&recorder->bytes);
    for (size_t i = 0; i < commit_count; i++)
        settle(recorder, pending, records, &commits[i]);
}

/* What was added while the answers were given waits for the other of the two. */
static void flush_in_turn(struct recorder *recorder)
{
    recorder_flush(recorder);
    if (recorder->count > 0)
        return;
    uv_check_stop(&recorder->after_sockets);
    uv_prepare_stop(&recorder->before_sleep);
}

static void on_after_sockets(uv_check_t *check)
{
    flush_in_turn(check->data);
}

static void on_before_sleep(uv_prepare_t *prepare)
{
    flush_in_turn(prepare->data);
}

/* Only while something waits: a turn of the loop costs those nothing that have nothing to commit.
 */
static void await_turn(struct recorder *recorder)
{
    uv_check_start(&recorder->after_sockets, on_after_sockets);
    uv_prepare_start(&recorder->before_sleep, on_before_sleep);
}

bool recorder_open(uv_loop_t *loop, struct spool *spool, const struct recorder_events *events,
                   void *ctx, struct recorder **ret_recorder, struct err *err)
{
    struct recorder *recorder = calloc(1, sizeof *recorder);
    if (recorder == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the recorder");
    recorder->spool = spool;
    recorder->events = *events;
    recorder->ctx = ctx;
    recorder->bytes.limit = SPOOL_PUSH_BYTES + 2u * LIMIT_RECORD_BYTES;
    uv_check_init(loop, &recorder->after_sockets);
    uv_prepare_init(loop, &recorder->before_sleep);
    recorder->open_handles = 2;
    recorder->after_sockets.data = recorder->before_sleep.data = recorder;
    uv_unref((uv_handle_t *)&recorder->after_sockets);
    uv_unref((uv_handle_t *)&recorder->before_sleep);
    *ret_recorder = recorder;
    return true;
}

static void free_recorder(uv_handle_t *handle)
{
    struct recorder *recorder = handle->data;
    if (--recorder->open_handles > 0)
        return;
    buf_done(&recorder->bytes);
    free(recorder);
}

void recorder_close(struct recorder *recorder)
{
    if (recorder == NULL)
        return;
    recorder_flush(recorder);
    uv_close((uv_handle_t *)&recorder->after_sockets, free_recorder);
    uv_close((uv_handle_t *)&recorder->before_sleep, free_recorder);
}

bool recorder_add(struct recorder *recorder, Muster__Lane lane, enum haste haste, struct bytes key,
                  const ProtobufCMessage *message, recorder_done *done, void *ctx, struct err *err)
{
    /* One call of spool_push takes no more than this. */
    if (recorder->bytes.length + LIMIT_RECORD_BYTES > SPOOL_PUSH_BYTES)
        recorder_flush(recorder);
    size_t before = recorder->bytes.length;
    if (!buf_append(&recorder->bytes, key.data, key.length, err))
        return false;
    size_t body_at = recorder->bytes.length;
    if (!pack(message, &recorder->bytes, err))
        goto fail;
    size_t body_length = recorder->bytes.length - body_at;
    if (body_length == 0 || body_length > LIMIT_RECORD_BYTES) {
        err_set(err, ERR_INVALID, "a record of %zu bytes: expected 1 to %d", body_length,
                (int)LIMIT_RECORD_BYTES);
        goto fail;
    }
    recorder->pending[recorder->count++] = (struct pending){
        .key_at = before,
        .key_length = key.length,
        .body_at = body_at,
        .body_length = body_length,
        .lane = lane,
        .haste = haste,
        .done = done,
        .ctx = ctx,
    };
    if (recorder->count == PENDING_MAX)
        recorder_flush(recorder);
    else
        await_turn(recorder);
    return true;
fail:
    recorder->bytes.length = before;
    return false;
}

struct recorder_counts recorder_counts(const struct recorder *recorder)
{
    return recorder->counts;
}
