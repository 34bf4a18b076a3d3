/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

#include "proto/limits.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    RECEIPTS_HEARD = 64, /* of one hello: each is a signature to verify */
    RECEIPT_ARENA_BYTES = 1024 * 1024,
    RECEIPT_ELEMENTS = 8192,
    CLOSE_MAX = 200, /* in one transaction with everything else */
};
/* A device that is not welcomed at once says hello again: that is no second alarm. */
static const int64_t alarm_quiet_ms = INT64_C(10) * 60 * 1000;

bool collector_claim_valid(const struct fleetdb_claim *claim)
{
    return claim->lane >= MUSTER__LANE__LANE_TXN && claim->lane <= MUSTER__LANE__LANE_HEALTH &&
           claim->last_seq < OPENER_SEQ_MAX;
}

/* ---- which streams are open there ---- */

/* Hellos come late and are replayed too. Within one incarnation the monotonic clock tells; between
 * two the count of starts, which only begins anew at a device that has lost all it had: then nobody
 * has heard of its incarnation before, and what was heard of before that is old from then on.
 * Unless it goes on: then it was no new beginning but a hello that had been lost. */
static bool is_stale(struct collector *collector, int64_t device, const struct fleetdb_hello *known,
                     const Muster__Hello *hello, bool *ret_stale, struct err *err)
{
    *ret_stale = hello->boot_ms < (uint64_t)known->boot_ms;
    if (known->incarnation == hello->incarnation)
        return true;
    *ret_stale = false;
    if (known->reset_ms != 0 && known->before_incarnation == hello->incarnation &&
        hello->boot_ms > (uint64_t)known->before_boot_ms)
        return true;
    int64_t then_ms = hello->starts < known->starts ? known->received_ms : known->reset_ms;
    return fleetdb_incarnation_older(collector->settings.db, device, hello->incarnation, then_ms,
                                     ret_stale, err);
}

static struct fleetdb_hello next_hello(const struct fleetdb_hello *known,
                                       const Muster__Hello *hello, bool complete, int64_t now_ms)
{
    struct fleetdb_hello next = *known;
    uint64_t starts = hello->starts > INT64_MAX ? INT64_MAX : hello->starts;
    if (starts < known->starts) {
        next.reset_ms = now_ms;
        next.before_incarnation = known->incarnation;
        next.before_boot_ms = known->boot_ms;
    }
    next.number += complete;
    next.incarnation = hello->incarnation;
    next.starts = starts;
    next.boot_ms = hello->boot_ms > INT64_MAX ? INT64_MAX : (int64_t)hello->boot_ms;
    next.received_ms = now_ms;
    return next;
}

static bool note_streams(struct collector *collector, const struct fleetdb_device *device,
                         const Muster__Hello *hello, bool *ret_stale, struct err *err)
{
    struct fleetdb *db = collector->settings.db;
    struct fleetdb_hello known;
    int64_t now_ms = clock_wall_ms(collector->settings.clock);
    bool any = false;
    size_t closed = 0;
    *ret_stale = false;
    if (!fleetdb_hello_read(db, device->device, &any, &known, err) ||
        (any && !is_stale(collector, device->device, &known, hello, ret_stale, err)))
        return false;
    if (*ret_stale)
        return true;
    bool complete = !hello->streams_cut && hello->n_streams <= COLLECTOR_STREAMS_HEARD;
    const struct fleetdb_hello newest = next_hello(&known, hello, complete, now_ms);
    if (!collector_claim_streams(collector, device, hello->streams, hello->n_streams, newest.number,
                                 err) ||
        !fleetdb_hello_write(db, device->device, &newest, err) ||
        (complete &&
         !fleetdb_close_incarnations(db, device->device, &newest, CLOSE_MAX, now_ms, &closed, err)))
        return false;
    metrics_add(collector->settings.metrics, METRIC_CLOSED, closed);
    return true;
}

/* ---- which receipts it was given ---- */

/* Was all that the receipt says of the stream settled here, ever? */
static bool is_held(const struct fleetdb_stream *stream, const Muster__StreamReceipt *said)
{
    if (said->cumulative > 0 && !receipts_has_all(stream, 1, said->cumulative))
        return false;
    for (size_t i = 0; i < said->n_ranges; i++) {
        const Muster__SeqRange *range = said->ranges[i];
        if (range->first <= range->last && !receipts_has_all(stream, range->first, range->last))
            return false;
    }
    return true;
}

static uint64_t top_of(const Muster__StreamReceipt *said)
{
    return said->n_ranges > 0 ? said->ranges[said->n_ranges - 1]->last : said->cumulative;
}

/* What is said and not held is claimed: so it is counted as missing until it has come again, or for
 * good where the device has forgotten it. */
static bool compare(struct collector *collector, const struct fleetdb_device *device,
                    const Muster__StreamReceipt *said, struct collector_news *news,
                    size_t *restored, struct err *err)
{
    struct fleetdb *db = collector->settings.db;
    int64_t now_ms = clock_wall_ms(collector->settings.clock);
    const struct fleetdb_claim claim = {
        .incarnation = said->incarnation, .lane = (int)said->lane, .last_seq = top_of(said)};
    struct fleetdb_stream stream;
    bool is_news = false, kept = false;
    if (!collector_claim_valid(&claim))
        return true;
    if (!fleetdb_stream_read(db, device->device, claim.incarnation, claim.lane, &stream, err))
        return false;
    bool held = is_held(&stream, said);
    if (held && stream.stream == 0)
        return true;
    if (!held &&
        (!fleetdb_stream_claim(db, device->device, &claim, now_ms, &kept, err) ||
         !fleetdb_stream_read(db, device->device, claim.incarnation, claim.lane, &stream, err)))
        return false;
    if (stream.stream != 0 &&
        !fleetdb_stream_restored(db, stream.stream, !held, now_ms, alarm_quiet_ms, &is_news, err))
        return false;
    *restored += is_news;
    for (size_t i = 0; !held && i < news->stream_count; i++) {
        struct owed_stream *owed = &news->streams[i];
        if (owed->incarnation == claim.incarnation && owed->lane == claim.lane)
            owed->again = true;
    }
    return true;
}

static bool read_receipt(struct collector *collector, const struct fleetdb_device *device,
                         ProtobufCBinaryData envelope, struct collector_news *news,
                         size_t *restored, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_RECEIPT_BYTES,
                                                .max_elements = RECEIPT_ELEMENTS};
    const struct key_set key = {collector->receipt_public, collector->receipt_public_count, 1};
    struct arena arena = {.limit_bytes = RECEIPT_ARENA_BYTES};
    struct bytes body;
    ProtobufCMessage *message = NULL;
    struct err why = {0};
    bool done = true;
    if (!unseal("receipt", device->id, bytes_of(envelope.data, envelope.len), &key, &body, &why)) {
        collector_refuse(collector, REFUSED_HELLO_RECEIPT, REASON_SIGNATURE, device->id, why.text);
    } else if (!unpack(&muster__receipt__descriptor, body, &limits, &arena, &message, &why)) {
        collector_refuse(collector, REFUSED_HELLO_RECEIPT, REASON_MALFORMED, device->id, why.text);
    } else {
        const Muster__Receipt *receipt = (const Muster__Receipt *)message;
        for (size_t i = 0; done && i < receipt->n_streams; i++)
            done = compare(collector, device, receipt->streams[i], news, restored, err);
    }
    arena_done(&arena);
    return done;
}

static bool alarm_restored(struct collector *collector, const struct fleetdb_device *device,
                           size_t streams, struct err *err)
{
    char text[160];
    metrics_add(collector->settings.metrics, METRIC_RESTORED, streams);
    (void)snprintf(text, sizeof text,
                   "of %zu streams its receipts say more than is held here: this database is an"
                   " older copy",
                   streams);
    collector_alarm(collector, "muster_restored_streams_total", "restored: %s: %s", device->id,
                    text);
    return fleetdb_audit(collector->settings.db, clock_wall_ms(collector->settings.clock),
                         "musterd", "restored", device->device, text, err);
}

/* ---- a hello ---- */

static bool list_streams(const Muster__Hello *hello, struct collector_news *news, struct err *err)
{
    size_t count =
        hello->n_streams < COLLECTOR_STREAMS_HEARD ? hello->n_streams : COLLECTOR_STREAMS_HEARD;
    news->streams = arena_alloc(&news->arena, (count + 1) * sizeof *news->streams);
    if (news->streams == NULL)
        return err_set(err, ERR_NO_MEMORY, "a hello needs too much memory");
    for (size_t i = 0; i < count; i++) {
        const struct fleetdb_claim claim = {.incarnation = hello->streams[i]->incarnation,
                                            .lane = (int)hello->streams[i]->lane,
                                            .last_seq = hello->streams[i]->last_seq};
        if (collector_claim_valid(&claim))
            news->streams[news->stream_count++] =
                (struct owed_stream){.incarnation = claim.incarnation, .lane = claim.lane};
    }
    return true;
}

bool collector_account(struct collector *collector, const struct fleetdb_device *device,
                       const Muster__Hello *hello, struct collector_news *news, bool *ret_stale,
                       struct err *err)
{
    size_t restored = 0;
    if (!list_streams(hello, news, err))
        return false;
    for (size_t i = 0; i < hello->n_receipts && i < RECEIPTS_HEARD; i++) {
        if (!read_receipt(collector, device, hello->receipts[i], news, &restored, err))
            return false;
    }
    /* Before anything is closed the receipts were heard: what they name is not complete. */
    return (restored == 0 || alarm_restored(collector, device, restored, err)) &&
           note_streams(collector, device, hello, ret_stale, err);
}
