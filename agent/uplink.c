/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/uplink.h"

#include "base/backoff.h"

#include <string.h>

void uplink_init(struct uplink *uplink, const struct uplink_policy *policy)
{
    *uplink = (struct uplink){.policy = *policy, .next_token = 1};
    uplink->resend_wait_ms = policy->resend_ms;
}

void uplink_connected(struct uplink *uplink, int64_t now_ms)
{
    uplink->connected = true;
    uplink->welcome_until_ms = now_ms + uplink->policy.welcome_ms;
    memset(uplink->in_flight, 0, sizeof uplink->in_flight);
    uplink->cursor_count = 0;
    apart_restart(&uplink->apart);
    memset(uplink->remembered, 0, sizeof uplink->remembered);
    linger_release(&uplink->linger);
    uplink->resend_at_ms = 0;
    uplink->resend_wait_ms = uplink->policy.resend_ms;
}

void uplink_disconnected(struct uplink *uplink)
{
    uplink->connected = false;
    uplink->resend_at_ms = 0;
}

void uplink_welcomed(struct uplink *uplink)
{
    uplink->welcome_until_ms = 0;
}

void uplink_stored(struct uplink *uplink, enum haste haste, int64_t now_ms)
{
    linger_stored(&uplink->linger, &uplink->policy.linger, haste, now_ms);
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

/* The first seq of a stream that this session has not sent and nobody has receipted, but for what
 * goes apart. */
static uint64_t next_of(const struct uplink *uplink, const struct uplink_stream *stream)
{
    const struct uplink_cursor *cursor = find_cursor(uplink, stream->incarnation, stream->lane);
    uint64_t next = stream->first_unsent;
    if (cursor != NULL && cursor->next_seq > next)
        next = cursor->next_seq;
    const struct apart_range *range;
    while ((range = apart_at(&uplink->apart, stream->incarnation, stream->lane, next)) != NULL)
        next = range->last + 1;
    return next;
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
    uint64_t above = apart_above(&uplink->apart, stream->incarnation, stream->lane, next);
    uint64_t waiting = (above <= stream->last_seq ? above : stream->last_seq + 1) - next;
    return waiting > UPLINK_PACKET_RECORDS ? UPLINK_PACKET_RECORDS : (size_t)waiting;
}

struct stream_list {
    const struct uplink_stream *streams;
    size_t count;
};

static const struct uplink_stream *find_stream(const struct uplink_stream *streams,
                                               size_t stream_count, uint64_t incarnation, int lane)
{
    for (size_t i = 0; i < stream_count; i++)
        if (streams[i].incarnation == incarnation && streams[i].lane == lane)
            return &streams[i];
    return NULL;
}

static bool is_listed(const void *ctx, const struct apart_range *range)
{
    const struct stream_list *list = ctx;
    return find_stream(list->streams, list->count, range->incarnation, range->lane) != NULL;
}

/* What goes apart goes alone: whether a record can be decoded must not hang on others. */
static bool plan_apart(const struct uplink *uplink, const struct uplink_stream *streams,
                       size_t stream_count, struct uplink_plan *ret_plan)
{
    const struct stream_list list = {.streams = streams, .count = stream_count};
    const struct apart_range *range = apart_waiting(&uplink->apart, is_listed, &list);
    if (range == NULL)
        return false;
    uint64_t left = range->last - range->next + 1;
    uint64_t count = range->piece < left ? range->piece : left;
    *ret_plan = (struct uplink_plan){.token = uplink->next_token, .apart = true, .range_count = 1};
    ret_plan->ranges[0] = (struct uplink_range){
        .incarnation = range->incarnation,
        .lane = range->lane,
        .from_seq = range->next,
        .to_seq = range->last,
        .last_seq = find_stream(streams, stream_count, range->incarnation, range->lane)->last_seq,
        .max_records = count < UPLINK_PACKET_RECORDS ? (size_t)count : UPLINK_PACKET_RECORDS,
    };
    return true;
}

/* What waits in all lanes, as much as one packet takes. Returns for how many more records there
 * would be room. */
static size_t plan_waiting(const struct uplink *uplink, const struct uplink_stream *streams,
                           size_t stream_count, struct uplink_plan *ret_plan)
{
    struct uplink_plan plan = {.token = uplink->next_token};
    size_t room = UPLINK_PACKET_RECORDS;
    for (size_t i = 0; i < stream_count && room > 0; i++) {
        size_t count = room_in(uplink, &streams[i]);
        if (count == 0 || plan.range_count == UPLINK_PACKET_STREAMS)
            continue;
        if (count > room)
            count = room;
        uint64_t next = next_of(uplink, &streams[i]);
        plan.ranges[plan.range_count++] = (struct uplink_range){
            .incarnation = streams[i].incarnation,
            .lane = streams[i].lane,
            .from_seq = next,
            .to_seq =
                apart_above(&uplink->apart, streams[i].incarnation, streams[i].lane, next) - 1,
            .last_seq = streams[i].last_seq,
            .max_records = count,
        };
        room -= count;
    }
    *ret_plan = plan;
    return room;
}

static bool all_sent(const struct uplink *uplink, const struct uplink_stream *streams,
                     size_t stream_count)
{
    for (size_t i = 0; i < stream_count; i++)
        if (next_of(uplink, &streams[i]) <= streams[i].last_seq)
            return false;
    return true;
}

bool uplink_next(struct uplink *uplink, const struct uplink_stream *streams, size_t stream_count,
                 int64_t now_ms, struct uplink_plan *ret_plan)
{
    struct uplink_plan plan;
    if (!uplink->connected || !window_open(uplink) || now_ms < uplink->welcome_until_ms)
        return false;
    if (plan_apart(uplink, streams, stream_count, ret_plan))
        return true;
    size_t room = plan_waiting(uplink, streams, stream_count, &plan);
    if (plan.range_count == 0) {
        if (all_sent(uplink, streams, stream_count))
            linger_drained(&uplink->linger, &uplink->policy.linger, now_ms);
        return false;
    }
    /* A full packet gains nothing by waiting. */
    if (room > 0 && !linger_over(&uplink->linger, now_ms))
        return false;
    *ret_plan = plan;
    return true;
}

static void move_cursor(struct uplink *uplink, uint64_t incarnation, int lane, uint64_t from_seq,
                        uint64_t next_seq)
{
    for (size_t i = 0; i < uplink->cursor_count; i++) {
        struct uplink_cursor *cursor = &uplink->cursors[i];
        if (cursor->incarnation == incarnation && cursor->lane == lane) {
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
        .incarnation = incarnation,
        .lane = lane,
        .next_seq = next_seq,
        .low_seq = from_seq,
    };
}

static void expect_receipts(struct uplink *uplink, int64_t now_ms, uint64_t random)
{
    if (uplink->resend_at_ms == 0)
        uplink->resend_at_ms = now_ms + backoff_spread_ms(2 * uplink->resend_wait_ms, random);
}

void uplink_sent(struct uplink *uplink, const struct uplink_plan *plan,
                 const struct uplink_packet *packet, int64_t now_ms, uint64_t random)
{
    for (size_t i = 0; i < packet->part_count; i++) {
        const struct uplink_part *part = &packet->parts[i];
        if (plan->apart)
            apart_moved(&uplink->apart, part->incarnation, part->lane, plan->ranges[0].from_seq,
                        part->last + 1, true);
        else
            move_cursor(uplink, part->incarnation, part->lane, part->first, part->last + 1);
    }
    for (size_t i = 0; i < UPLINK_WINDOW; i++) {
        if (uplink->in_flight[i] == 0) {
            uplink->in_flight[i] = plan->token;
            break;
        }
    }
    uplink->remembered[uplink->remember_next] = *packet;
    uplink->remember_next = (uplink->remember_next + 1) % UPLINK_REMEMBERED;
    uplink->next_token = plan->token + 1;
    expect_receipts(uplink, now_ms, random);
}

void uplink_skipped(struct uplink *uplink, const struct uplink_plan *plan, size_t range,
                    uint64_t next_seq, int64_t now_ms, uint64_t random)
{
    const struct uplink_range *skipped = &plan->ranges[range];
    if (plan->apart)
        apart_moved(&uplink->apart, skipped->incarnation, skipped->lane, skipped->from_seq,
                    next_seq, false);
    else
        move_cursor(uplink, skipped->incarnation, skipped->lane, skipped->from_seq, next_seq);
    /* Where nothing was sent either, it would be tried again by nobody. */
    expect_receipts(uplink, now_ms, random);
}

/* ---- refused, given up, asked for again ---- */

/* Takes the packet out of what is remembered: said twice, a refusal counts once. */
static bool recall(struct uplink *uplink, const uint8_t *digest, struct uplink_packet *ret_packet)
{
    bool found = false;
    for (size_t i = 0; i < UPLINK_REMEMBERED; i++) {
        struct uplink_packet *packet = &uplink->remembered[i];
        if (packet->part_count == 0 || memcmp(packet->digest, digest, UPLINK_DIGEST_BYTES) != 0)
            continue;
        *ret_packet = *packet;
        packet->part_count = 0;
        found = true;
    }
    return found;
}

enum uplink_refusal uplink_refused(struct uplink *uplink, const uint8_t *digest,
                                   struct uplink_part *ret_alone)
{
    struct uplink_packet packet = {0};
    bool known = recall(uplink, digest, &packet);
    const struct uplink_part *one = &packet.parts[0];
    if (!known || (packet.part_count == 1 && one->lost)) {
        uplink->refusals_ignored++;
        return UPLINK_IGNORED;
    }
    if (packet.part_count == 1 && one->first == one->last) {
        *ret_alone = *one;
        return UPLINK_ALONE;
    }
    for (size_t i = 0; i < packet.part_count; i++) {
        const struct uplink_part *part = &packet.parts[i];
        uint64_t count = part->last - part->first + 1;
        uint64_t piece = packet.part_count > 1 ? count : (count + 1) / 2;
        apart_add(&uplink->apart, part->incarnation, part->lane, part->first, part->last, piece);
    }
    return UPLINK_SMALLER;
}

void uplink_lost(struct uplink *uplink, uint64_t incarnation, int lane, uint64_t first,
                 uint64_t last)
{
    uint64_t end = last < UINT64_MAX ? last : UINT64_MAX - 1;
    apart_add(&uplink->apart, incarnation, lane, first, end, UPLINK_PACKET_RECORDS);
}

void uplink_again(struct uplink *uplink, uint64_t incarnation, int lane)
{
    for (size_t i = 0; i < uplink->cursor_count; i++)
        if (uplink->cursors[i].incarnation == incarnation && uplink->cursors[i].lane == lane)
            uplink->cursors[i].next_seq = uplink->cursors[i].low_seq = 1;
}

/* ---- receipts that do not come ---- */

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
        const struct uplink_stream *stream =
            find_stream(streams, stream_count, cursor.incarnation, cursor.lane);
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

static void settle_apart(struct uplink *uplink, const struct uplink_stream *streams,
                         size_t stream_count)
{
    for (size_t i = uplink->apart.count; i-- > 0;) {
        /* Settling may remove others too; those behind `i` have had their turn. */
        if (i >= uplink->apart.count)
            continue;
        const struct apart_range range = uplink->apart.ranges[i];
        const struct uplink_stream *stream =
            find_stream(streams, stream_count, range.incarnation, range.lane);
        apart_settled(&uplink->apart, range.incarnation, range.lane,
                      stream != NULL ? stream->first_unsent : UINT64_MAX,
                      stream != NULL ? stream->last_seq : 0);
    }
}

void uplink_tick(struct uplink *uplink, const struct uplink_stream *streams, size_t stream_count,
                 int64_t now_ms, uint64_t random)
{
    settle_apart(uplink, streams, stream_count);
    if (!uplink->connected || uplink->resend_at_ms == 0)
        return;
    if (!apart_outstanding(&uplink->apart) && all_receipted(uplink, streams, stream_count)) {
        uplink->resend_at_ms = 0;
        uplink->resend_wait_ms = uplink->policy.resend_ms;
        return;
    }
    if (now_ms < uplink->resend_at_ms)
        return;
    size_t waiting = 0;
    size_t overdue = rewind_overdue(uplink, streams, stream_count, &waiting);
    overdue += apart_overdue(&uplink->apart, &waiting);
    if (overdue > 0) {
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

bool uplink_owes(const struct uplink *uplink, int64_t now_ms)
{
    return uplink->connected && (uplink->linger.drained || linger_over(&uplink->linger, now_ms));
}

int64_t uplink_deadline(const struct uplink *uplink, int64_t now_ms)
{
    if (!uplink->connected)
        return INT64_MAX;
    if (now_ms < uplink->welcome_until_ms)
        return uplink->welcome_until_ms;
    /* A linger that is over needs no timer: what may go has gone or waits for the window. */
    int64_t deadline = linger_deadline(&uplink->linger, now_ms);
    if (uplink->resend_at_ms != 0 && uplink->resend_at_ms < deadline)
        deadline = uplink->resend_at_ms;
    return deadline;
}
