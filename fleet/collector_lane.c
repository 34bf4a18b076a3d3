/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* One lane of one batch while it is stored. */
struct storing {
    struct collector *collector;
    const struct fleetdb_device *device;
    const struct lane_rows *rows;
    const struct rows_plan *plan;
    const struct rows_ready *ready;
    struct arena *arena;
    int64_t now_ms;
    struct fleetdb_boot boot;      /* that the records were made in, as far as it is known */
    struct fleetdb_stream *stream; /* before this */
    struct fleetdb_losses *losses; /* of the stream */
    bool losses_changed;
    enum fleetdb_insert *outcomes; /* one a row */
};

static void judge_time(const struct storing *storing, struct fleetdb_record *record)
{
    const struct truetime_record made = {
        .boot_ms = record->values[storing->plan->boot].integer,
        .wall_ms = record->values[storing->plan->wall].integer,
        .received_ms = record->received_ms,
    };
    const struct truetime_judged judged =
        truetime_judge(storing->boot.boot != 0 ? &storing->boot : NULL, &made,
                       storing->collector->settings.clock_ppm);
    record->at_ms = judged.at_ms;
    record->bound_ms = judged.bound_ms;
}

static void count_outcome(struct storing *storing, enum fleetdb_insert outcome)
{
    struct metrics *metrics = storing->collector->settings.metrics;
    switch (outcome) {
    case FLEETDB_NEW:
        metrics_add(metrics, METRIC_RECORDS_TXN + storing->rows->lane - MUSTER__LANE__LANE_TXN, 1);
        break;
    case FLEETDB_SAME:
        metrics_add(metrics, METRIC_REPEATS, 1);
        break;
    case FLEETDB_DUPLICATE_KEY:
        metrics_add(metrics, METRIC_DUPLICATE_KEYS, 1);
        break;
    case FLEETDB_CONFLICT:
        metrics_add(metrics, METRIC_CONFLICTS, 1);
        break;
    }
}

/* Two records of one id: a cloned terminal, or a fault of ours. The first one of a stream is also
 * written down for good. */
static bool alarm_conflict(struct storing *storing, uint64_t seq, struct err *err)
{
    struct fleetdb *db = storing->collector->settings.db;
    const struct lane_rows *rows = storing->rows;
    char text[200];
    bool first = false;
    (void)snprintf(text, sizeof text,
                   "other content was sent for %s record %" PRIu64 " of incarnation %016" PRIx64
                   "; the first one stays",
                   lane_name(rows->lane), seq, rows->incarnation);
    collector_alarm(storing->collector, "muster_record_conflicts_total", "conflict: %s: %s",
                    storing->device->id, text);
    if (!fleetdb_stream_conflict_first(db, storing->device->device, rows->incarnation,
                                       (int)rows->lane, &first, err))
        return false;
    return !first || fleetdb_audit(db, storing->now_ms, "musterd", "conflict",
                                   storing->device->device, text, err);
}

static struct fleetdb_record record_of(const struct storing *storing, size_t index)
{
    const struct rows_plan *plan = storing->plan;
    const struct fleetdb_value *values = &storing->ready->values[index * plan->count];
    struct fleetdb_record record = {
        .device = storing->device->device,
        .lane = (int)storing->rows->lane,
        .incarnation = storing->rows->incarnation,
        .seq = storing->rows->first_seq + index,
        .digest = storing->ready->digests[index],
        .received_ms = storing->now_ms,
        .values = values,
    };
    judge_time(storing, &record);
    if (plan->key < plan->count)
        record.key = fleetdb_bytes_of(&values[plan->key]);
    return record;
}

static bool note_row(struct storing *storing, size_t index, struct err *err)
{
    const uint64_t seq = storing->rows->first_seq + index;
    const enum fleetdb_insert outcome = storing->outcomes[index];
    if (losses_has(storing->losses, seq)) {
        losses_take_out(storing->losses, seq);
        storing->losses_changed = true;
    }
    if (storing->ready->masked[index])
        metrics_add(storing->collector->settings.metrics, METRIC_MASKED, 1);
    count_outcome(storing, outcome);
    /* That id is held, if with other content: the receipt will leave it out (collector_reply.c). */
    return outcome != FLEETDB_CONFLICT || alarm_conflict(storing, seq, err);
}

static bool note_new_events(struct storing *storing, struct err *err)
{
    for (size_t i = 0; i < storing->rows->count; i++) {
        if (storing->outcomes[i] == FLEETDB_NEW &&
            !collector_event(storing->collector, storing->device, storing->rows->incarnation,
                             storing->rows->first_seq + i,
                             (const Muster__Event *)storing->rows->rows[i], err))
            return false;
    }
    return true;
}

static bool too_many(struct storing *storing, const struct err *why)
{
    collector_refuse(storing->collector, REFUSED_BATCH, REASON_GAPS, storing->device->id,
                     why->text);
    return true;
}

static bool store_rows(struct storing *storing, struct err *err)
{
    const size_t count = storing->rows->count;
    struct fleetdb_record *records = arena_alloc(storing->arena, count * sizeof *records);
    bool *expect_held = arena_alloc(storing->arena, count * sizeof *expect_held);
    storing->outcomes = arena_alloc(storing->arena, count * sizeof *storing->outcomes);
    if (records == NULL || expect_held == NULL || storing->outcomes == NULL)
        return err_set(err, ERR_NO_MEMORY, "the batch needs too much memory");
    for (size_t i = 0; i < count; i++) {
        records[i] = record_of(storing, i);
        expect_held[i] = !losses_has(storing->losses, records[i].seq) &&
                         receipts_has(storing->stream, records[i].seq);
    }
    if (!fleetdb_insert(storing->collector->settings.db, records, count, expect_held,
                        storing->outcomes, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!note_row(storing, i, err))
            return false;
    }
    return true;
}

/* What of the range is not held will never come; of what is, the device gives up its own. */
static bool store_loss(struct storing *storing, uint64_t last, bool *ret_fits, struct err *err)
{
    struct collector *collector = storing->collector;
    const struct lane_rows *rows = storing->rows;
    const struct fleetdb_lost lost = {rows->first_seq, last, (int64_t)rows->lost};
    struct err why = {0};
    uint64_t fresh = 0;
    *ret_fits = losses_add(&collector->losses, storing->stream, &lost, &collector->more_losses,
                           &fresh, &why);
    if (!*ret_fits)
        return too_many(storing, &why);
    storing->losses_changed = !losses_equal(&collector->losses, &collector->more_losses);
    storing->losses = &collector->more_losses;
    metrics_add(collector->settings.metrics,
                METRIC_LOST_QUOTA + rows->lost - MUSTER__LOSS_REASON__LOSS_QUOTA, fresh);
    return fleetdb_conflicts_settle(collector->settings.db, storing->device->device,
                                    rows->incarnation, (int)rows->lane, lost.first, lost.last,
                                    storing->now_ms, err);
}

/* More streams than an agent has open: what it holds stays there until a hello of its has closed
 * some. */
static bool make_room(struct storing *storing, bool *ret_room, struct err *err)
{
    struct collector *collector = storing->collector;
    const struct fleetdb_device *device = storing->device;
    bool gave_way = false;
    if (!fleetdb_stream_room(collector->settings.db, device->device, ret_room, &gave_way, err))
        return false;
    if (!*ret_room)
        collector_refuse(collector, REFUSED_BATCH, REASON_TOO_MANY, device->id,
                         "more streams than are kept open of one device; its records stay there");
    if (gave_way)
        collector_refuse(collector, REFUSED_HELLO, REASON_TOO_MANY, device->id,
                         "it named more open streams than are kept of one device; one of which"
                         " nothing has come is forgotten for one of which something has");
    return true;
}

/* Reads what is settled of the stream. A closed one stays closed as long as nothing comes that it
 * had not: records are looked up, and receipted again. */
static bool open_stream(struct storing *storing, uint64_t top, bool *ret_room, struct err *err)
{
    struct fleetdb *db = storing->collector->settings.db;
    const struct lane_rows *rows = storing->rows;
    int64_t device = storing->device->device;
    struct fleetdb_stream *stream = storing->stream;
    if (!fleetdb_stream_read(db, device, rows->incarnation, (int)rows->lane, stream, err))
        return false;
    const bool reopens = stream->closed && top > stream->last_seq;
    *ret_room = true;
    if (stream->stream == 0 && (!stream->closed || reopens) && !make_room(storing, ret_room, err))
        return false;
    if (reopens && *ret_room &&
        (!fleetdb_closed_reopen(db, device, rows->incarnation, storing->now_ms, err) ||
         !fleetdb_stream_read(db, device, rows->incarnation, (int)rows->lane, stream, err)))
        return false;
    if (stream->last_seq < top)
        stream->last_seq = top;
    storing->losses = &storing->collector->losses;
    storing->losses->count = 0;
    return stream->stream == 0 || fleetdb_losses_read(db, stream->stream, storing->losses, err);
}

static bool write_stream(struct storing *storing, struct fleetdb_stream *settled, struct err *err)
{
    struct fleetdb *db = storing->collector->settings.db;
    if (settled->closed)
        return true;
    return fleetdb_stream_write(db, storing->device->device, settled, storing->now_ms, err) &&
           (!storing->losses_changed ||
            fleetdb_losses_write(db, settled->stream, storing->losses, err));
}

static void copy_stream(const struct fleetdb_stream *from, struct fleetdb_stream *to)
{
    memcpy(to, from,
           offsetof(struct fleetdb_stream, ranges) + from->range_count * sizeof *from->ranges);
}

bool collector_lane(struct collector *collector, const struct fleetdb_device *device,
                    const struct opened_lane *lane, struct arena *arena, struct err *err)
{
    const struct lane_rows *rows = &lane->rows;
    struct fleetdb_stream before, settled; /* not cleared: most of it is room */
    struct storing storing = {
        .stream = &before,
        .collector = collector,
        .device = device,
        .rows = rows,
        .plan = opener_plan(collector->opener, rows->lane),
        .ready = &lane->ready,
        .arena = arena,
        .now_ms = clock_wall_ms(collector->settings.clock),
    };
    uint64_t last = rows->first_seq + rows->count - 1;
    bool room = false;
    if (!open_stream(&storing, last + rows->behind, &room, err))
        return false;
    if (!room)
        return true;
    if (!collector_clock_boot(collector, device, rows->incarnation, &storing.boot, err))
        return false;
    copy_stream(&before, &settled);
    struct err why = {0};
    bool lost = rows->lost != MUSTER__LOSS_REASON__LOSS_NONE;
    bool fits = receipts_add(&settled, rows->first_seq, last, &why);
    if (fits && !lost && storing.losses->count + rows->count > FLEETDB_LOST_ROOM)
        fits = err_set(&why, ERR_FULL, "the stream has too many declared losses");
    if (!fits)
        return too_many(&storing, &why);
    return (lost ? store_loss(&storing, last, &fits, err) : store_rows(&storing, err)) &&
           (!fits || write_stream(&storing, &settled, err)) &&
           (lost || rows->lane != MUSTER__LANE__LANE_EVENT || note_new_events(&storing, err)) &&
           (lost || collector_clock_late(collector, &storing.boot, err));
}
