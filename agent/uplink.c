/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/uplink.h"

#include "base/backoff.h"

#include <string.h>

void uplink_init(struct uplink *uplink, const struct uplink_policy *policy)
{
    *uplink = (struct uplink){.policy = *policy, .next_token = 1};
    uplink->resend_wait_ms = policy->resend_ms;
}

void uplink_connected(struct uplink *uplink)
{
    uplink->connected = true;
    memset(uplink->in_flight, 0, sizeof uplink->in_flight);
    uplink->cursor_count = 0;
    uplink->linger_until_ms = 0;
    uplink->resend_at_ms = 0;
    uplink->resend_wait_ms = uplink->policy.resend_ms;
}

void uplink_disconnected(struct uplink *uplink)
{
    uplink->connected = false;
    uplink->resend_at_ms = 0;
}

void uplink_stored(struct uplink *uplink, bool urgent, int64_t now_ms)
{
    if (urgent)
        uplink->linger_until_ms = now_ms;
    else if (uplink->linger_until_ms == 0 || uplink->linger_until_ms <= now_ms)
        uplink->linger_until_ms = now_ms + uplink->policy.linger_ms;
}

void uplink_puback(struct uplink *uplink, uint64_t token)
{
    for (size_t i = 0; i < UPLINK_WINDOW; i++)
        if (token != 0 && uplink->in_flight[i] == token)
            uplink->in_flight[i] = 0;
}

static const struct uplink_cursor *find_cursor(const struct uplink *uplink, uint64_t incarnation,
                                               int lane)
{
    for (size_t i = 0; i < uplink->cursor_count; i++)
        if (uplink->cursors[i].incarnation == incarnation && uplink->cursors[i].lane == lane)
            return &uplink->cursors[i];
    return NULL;
}

/* The first seq of a stream that this session has not sent and nobody has receipted. */
static uint64_t next_of(const struct uplink *uplink, const struct uplink_stream *stream)
{
    const struct uplink_cursor *cursor = find_cursor(uplink, stream->incarnation, stream->lane);
    if (cursor == NULL || cursor->next_seq < stream->first_unsent)
        return stream->first_unsent;
    return cursor->next_seq;
}

static bool window_open(const struct uplink *uplink)
{
    for (size_t i = 0; i < UPLINK_WINDOW; i++)
        if (uplink->in_flight[i] == 0)
            return true;
    return false;
}

/* How many records of the stream may go now: 0 when all are sent or too many lack a receipt. */
static size_t room_in(const struct uplink *uplink, const struct uplink_stream *stream)
{
    uint64_t next = next_of(uplink, stream);
    uint64_t receipted = stream->first_unsent - 1;
    if (stream->receipted_to > receipted)
        receipted = stream->receipted_to; /* beyond a hole; the resend sees to that */
    if (next > stream->last_seq || (next > receipted && next - receipted > UPLINK_AHEAD_RECORDS))
        return 0;
    uint64_t waiting = stream->last_seq - next + 1;
    return waiting > UPLINK_PACKET_RECORDS ? UPLINK_PACKET_RECORDS : (size_t)waiting;
}

bool uplink_next(const struct uplink *uplink, const struct uplink_stream *streams,
                 size_t stream_count, int64_t now_ms, struct uplink_plan *ret_plan)
{
    if (!uplink->connected || !window_open(uplink))
        return false;
    struct uplink_plan plan = {.token = uplink->next_token};
    size_t room = UPLINK_PACKET_RECORDS;
    for (size_t i = 0; i < stream_count && room > 0; i++) {
        size_t count = room_in(uplink, &streams[i]);
        if (count == 0 || plan.range_count == UPLINK_PACKET_STREAMS)
            continue;
        if (count > room)
            count = room;
        plan.ranges[plan.range_count++] = (struct uplink_range){
            .incarnation = streams[i].incarnation,
            .lane = streams[i].lane,
            .from_seq = next_of(uplink, &streams[i]),
            .max_records = count,
        };
        room -= count;
    }
    bool full = room == 0;
    if (plan.range_count == 0 || (!full && now_ms < uplink->linger_until_ms))
        return false;
    *ret_plan = plan;
    return true;
}

static void move_cursor(struct uplink *uplink, const struct uplink_range *range, uint64_t next_seq)
{
    for (size_t i = 0; i < uplink->cursor_count; i++) {
        struct uplink_cursor *cursor = &uplink->cursors[i];
        if (cursor->incarnation == range->incarnation && cursor->lane == range->lane) {
            cursor->next_seq = next_seq;
            return;
        }
    }
    /* The oldest cursor belongs to a stream that was drained first: its place is reused. */
    if (uplink->cursor_count == UPLINK_STREAMS) {
        memmove(uplink->cursors, uplink->cursors + 1,
                (UPLINK_STREAMS - 1) * sizeof *uplink->cursors);
        uplink->cursor_count--;
    }
    uplink->cursors[uplink->cursor_count++] = (struct uplink_cursor){
        .incarnation = range->incarnation,
        .lane = range->lane,
        .next_seq = next_seq,
        .low_seq = range->from_seq,
    };
}

void uplink_sent(struct uplink *uplink, const struct uplink_plan *plan, const uint64_t *last_seq,
                 int64_t now_ms, uint64_t random)
{
    for (size_t i = 0; i < plan->range_count; i++)
        move_cursor(uplink, &plan->ranges[i], last_seq[i] + 1);
    for (size_t i = 0; i < UPLINK_WINDOW; i++) {
        if (uplink->in_flight[i] == 0) {
            uplink->in_flight[i] = plan->token;
            break;
        }
    }
    uplink->next_token = plan->token + 1;
    if (uplink->resend_at_ms == 0)
        uplink->resend_at_ms = now_ms + backoff_spread_ms(2 * uplink->resend_wait_ms, random);
}

void uplink_skipped(struct uplink *uplink, const struct uplink_range *range, uint64_t next_seq)
{
    move_cursor(uplink, range, next_seq);
}

static const struct uplink_stream *find_stream(const struct uplink_stream *streams,
                                               size_t stream_count,
                                               const struct uplink_cursor *cursor)
{
    for (size_t i = 0; i < stream_count; i++)
        if (streams[i].incarnation == cursor->incarnation && streams[i].lane == cursor->lane)
            return &streams[i];
    return NULL;
}

/* Takes back the cursors of streams whose low end has not moved since they were looked at last:
 * one that is served well does not stand for another that is not. Returns how many; what else
 * waits for a receipt is counted in *ret_waiting. */
static size_t rewind_overdue(struct uplink *uplink, const struct uplink_stream *streams,
                             size_t stream_count, size_t *ret_waiting)
{
    size_t kept = 0;
    size_t rewound = 0;
    size_t waiting = 0;
    for (size_t i = 0; i < uplink->cursor_count; i++) {
        struct uplink_cursor cursor = uplink->cursors[i];
        const struct uplink_stream *stream = find_stream(streams, stream_count, &cursor);
        if (stream == NULL)
            continue; /* drained */
        bool outstanding = cursor.next_seq > stream->first_unsent;
        bool moved = stream->first_unsent > cursor.low_seq;
        if (outstanding && !moved) {
            rewound++;
            continue;
        }
        waiting += outstanding ? 1 : 0;
        cursor.low_seq = stream->first_unsent;
        uplink->cursors[kept++] = cursor;
    }
    uplink->cursor_count = kept;
    *ret_waiting = waiting;
    return rewound;
}

/* True when everything that this session sent has been receipted. */
static bool all_receipted(const struct uplink *uplink, const struct uplink_stream *streams,
                          size_t stream_count)
{
    for (size_t i = 0; i < stream_count; i++) {
        const struct uplink_cursor *cursor =
            find_cursor(uplink, streams[i].incarnation, streams[i].lane);
        if (cursor != NULL && cursor->next_seq > streams[i].first_unsent)
            return false;
    }
    return true;
}

void uplink_tick(struct uplink *uplink, const struct uplink_stream *streams, size_t stream_count,
                 int64_t now_ms, uint64_t random)
{
    if (!uplink->connected || uplink->resend_at_ms == 0)
        return;
    if (all_receipted(uplink, streams, stream_count)) {
        uplink->resend_at_ms = 0;
        uplink->resend_wait_ms = uplink->policy.resend_ms;
        return;
    }
    if (now_ms < uplink->resend_at_ms)
        return;
    size_t waiting = 0;
    if (rewind_overdue(uplink, streams, stream_count, &waiting) > 0) {
        memset(uplink->in_flight, 0, sizeof uplink->in_flight);
        uplink->resends++;
        uplink->resend_wait_ms *= 2;
        if (uplink->resend_wait_ms > uplink->policy.resend_max_ms)
            uplink->resend_wait_ms = uplink->policy.resend_max_ms;
    } else if (waiting > 0) {
        uplink->resend_wait_ms = uplink->policy.resend_ms;
    }
    uplink->resend_at_ms = now_ms + backoff_spread_ms(2 * uplink->resend_wait_ms, random);
}

int64_t uplink_deadline(const struct uplink *uplink, int64_t now_ms)
{
    if (!uplink->connected)
        return INT64_MAX;
    int64_t deadline = INT64_MAX;
    /* A linger that is over needs no timer: what may go has gone or waits for the window. */
    if (uplink->linger_until_ms > now_ms)
        deadline = uplink->linger_until_ms;
    if (uplink->resend_at_ms != 0 && uplink->resend_at_ms < deadline)
        deadline = uplink->resend_at_ms;
    return deadline;
}
