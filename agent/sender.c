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
#include <string.h>

enum sent {
    SENT,         /* or nothing of it was there */
    SENT_NOT_NOW, /* no memory, or no link */
    SENT_NEVER,   /* it cannot be made a packet */
};

static_assert((int)SPOOL_LOST_QUOTA == (int)MUSTER__LOSS_REASON__LOSS_QUOTA &&
                  (int)SPOOL_LOST_UNKNOWN == (int)MUSTER__LOSS_REASON__LOSS_UNKNOWN,
              "the spool's reasons are the contract's");

/* Of record bodies, before compression: a packet is full with it, and its last record may go over.
 */
enum { PACKET_BYTES = 88 * 1024, ZSTD_LEVEL = 19 };
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
    /* A failing database has many of them, and each is met again with each resend. */
    if (sender->unreadable++ == sender->unreadable_logged)
        log_error("spool: %s: kept, but not sent; what lies behind it goes on", why);
}

/* What is whole but no message, or none that a batch may carry: said here, and to the fleet. */
static bool give_up(struct sender *sender, const struct uplink_range *range, uint64_t seq,
                    const char *why, struct err *err)
{
    if (!spool_lose(sender->spool, range->incarnation, range->lane, seq, seq, SPOOL_LOST_DAMAGED,
                    err))
        return false;
    log_error("spool: lane %s, incarnation %016" PRIx64 ", seq %" PRIu64
              " is given up as damaged: %s",
              lane_name((Muster__Lane)range->lane), range->incarnation, seq, why);
    return true;
}

static bool begin_rows(struct gathering *gathering, const struct uplink_range *range,
                       struct err *err)
{
    gathering->capacity = range->max_records;
    gathering->unusable_seq = 0;
    gathering->rows = (struct lane_rows){
        .lane = (Muster__Lane)range->lane,
        .incarnation = range->incarnation,
        .rows = arena_alloc(&gathering->arena, range->max_records * sizeof(ProtobufCMessage *)),
    };
    return gathering->rows.rows != NULL ||
           err_set(err, ERR_NO_MEMORY, "no memory for %zu records", range->max_records);
}

/* Makes of what spool_read found the rows of a packet, or the word that they are lost. Without
 * either *ret_next says where to go on. */
static void take_found(struct gathering *gathering, const struct uplink_range *range,
                       const struct spool_found *found, uint64_t *ret_next)
{
    struct lane_rows *rows = &gathering->rows;
    if (found->count == 0 || found->first > range->to_seq) {
        *ret_next = found->count == 0 ? range->last_seq + 1 : found->first;
        rows->count = 0;
        return;
    }
    if (found->lost != SPOOL_HELD) {
        rows->rows = NULL;
        rows->lost = (Muster__LossReason)found->lost;
        rows->first_seq = found->first;
        rows->count = found->count < LIMIT_LOST_RANGE ? (size_t)found->count : LIMIT_LOST_RANGE;
    } else if (rows->count > range->to_seq - rows->first_seq + 1) {
        rows->count = (size_t)(range->to_seq - rows->first_seq + 1);
    }
}

/* Reads sound rows, or finds a loss. A record that is none is given up; where nothing sound stands
 * before it, it is found as lost at once. */
static bool read_range(struct sender *sender, const struct uplink_range *range, size_t max_bytes,
                       struct gathering *gathering, struct spool_found *found, struct err *err)
{
    for (int tries = 0; tries < 2; tries++) {
        if (!begin_rows(gathering, range, err))
            return false;
        *found = (struct spool_found){0};
        if (spool_read(sender->spool, range->incarnation, range->lane, range->from_seq,
                       range->max_records, max_bytes, gather_row, gathering, found, err))
            return true;
        if (err->code == ERR_NO_MEMORY)
            return false;
        struct err why = *err;
        if (gathering->unusable_seq != 0 &&
            !give_up(sender, range, gathering->unusable_seq, why.text, err))
            return false;
        if (gathering->unusable_seq == 0 || gathering->rows.count > 0)
            break;
    }
    /* What follows these shows itself when it is the first. */
    found->first = gathering->rows.first_seq;
    found->count = gathering->rows.count;
    return found->count > 0;
}

/* What there is of one range becomes `rows`. If that is nothing, *ret_next says where to go on. */
static bool gather(struct sender *sender, const struct uplink_range *range, size_t max_bytes,
                   struct gathering *gathering, uint64_t *ret_next, struct err *err)
{
    struct spool_found found = {0};
    struct lane_rows *rows = &gathering->rows;
    if (!read_range(sender, range, max_bytes, gathering, &found, err)) {
        if (err->code == ERR_NO_MEMORY)
            return false;
        count_unreadable(sender, err->text);
        rows->count = 0;
        *ret_next = range->from_seq + range->max_records;
        return true;
    }
    take_found(gathering, range, &found, ret_next);
    if (rows->count > 0)
        rows->behind = range->last_seq - (rows->first_seq + rows->count - 1);
    return true;
}

static bool make_packet(const struct sender *sender, const struct lane_rows *lanes,
                        size_t lane_count, struct buf *ret_envelope, struct uplink_packet *packet,
                        struct err *err)
{
    uint8_t digest[32];
    struct buf batch = {.limit = LIMIT_BATCH_WIRE_BYTES};
    bool ok =
        batch_encode(lanes, lane_count, ZSTD_LEVEL, &batch, err) &&
        seal("batch", sender->device, buf_bytes(&batch), &sender->key, 1, false, ret_envelope, err);
    if (ok) {
        sha256(buf_bytes(&batch), digest);
        memcpy(packet->digest, digest, sizeof packet->digest);
    }
    buf_done(&batch);
    return ok;
}

/* Hands the rows over, or says that they are no batch. */
static enum sent publish(struct sender *sender, uint64_t token, const struct lane_rows *lanes,
                         size_t lane_count, struct uplink_packet *packet, struct err *err)
{
    char topic[TOPIC_CHARS];
    struct buf envelope = {.limit = LIMIT_BATCH_WIRE_BYTES};
    enum sent sent = SENT;
    topic_device(TOPIC_UP_BATCH, sender->device, topic);
    if (!make_packet(sender, lanes, lane_count, &envelope, packet, err))
        sent = err->code == ERR_NO_MEMORY ? SENT_NOT_NOW : SENT_NEVER;
    else if (!linkport_publish(sender->port, token, topic, buf_bytes(&envelope), err))
        sent = SENT_NOT_NOW;
    else
        sender->batch_bytes += envelope.length;
    buf_done(&envelope);
    return sent;
}

/* Gathers the plan's ranges. *done is what of it there is to send. */
static bool gather_plan(struct sender *sender, const struct uplink_plan *plan, int64_t now_ms,
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
            uplink_skipped(&sender->uplink, plan, i, next, now_ms, random_u64());
            continue;
        }
        lanes[done->range_count] = gathering->rows;
        done->ranges[done->range_count++] = *range;
    }
    return true;
}

static void tell_sent(struct sender *sender, const struct uplink_plan *plan,
                      const struct lane_rows *lanes, struct uplink_packet *packet, int64_t now_ms)
{
    for (size_t i = 0; i < plan->range_count; i++) {
        packet->parts[packet->part_count++] = (struct uplink_part){
            .incarnation = lanes[i].incarnation,
            .lane = (int)lanes[i].lane,
            .first = lanes[i].first_seq,
            .last = lanes[i].first_seq + lanes[i].count - 1,
            .lost = lanes[i].lost != MUSTER__LOSS_REASON__LOSS_NONE,
        };
        if (lanes[i].lost == MUSTER__LOSS_REASON__LOSS_NONE)
            sender->records_sent += lanes[i].count;
        else
            sender->losses_sent++;
    }
    sender->batches++;
    uplink_sent(&sender->uplink, plan, packet, now_ms, random_u64());
}

/* The rows were no batch: one record alone is given up, more go as a smaller plan. */
static enum sent send_less(struct sender *sender, const struct uplink_plan *plan,
                           const struct lane_rows *lanes, struct uplink_plan *ret_smaller,
                           struct err *err)
{
    const struct lane_rows *rows = &lanes[0];
    if (plan->range_count > 1 || rows->count > 1) {
        *ret_smaller = *plan;
        ret_smaller->range_count = 1;
        ret_smaller->ranges[0].max_records = 1;
        return SENT_NEVER;
    }
    struct err why = *err;
    bool given_up = rows->lost == MUSTER__LOSS_REASON__LOSS_NONE &&
                    give_up(sender, &plan->ranges[0], rows->first_seq, why.text, err);
    return given_up ? SENT : SENT_NOT_NOW;
}

/* SENT_NEVER: not as one packet; *ret_smaller is a plan for less. */
static enum sent send_plan(struct sender *sender, const struct uplink_plan *plan, int64_t now_ms,
                           struct uplink_plan *ret_smaller)
{
    struct gathering gathering = {.arena = {.limit_bytes = 4u * LIMIT_BATCH_BODY_BYTES}};
    struct lane_rows lanes[UPLINK_PACKET_STREAMS];
    struct uplink_plan done = {.token = plan->token, .apart = plan->apart};
    struct uplink_packet packet = {0};
    struct err err = {0};
    enum sent sent = SENT_NOT_NOW;
    if (gather_plan(sender, plan, now_ms, &gathering, &done, lanes, &err))
        sent = done.range_count > 0
                   ? publish(sender, plan->token, lanes, done.range_count, &packet, &err)
                   : SENT;
    if (sent == SENT && done.range_count > 0)
        tell_sent(sender, &done, lanes, &packet, now_ms);
    else if (sent == SENT_NEVER)
        sent = send_less(sender, &done, lanes, ret_smaller, &err);
    if (sent == SENT_NOT_NOW)
        log_warn("a batch was not sent, it stays in the spool: %s", err.text);
    arena_done(&gathering.arena);
    return sent;
}

bool sender_refused(struct sender *sender, const uint8_t *digest, struct uplink_part *ret_lost)
{
    struct err err = {0};
    if (uplink_refused(&sender->uplink, digest, ret_lost) != UPLINK_ALONE)
        return false;
    if (!spool_lose(sender->spool, ret_lost->incarnation, ret_lost->lane, ret_lost->first,
                    ret_lost->last, SPOOL_LOST_UNDECODABLE, &err)) {
        log_error("a record that nobody can decode was not given up: %s", err.text);
        return false; /* refused again when it is sent again */
    }
    uplink_lost(&sender->uplink, ret_lost->incarnation, ret_lost->lane, ret_lost->first,
                ret_lost->last);
    return true;
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
