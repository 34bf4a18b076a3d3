/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

#include "base/log.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <string.h>

enum { RECEIPT_RANGES_MAX = 2000, RECEIPT_ARENA_BYTES = 256 * 1024, CONFLICTS_MAX = 256 };

/* What may be said to be committed: an id under which the terminal holds other content than we do
 * is not, or that content would be forgotten. */
static bool read_stream(struct collector *collector, int64_t device, const struct owed_stream *name,
                        struct fleetdb_stream *ret_stream, struct err *err)
{
    uint64_t conflicts[CONFLICTS_MAX];
    size_t count = 0;
    struct fleetdb *db = collector->settings.db;
    if (!fleetdb_stream_read(db, device, name->incarnation, name->lane, ret_stream, err) ||
        !fleetdb_stream_conflicts(db, device, name->incarnation, name->lane, conflicts,
                                  CONFLICTS_MAX, &count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        receipts_leave_out(ret_stream, conflicts[i]);
    if (count == CONFLICTS_MAX) /* there may be more */
        receipts_cut(ret_stream, conflicts[count - 1]);
    return true;
}

/* One stream's part of a receipt. The room for ranges is shared by all of them; what does not fit
 * is receipted when it comes again. */
static bool add_stream(struct collector *collector, int64_t device, const struct owed_stream *name,
                       struct arena *arena, size_t *ranges_left, Muster__StreamReceipt *part,
                       struct err *err)
{
    struct fleetdb_stream stream;
    if (!read_stream(collector, device, name, &stream, err))
        return false;
    size_t count = stream.range_count < *ranges_left ? stream.range_count : *ranges_left;
    Muster__SeqRange *ranges = arena_alloc(arena, (count + 1) * sizeof *ranges);
    part->ranges = arena_alloc(arena, (count + 1) * sizeof(Muster__SeqRange *));
    if (ranges == NULL || part->ranges == NULL)
        return err_set(err, ERR_NO_MEMORY, "a receipt needs too much memory");
    part->incarnation = name->incarnation;
    part->lane = (Muster__Lane)name->lane;
    part->cumulative = stream.cumulative;
    part->n_ranges = count;
    for (size_t i = 0; i < count; i++) {
        muster__seq_range__init(&ranges[i]);
        ranges[i].first = stream.ranges[i].first;
        ranges[i].last = stream.ranges[i].last;
        part->ranges[i] = &ranges[i];
    }
    *ranges_left -= count;
    return true;
}

static bool pack_receipt(struct collector *collector, const struct owed *owed, struct arena *arena,
                         struct buf *out, struct err *err)
{
    Muster__StreamReceipt parts[OWED_STREAMS_MAX];
    Muster__StreamReceipt *list[OWED_STREAMS_MAX];
    size_t ranges_left = RECEIPT_RANGES_MAX;
    for (size_t i = 0; i < owed->stream_count; i++) {
        muster__stream_receipt__init(&parts[i]);
        list[i] = &parts[i];
        if (!add_stream(collector, owed->device, &owed->streams[i], arena, &ranges_left, &parts[i],
                        err))
            return false;
    }
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    receipt.device = (char *)(uintptr_t)owed->id;
    receipt.issued_ms = clock_wall_ms(collector->settings.clock);
    receipt.n_streams = owed->stream_count;
    receipt.streams = list;
    return pack(&receipt.base, out, err);
}

bool collector_build_receipt(struct collector *collector, const struct owed *owed, struct buf *out,
                             struct err *err)
{
    struct arena arena = {.limit_bytes = RECEIPT_ARENA_BYTES};
    struct buf body = {0};
    bool done = pack_receipt(collector, owed, &arena, &body, err) &&
                seal("receipt", owed->id, buf_bytes(&body), &collector->settings.receipt_key, 1,
                     true, out, err);
    buf_done(&body);
    arena_done(&arena);
    return done;
}

static bool pack_welcome(struct collector *collector, const struct owed *owed,
                         const struct buf *receipt, struct buf *out, struct err *err)
{
    Muster__Welcome welcome = MUSTER__WELCOME__INIT;
    welcome.device = (char *)(uintptr_t)owed->id;
    welcome.nonce.data = (uint8_t *)(uintptr_t)owed->nonce;
    welcome.nonce.len = sizeof owed->nonce;
    welcome.wall_ms = clock_wall_ms(collector->settings.clock);
    welcome.receipt.data = receipt->data;
    welcome.receipt.len = receipt->length;
    welcome.manifest.data = owed->manifest.data;
    welcome.manifest.len = owed->manifest.length;
    welcome.refusal = (char *)(uintptr_t)owed->refusal;
    return pack(&welcome.base, out, err);
}

bool collector_build_welcome(struct collector *collector, const struct owed *owed, struct buf *out,
                             struct err *err)
{
    struct buf receipt = {0}, body = {0};
    bool done =
        (owed->stream_count == 0 || collector_build_receipt(collector, owed, &receipt, err)) &&
        pack_welcome(collector, owed, &receipt, &body, err) &&
        seal("welcome", owed->id, buf_bytes(&body), &collector->settings.director_key, 1, true, out,
             err);
    buf_done(&receipt);
    buf_done(&body);
    return done;
}

/* A welcome carries the receipt of all that is owed, so one message settles both. */
static bool reply(struct collector *collector, const struct owed *owed)
{
    struct buf message = {0};
    struct err err = {0};
    char topic[TOPIC_CHARS];
    topic_device(owed->welcome ? TOPIC_DOWN_WELCOME : TOPIC_DOWN_RECEIPT, owed->id, topic);
    bool built = owed->welcome ? collector_build_welcome(collector, owed, &message, &err)
                               : collector_build_receipt(collector, owed, &message, &err);
    bool sent = built && collector->ports.send(collector->ports.ctx, topic, buf_bytes(&message));
    buf_done(&message);
    if (!built) /* not kept: the device will send or ask again */
        log_error("no reply to %s: %s", owed->id, err.text);
    if (sent)
        metrics_add(collector->settings.metrics, owed->welcome ? METRIC_WELCOMES : METRIC_RECEIPTS,
                    1);
    return sent || !built;
}

int64_t collector_pump(struct collector *collector)
{
    struct owed *owed = NULL;
    while (!collector->blocked && (owed = owed_first(&collector->owed)) != NULL) {
        int64_t due_ms = receipts_due_ms(&owed->wait, &collector->settings.receipts,
                                         clock_boot_ms(collector->settings.clock));
        if (!owed->welcome && due_ms > 0)
            return due_ms;
        if (owed->welcome || due_ms == 0)
            collector->blocked = !reply(collector, owed);
        if (!collector->blocked)
            owed_remove(&collector->owed, owed);
    }
    return -1;
}
