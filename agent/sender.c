/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sender.h"

#include "base/clock.h"
#include "base/log.h"
#include "proto/batch.h"
#include "proto/limits.h"
#include "proto/topics.h"
#include "proto/unpack.h"

/* Before compression; keeps what a batch becomes well below LIMIT_BATCH_*_BYTES. */
enum { PACKET_BYTES = 96 * 1024, ZSTD_LEVEL = 9 };

struct gathering {
    struct arena arena;
    struct lane_rows rows;
    size_t capacity;
};

static bool gather_row(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct gathering *gathering = ctx;
    static const struct unpack_limits limits = {.max_bytes = LIMIT_RECORD_BYTES};
    if (gathering->rows.count == gathering->capacity)
        return err_set(err, ERR_FULL, "more rows than asked for");
    ProtobufCMessage *row = NULL;
    if (!unpack(lane_message(gathering->rows.lane), body, &limits, &gathering->arena, &row, err))
        return err_context(err, "record %llu of the spool", (unsigned long long)seq);
    gathering->rows.rows[gathering->rows.count++] = row;
    return true;
}

/* Reads one range into rows; false when nothing of it could be read. */
static bool gather(struct sender *sender, const struct uplink_range *range, size_t max_bytes,
                   struct gathering *gathering)
{
    gathering->capacity = range->max_records;
    gathering->rows = (struct lane_rows){
        .lane = (Muster__Lane)range->lane,
        .incarnation = range->incarnation,
        .rows = arena_alloc(&gathering->arena, range->max_records * sizeof(ProtobufCMessage *)),
    };
    if (gathering->rows.rows == NULL)
        return false;
    size_t count = 0;
    struct err err = {0};
    if (!spool_read(sender->spool, range->incarnation, range->lane, range->from_seq,
                    range->max_records, max_bytes, gather_row, gathering,
                    &gathering->rows.first_seq, &count, &err)) {
        sender->unreadable++;
        log_error("spool: %s; what came before it is sent, the rest waits", err.text);
    }
    return gathering->rows.count > 0;
}

static bool publish(struct sender *sender, uint64_t token, const struct lane_rows *lanes,
                    size_t lane_count, struct err *err)
{
    char topic[TOPIC_CHARS];
    topic_device(TOPIC_UP_BATCH, sender->device, topic);
    struct buf batch = {.limit = LIMIT_BATCH_WIRE_BYTES};
    struct buf envelope = {.limit = LIMIT_BATCH_WIRE_BYTES};
    bool ok =
        batch_encode(lanes, lane_count, ZSTD_LEVEL, &batch, err) &&
        seal("batch", sender->device, buf_bytes(&batch), &sender->key, 1, false, &envelope, err) &&
        linkport_publish(sender->port, token, topic, buf_bytes(&envelope), err);
    if (ok) {
        sender->batches++;
        sender->batch_bytes += envelope.length;
    }
    buf_done(&batch);
    buf_done(&envelope);
    return ok;
}

static bool send_plan(struct sender *sender, const struct uplink_plan *plan, int64_t now_ms)
{
    struct gathering gathering = {.arena = {.limit_bytes = 4u * LIMIT_BATCH_BODY_BYTES}};
    struct lane_rows lanes[UPLINK_PACKET_STREAMS];
    struct uplink_plan done = {.token = plan->token};
    uint64_t last_seq[UPLINK_PACKET_STREAMS];
    for (size_t i = 0; i < plan->range_count; i++) {
        if (!gather(sender, &plan->ranges[i], PACKET_BYTES / plan->range_count, &gathering))
            continue;
        lanes[done.range_count] = gathering.rows;
        last_seq[done.range_count] = gathering.rows.first_seq + gathering.rows.count - 1;
        sender->records_sent += gathering.rows.count;
        done.ranges[done.range_count++] = plan->ranges[i];
    }
    struct err err = {0};
    bool ok = done.range_count > 0 && publish(sender, plan->token, lanes, done.range_count, &err);
    if (ok)
        uplink_sent(&sender->uplink, &done, last_seq, now_ms, random_u64());
    else if (done.range_count > 0)
        log_warn("a batch was not sent, it stays in the spool: %s", err.text);
    arena_done(&gathering.arena);
    return ok;
}

size_t sender_streams(const struct sender *sender, struct uplink_stream *ret_streams)
{
    struct spool_stream streams[UPLINK_STREAMS];
    size_t count = spool_streams(sender->spool, streams, UPLINK_STREAMS);
    if (count > UPLINK_STREAMS)
        count = UPLINK_STREAMS;
    for (size_t i = 0; i < count; i++)
        ret_streams[i] = (struct uplink_stream){
            .incarnation = streams[i].incarnation,
            .lane = streams[i].lane,
            .last_seq = streams[i].last_seq,
            .first_unsent = streams[i].first_unsent,
        };
    return count;
}

void sender_pump(struct sender *sender, int64_t now_ms)
{
    struct uplink_stream streams[UPLINK_STREAMS];
    size_t count = sender_streams(sender, streams);
    uplink_tick(&sender->uplink, streams, count, now_ms, random_u64());
    struct uplink_plan plan;
    while (uplink_next(&sender->uplink, streams, count, now_ms, &plan))
        if (!send_plan(sender, &plan, now_ms))
            break;
}
