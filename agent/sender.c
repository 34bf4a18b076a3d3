/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sender.h"

#include "base/clock.h"
#include "base/log.h"
#include "proto/batch.h"
#include "proto/limits.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <assert.h>
#include <inttypes.h>

enum sent {
    SENT,         /* or nothing of it was there */
    SENT_NOT_NOW, /* no memory, or no link */
    SENT_NEVER,   /* it cannot be made a packet */
};

/* Of record bodies, before compression: a packet is full with it, and its last record may go over.
 */
enum { PACKET_BYTES = 88 * 1024, ZSTD_LEVEL = 9 };
static_assert(PACKET_BYTES + LIMIT_RECORD_BYTES < LIMIT_BATCH_WIRE_BYTES - 2048,
              "what a packet holds fits even if nothing of it can be compressed");

/* The records of one packet, range by range. */
struct gathering {
    struct arena arena;
    size_t bytes;
    struct lane_rows rows; /* of the range that is read now */
    size_t capacity;
    uint64_t unusable_seq; /* a record that was read and is none; 0: nothing like that */
};

static bool gather_row(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct gathering *gathering = ctx;
    struct lane_rows *rows = &gathering->rows;
    static const struct unpack_limits limits = {.max_bytes = LIMIT_RECORD_BYTES};
    if (rows->count == gathering->capacity)
        return err_set(err, ERR_FULL, "more rows than asked for");
    ProtobufCMessage *row = NULL;
    if (!unpack(lane_message(rows->lane), body, &limits, &gathering->arena, &row, err)) {
        gathering->unusable_seq = seq;
        return err_context(err, "lane %s, incarnation %016" PRIx64 ", seq %" PRIu64,
                           lane_name(rows->lane), rows->incarnation, seq);
    }
    if (rows->count == 0)
        rows->first_seq = seq;
    rows->rows[rows->count++] = row;
    gathering->bytes += body.length;
    return true;
}

static void count_unreadable(struct sender *sender, const char *why)
{
    /* A damaged file has many of them, and each is met again with each resend. */
    if (sender->unreadable++ == sender->unreadable_logged)
        log_error("spool: %s: kept, but not sent; what lies behind it goes on", why);
}

/* Where to go on after a range that gave nothing: behind what is receipted or damaged. */
static uint64_t behind(struct sender *sender, const struct uplink_range *range,
                       const struct gathering *gathering)
{
    uint64_t next = 0;
    struct err err = {0};
    if (gathering->unusable_seq >= range->from_seq)
        return gathering->unusable_seq + 1;
    if (spool_next_segment(sender->spool, range->incarnation, range->lane, range->from_seq, &next,
                           &err) &&
        next > range->from_seq)
        return next;
    return range->from_seq + range->max_records;
}

/* Reads what can be read of one range into `rows`. If that is nothing, *ret_next says where to go
 * on. */
static bool gather(struct sender *sender, const struct uplink_range *range, size_t max_bytes,
                   struct gathering *gathering, uint64_t *ret_next, struct err *err)
{
    gathering->capacity = range->max_records;
    gathering->unusable_seq = 0;
    gathering->rows = (struct lane_rows){
        .lane = (Muster__Lane)range->lane,
        .incarnation = range->incarnation,
        .rows = arena_alloc(&gathering->arena, range->max_records * sizeof(ProtobufCMessage *)),
    };
    if (gathering->rows.rows == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu records", range->max_records);
    struct spool_found found = {0};
    struct err why = {0};
    bool read = spool_read(sender->spool, range->incarnation, range->lane, range->from_seq,
                           range->max_records, max_bytes, gather_row, gathering, &found, &why);
    if (gathering->rows.count > 0)
        return true; /* what follows shows itself when it is the first */
    if (!read && why.code == ERR_NO_MEMORY)
        return err_set(err, why.code, "%s", why.text);
    if (read && found.first > range->from_seq) {
        *ret_next = found.first;
        return true;
    }
    if (read)
        err_set(&why, ERR_IO, "lane %s, incarnation %016" PRIx64 ", seq %" PRIu64 " is missing",
                lane_name(gathering->rows.lane), range->incarnation, range->from_seq);
    count_unreadable(sender, why.text);
    *ret_next = behind(sender, range, gathering);
    return true;
}

static bool make_packet(const struct sender *sender, const struct lane_rows *lanes,
                        size_t lane_count, struct buf *ret_envelope, struct err *err)
{
    struct buf batch = {.limit = LIMIT_BATCH_WIRE_BYTES};
    bool ok =
        batch_encode(lanes, lane_count, ZSTD_LEVEL, &batch, err) &&
        seal("batch", sender->device, buf_bytes(&batch), &sender->key, 1, false, ret_envelope, err);
    buf_done(&batch);
    return ok;
}

/* Hands the rows over, or says that they are no batch. */
static enum sent publish(struct sender *sender, uint64_t token, const struct lane_rows *lanes,
                         size_t lane_count, struct err *err)
{
    char topic[TOPIC_CHARS];
    struct buf envelope = {.limit = LIMIT_BATCH_WIRE_BYTES};
    enum sent sent = SENT;
    topic_device(TOPIC_UP_BATCH, sender->device, topic);
    if (!make_packet(sender, lanes, lane_count, &envelope, err))
        sent = err->code == ERR_NO_MEMORY ? SENT_NOT_NOW : SENT_NEVER;
    else if (!linkport_publish(sender->port, token, topic, buf_bytes(&envelope), err))
        sent = SENT_NOT_NOW;
    else
        sender->batch_bytes += envelope.length;
    buf_done(&envelope);
    return sent;
}

/* Gathers the plan's ranges. *done is what of it there is to send. */
static bool gather_plan(struct sender *sender, const struct uplink_plan *plan,
                        struct gathering *gathering, struct uplink_plan *done,
                        struct lane_rows *lanes, struct err *err)
{
    for (size_t i = 0; i < plan->range_count && gathering->bytes < PACKET_BYTES; i++) {
        const struct uplink_range *range = &plan->ranges[i];
        size_t share = PACKET_BYTES / plan->range_count;
        size_t left = PACKET_BYTES - gathering->bytes;
        uint64_t next = 0;
        if (!gather(sender, range, share < left ? share : left, gathering, &next, err))
            return false;
        if (gathering->rows.count == 0) {
            uplink_skipped(&sender->uplink, range, next);
            continue;
        }
        lanes[done->range_count] = gathering->rows;
        done->ranges[done->range_count++] = *range;
    }
    return true;
}

static void tell_sent(struct sender *sender, const struct uplink_plan *plan,
                      const struct lane_rows *lanes, int64_t now_ms)
{
    uint64_t last_seq[UPLINK_PACKET_STREAMS];
    for (size_t i = 0; i < plan->range_count; i++) {
        last_seq[i] = lanes[i].first_seq + lanes[i].count - 1;
        sender->records_sent += lanes[i].count;
    }
    sender->batches++;
    uplink_sent(&sender->uplink, plan, last_seq, now_ms, random_u64());
}

/* SENT_NEVER: not as one packet; *ret_smaller is a plan for less. */
static enum sent send_plan(struct sender *sender, const struct uplink_plan *plan, int64_t now_ms,
                           struct uplink_plan *ret_smaller)
{
    struct gathering gathering = {.arena = {.limit_bytes = 4u * LIMIT_BATCH_BODY_BYTES}};
    struct lane_rows lanes[UPLINK_PACKET_STREAMS];
    struct uplink_plan done = {.token = plan->token};
    struct err err = {0};
    enum sent sent = SENT_NOT_NOW;
    if (gather_plan(sender, plan, &gathering, &done, lanes, &err))
        sent = done.range_count > 0 ? publish(sender, plan->token, lanes, done.range_count, &err)
                                    : SENT;
    if (sent == SENT_NOT_NOW)
        log_warn("a batch was not sent, it stays in the spool: %s", err.text);
    else if (sent == SENT && done.range_count > 0)
        tell_sent(sender, &done, lanes, now_ms);
    if (sent == SENT_NEVER && done.range_count == 1 && lanes[0].count == 1) {
        count_unreadable(sender, err.text);
        uplink_skipped(&sender->uplink, &done.ranges[0], lanes[0].first_seq + 1);
        sent = SENT;
    } else if (sent == SENT_NEVER) {
        done.range_count = 1;
        done.ranges[0].max_records = 1;
        *ret_smaller = done;
    }
    arena_done(&gathering.arena);
    return sent;
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
            .receipted_to = streams[i].receipted_to,
        };
    return count;
}

void sender_pump(struct sender *sender, int64_t now_ms)
{
    struct uplink_stream streams[UPLINK_STREAMS];
    size_t count = sender_streams(sender, streams);
    uplink_tick(&sender->uplink, streams, count, now_ms, random_u64());
    struct uplink_plan plan;
    struct uplink_plan smaller;
    sender->unreadable_logged = sender->unreadable;
    while (uplink_next(&sender->uplink, streams, count, now_ms, &plan)) {
        enum sent sent = send_plan(sender, &plan, now_ms, &smaller);
        if (sent == SENT_NEVER)
            sent = send_plan(sender, &smaller, now_ms, &smaller);
        if (sent != SENT)
            break;
    }
    if (sender->unreadable > sender->unreadable_logged + 1)
        log_error("spool: %" PRIu64 " places in all could not be read or sent this time",
                  sender->unreadable - sender->unreadable_logged);
}
