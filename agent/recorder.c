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

static void count_stored(struct recorder *recorder, const struct spool_record *records,
                         size_t count)
{
    uint64_t fresh = 0;
    for (size_t i = 0; i < count; i++)
        fresh += records[i].duplicate ? 0 : 1;
    recorder->counts.accepted += fresh;
    recorder->counts.duplicates += count - fresh;
    if (fresh > 0 && recorder->events.stored != NULL)
        recorder->events.stored(recorder->ctx);
}

void recorder_flush(struct recorder *recorder)
{
    size_t count = recorder->count;
    if (count == 0)
        return;
    struct spool_record records[PENDING_MAX];
    struct pending pending[PENDING_MAX];
    memcpy(pending, recorder->pending, count * sizeof *pending);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *base = recorder->bytes.data;
        records[i] = (struct spool_record){
            .lane = (int)pending[i].lane,
            .key = bytes_of(base + pending[i].key_at, pending[i].key_length),
            .body = bytes_of(base + pending[i].body_at, pending[i].body_length),
        };
    }
    struct err err = {0};
    bool ok = spool_push(recorder->spool, records, count, &err);
    /* Answers may add records again: they belong to the next commit. */
    recorder->count = 0;
    buf_clear(&recorder->bytes);
    if (ok) {
        answer_all(pending, count, records, NULL);
        count_stored(recorder, records, count);
        return;
    }
    recorder->counts.refused += count;
    log_error("%zu records not stored: %s", count, err.text);
    answer_all(pending, count, NULL, &err);
    if (err.code != ERR_FULL && recorder->events.failed != NULL)
        recorder->events.failed(recorder->ctx, &err);
}

static void on_after_sockets(uv_check_t *check)
{
    recorder_flush(check->data);
}

static void on_before_sleep(uv_prepare_t *prepare)
{
    recorder_flush(prepare->data);
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
    uv_check_start(&recorder->after_sockets, on_after_sockets);
    uv_prepare_start(&recorder->before_sleep, on_before_sleep);
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

bool recorder_add(struct recorder *recorder, Muster__Lane lane, struct bytes key,
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
        .done = done,
        .ctx = ctx,
    };
    if (recorder->count == PENDING_MAX)
        recorder_flush(recorder);
    return true;
fail:
    recorder->bytes.length = before;
    return false;
}

struct recorder_counts recorder_counts(const struct recorder *recorder)
{
    return recorder->counts;
}
