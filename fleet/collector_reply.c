/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

#include "proto/limits.h"
#include "proto/unpack.h"

#include <stdio.h>

/* So many bytes of the wire a stream and a range cost at the most (seqs are below 2^53, 8 bytes),
 * and may be used of a receipt, and of a welcome beside its receipt and its manifest. What does not
 * fit is said when it comes again. */
/* What is being signed is looked after so soon, should nobody call us before. */
static const int64_t signing_ms = 5;

enum {
    STREAM_COST = 32,
    RANGE_COST = 24,
    RECEIPT_ROOM = LIMIT_RECEIPT_BYTES - 2048,
    AGAIN_ROOM = LIMIT_WELCOME_BYTES - LIMIT_RECEIPT_BYTES - LIMIT_MANIFEST_BYTES - 2048,
    REPLY_ARENA_BYTES = 1024 * 1024,
    CONFLICTS_MAX = 256,
};

/* What may be said to be committed: an id under which the terminal is known to hold other content
 * than we do is not, or that content would be forgotten. Those ids are given too, ascending. */
struct told {
    struct fleetdb_stream stream;
    size_t refused_count;
    uint64_t refused[CONFLICTS_MAX];
};

static bool read_stream(struct collector *collector, int64_t device, const struct owed_stream *name,
                        struct told *ret_told, struct err *err)
{
    struct fleetdb *db = collector->settings.db;
    if (!fleetdb_stream_read(db, device, name->incarnation, name->lane, &ret_told->stream, err) ||
        !fleetdb_stream_conflicts(db, device, name->incarnation, name->lane, ret_told->refused,
                                  CONFLICTS_MAX, &ret_told->refused_count, err))
        return false;
    size_t count = ret_told->refused_count;
    for (size_t i = 0; i < count; i++)
        receipts_leave_out(&ret_told->stream, ret_told->refused[i]);
    if (count == CONFLICTS_MAX) /* there may be more */
        receipts_cut(&ret_told->stream, ret_told->refused[count - 1]);
    return true;
}

/* A list of ranges in a message under construction, within what is left of its room. */
struct ranges {
    Muster__SeqRange **list;
    size_t count, max;
};

static bool make_ranges(struct ranges *ranges, size_t wanted, size_t room, struct arena *arena,
                        struct err *err)
{
    ranges->count = 0;
    ranges->max = wanted < room / RANGE_COST ? wanted : room / RANGE_COST;
    ranges->list = arena_alloc(arena, (ranges->max + 1) * sizeof(Muster__SeqRange *));
    Muster__SeqRange *all = arena_alloc(arena, (ranges->max + 1) * sizeof *all);
    if (ranges->list == NULL || all == NULL)
        return err_set(err, ERR_NO_MEMORY, "a receipt needs too much memory");
    for (size_t i = 0; i < ranges->max; i++) {
        muster__seq_range__init(&all[i]);
        ranges->list[i] = &all[i];
    }
    return true;
}

static void add_range(struct ranges *ranges, uint64_t first, uint64_t last)
{
    Muster__SeqRange *top = ranges->count > 0 ? ranges->list[ranges->count - 1] : NULL;
    if (top != NULL && top->last + 1 == first) {
        top->last = last;
    } else if (ranges->count < ranges->max) {
        ranges->list[ranges->count]->first = first;
        ranges->list[ranges->count++]->last = last;
    }
}

/* One stream's part. Once the room is used up a part says less than it could. */
static bool fill_part(const struct told *told, struct arena *arena, size_t *room,
                      Muster__StreamReceipt *part, struct err *err)
{
    const struct fleetdb_stream *stream = &told->stream;
    struct ranges ranges, refused;
    if (!make_ranges(&refused, told->refused_count, *room, arena, err))
        return false;
    for (size_t i = 0; i < told->refused_count; i++)
        add_range(&refused, told->refused[i], told->refused[i]);
    *room -= refused.count * RANGE_COST;
    if (!make_ranges(&ranges, stream->range_count, *room, arena, err))
        return false;
    for (size_t i = 0; i < stream->range_count; i++)
        add_range(&ranges, stream->ranges[i].first, stream->ranges[i].last);
    *room -= ranges.count * RANGE_COST;
    muster__stream_receipt__init(part);
    part->incarnation = stream->incarnation;
    part->lane = (Muster__Lane)stream->lane;
    part->cumulative = stream->cumulative;
    part->n_ranges = ranges.count;
    part->ranges = ranges.list;
    part->n_refused = refused.count;
    part->refused = refused.list;
    return true;
}

struct parts {
    Muster__StreamReceipt **list;
    size_t count;
};

/* The parts of all streams that are owed, newest first as far as there is room; of `again` only
 * those that are asked for again, which need no word on what is refused. */
static bool make_parts(struct collector *collector, const struct owed *owed, bool again,
                       struct arena *arena, struct parts *parts, struct err *err)
{
    size_t room = again ? AGAIN_ROOM : RECEIPT_ROOM;
    struct told told; /* not cleared: most of it is room */
    parts->count = 0;
    parts->list = arena_alloc(arena, (owed->stream_count + 1) * sizeof(Muster__StreamReceipt *));
    if (parts->list == NULL)
        return err_set(err, ERR_NO_MEMORY, "a receipt needs too much memory");
    for (size_t i = owed->stream_count; i-- > 0 && room >= STREAM_COST;) {
        const struct owed_stream *name = &owed->streams[i];
        if (again && !name->again)
            continue;
        Muster__StreamReceipt *part = arena_alloc(arena, sizeof *part);
        if (part == NULL)
            return err_set(err, ERR_NO_MEMORY, "a receipt needs too much memory");
        room -= STREAM_COST;
        if (!read_stream(collector, owed->device, name, &told, err))
            return false;
        if (again)
            told.refused_count = 0;
        if (!fill_part(&told, arena, &room, part, err))
            return false;
        parts->list[parts->count++] = part;
    }
    return true;
}

static bool pack_receipt(struct collector *collector, const struct owed *owed, struct arena *arena,
                         struct buf *out, struct err *err)
{
    struct parts parts;
    ProtobufCBinaryData undecodable[LIMIT_UNDECODABLE];
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    if (!make_parts(collector, owed, false, arena, &parts, err))
        return false;
    for (size_t i = 0; i < owed->undecodable_count; i++)
        undecodable[i] = (ProtobufCBinaryData){OWED_DIGEST_BYTES, owed->undecodable[i]};
    receipt.device = (char *)(uintptr_t)owed->id;
    receipt.issued_ms = clock_wall_ms(collector->settings.clock);
    receipt.n_streams = parts.count;
    receipt.streams = parts.list;
    receipt.n_undecodable = owed->undecodable_count;
    receipt.undecodable = undecodable;
    return pack(&receipt.base, out, err);
}

bool collector_build_receipt(struct collector *collector, const struct owed *owed, struct buf *out,
                             struct err *err)
{
    struct arena arena = {.limit_bytes = REPLY_ARENA_BYTES};
    struct buf body = {0};
    bool done = pack_receipt(collector, owed, &arena, &body, err) &&
                seal("receipt", owed->id, buf_bytes(&body), &collector->settings.receipt_key, 1,
                     true, out, err);
    buf_done(&body);
    arena_done(&arena);
    return done;
}

static bool pack_welcome(struct collector *collector, const struct owed *owed,
                         const struct buf *receipt, struct arena *arena, struct buf *out,
                         struct err *err)
{
    struct parts again;
    Muster__Welcome welcome = MUSTER__WELCOME__INIT;
    if (!make_parts(collector, owed, true, arena, &again, err))
        return false;
    welcome.device = (char *)(uintptr_t)owed->id;
    welcome.nonce.data = (uint8_t *)(uintptr_t)owed->nonce;
    welcome.nonce.len = sizeof owed->nonce;
    welcome.wall_ms = clock_wall_ms(collector->settings.clock);
    welcome.receipt.data = receipt->data;
    welcome.receipt.len = receipt->length;
    welcome.manifest.data = owed->manifest.data;
    welcome.manifest.len = owed->manifest.length;
    welcome.root_version = owed->wants.root_version;
    welcome.manifest_epoch = owed->wants.epoch;
    welcome.manifest_version = owed->wants.version;
    welcome.manifest_sha256.data = (uint8_t *)(uintptr_t)owed->wants.sha256;
    welcome.manifest_sha256.len = owed->wants.version != 0 ? sizeof owed->wants.sha256 : 0;
    welcome.refusal = (char *)(uintptr_t)owed->refusal;
    welcome.n_again = again.count;
    welcome.again = again.list;
    return pack(&welcome.base, out, err);
}

bool collector_build_welcome(struct collector *collector, const struct owed *owed, struct buf *out,
                             struct err *err)
{
    struct arena arena = {.limit_bytes = REPLY_ARENA_BYTES};
    struct buf receipt = {0}, body = {0};
    bool nothing = owed->stream_count == 0 && owed->undecodable_count == 0;
    bool done = (nothing || collector_build_receipt(collector, owed, &receipt, err)) &&
                pack_welcome(collector, owed, &receipt, &arena, &body, err) &&
                seal("welcome", owed->id, buf_bytes(&body), &collector->settings.director_key, 1,
                     true, out, err);
    arena_done(&arena);
    buf_done(&receipt);
    buf_done(&body);
    return done;
}

static bool pack_reply(struct collector *collector, const struct owed *owed,
                       struct sealer_reply *reply)
{
    struct arena arena = {.limit_bytes = REPLY_ARENA_BYTES};
    if (owed->welcome)
        return collector_build_welcome(collector, owed, &reply->message, &reply->why);
    reply->key = collector->settings.receipt_key;
    reply->domain = "receipt";
    bool done = pack_receipt(collector, owed, &arena, &reply->body, &reply->why);
    arena_done(&arena);
    return done;
}

static void no_reply(const struct sealer_reply *reply)
{
    log_error("no reply to %s: %s", reply->id, reply->why.text);
}

/* A welcome carries the receipt of all that is owed, so one message settles both. What cannot be
 * built is not kept: the device will send or ask again. */
static void prepare(struct collector *collector, const struct owed *owed)
{
    struct sealer_reply reply = {.welcome = owed->welcome};
    topic_device(owed->welcome ? TOPIC_DOWN_WELCOME : TOPIC_DOWN_RECEIPT, owed->id, reply.topic);
    (void)snprintf(reply.id, sizeof reply.id, "%s", owed->id);
    if (pack_reply(collector, owed, &reply)) {
        sealer_give(collector->sealer, &reply);
        return;
    }
    no_reply(&reply);
    buf_done(&reply.body);
    buf_done(&reply.message);
}

static bool send_reply(struct collector *collector, const struct sealer_reply *reply)
{
    if (reply->message.length == 0) {
        no_reply(reply);
        return true;
    }
    if (!collector->ports.send(collector->ports.ctx, reply->topic, buf_bytes(&reply->message)))
        return false;
    metrics_add(collector->settings.metrics, reply->welcome ? METRIC_WELCOMES : METRIC_RECEIPTS, 1);
    return true;
}

static void send_signed(struct collector *collector)
{
    const struct sealer_reply *reply = NULL;
    while (!collector->blocked && (reply = sealer_first(collector->sealer)) != NULL) {
        collector->blocked = !send_reply(collector, reply);
        if (!collector->blocked)
            sealer_drop(collector->sealer);
    }
}

int64_t collector_pump(struct collector *collector)
{
    struct owed *owed = NULL;
    int64_t wait_ms = -1;
    bool held = false;
    send_signed(collector);
    while (!collector->blocked && !sealer_full(collector->sealer) &&
           (owed = owed_first(&collector->owed)) != NULL) {
        int64_t now_ms = clock_boot_ms(collector->settings.clock);
        if (owed->due_ms > now_ms) {
            wait_ms = owed->due_ms - now_ms;
            break;
        }
        if (!held)
            fleetdb_hold(collector->settings.db);
        held = true;
        if (owed->welcome || owed->wait.batches > 0)
            prepare(collector, owed);
        owed_remove(&collector->owed, owed);
        send_signed(collector);
    }
    if (held)
        fleetdb_release(collector->settings.db);
    bool signing = !collector->blocked && !sealer_empty(collector->sealer);
    return signing && (wait_ms < 0 || wait_ms > signing_ms) ? signing_ms : wait_ms;
}
