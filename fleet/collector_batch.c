/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

#include "base/log.h"
#include "proto/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A terminal's clock is believed between these bounds around the time of receipt. */
static const int64_t plausible_past_ms = INT64_C(400) * 24 * 3600 * 1000;
static const int64_t plausible_future_ms = INT64_C(10) * 60 * 1000;

enum { TEXT_ARENA_BYTES = 4 * 1024 * 1024 };

/* One lane of one batch while it is stored. */
struct storing {
    struct collector *collector;
    const struct fleetdb_device *device;
    const struct lane_rows *rows;
    const struct rows_plan *plan;
    struct arena *arena;
    int64_t now_ms;
    struct fleetdb_stream stream;
    uint64_t run_first, run_last; /* stored rows that are not in the stream yet; 0: none */
    bool *is_new;                 /* one a row */
};

static int64_t best_time(int64_t wall_ms, int64_t received_ms)
{
    bool plausible =
        wall_ms > received_ms - plausible_past_ms && wall_ms < received_ms + plausible_future_ms;
    return plausible ? wall_ms : received_ms;
}

/* Adds the run of rows that ends here to what is committed. */
static void end_run(struct storing *storing)
{
    struct err err = {0};
    if (storing->run_first != 0 &&
        !receipts_add(&storing->stream, storing->run_first, storing->run_last, &err))
        collector_refuse(storing->collector, REFUSED_BATCH, REASON_GAPS, storing->device->id,
                         err.text);
    storing->run_first = storing->run_last = 0;
}

static void count_outcome(struct storing *storing, uint64_t seq, enum fleetdb_insert outcome)
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
        log_error("conflict: %s sent other content for %s record %" PRIu64
                  " of incarnation %016" PRIx64 "; the first one stays",
                  storing->device->id, lane_name(storing->rows->lane), seq,
                  storing->rows->incarnation);
        break;
    }
}

static bool store_row(struct storing *storing, size_t index, struct err *err)
{
    struct collector *collector = storing->collector;
    struct fleetdb_value values[FLEETDB_COLUMNS_MAX];
    const ProtobufCMessage *row = storing->rows->rows[index];
    struct fleetdb_record record = {
        .device = storing->device->device,
        .lane = (int)storing->rows->lane,
        .incarnation = storing->rows->incarnation,
        .seq = storing->rows->first_seq + index,
        .received_ms = storing->now_ms,
        .values = values,
    };
    bool masked = false;
    if (!rows_values(storing->plan, row, storing->arena, values, &masked, err) ||
        !rows_digest(row, &collector->scratch, &record.digest, err))
        return false;
    record.at_ms = best_time(values[storing->plan->wall].integer, storing->now_ms);
    if (storing->plan->key < storing->plan->count)
        record.key = values[storing->plan->key].bytes;

    enum fleetdb_insert outcome = FLEETDB_NEW;
    bool held = receipts_has(&storing->stream, record.seq);
    if (!fleetdb_insert(collector->settings.db, &record, held, &outcome, err))
        return false;
    if (masked)
        metrics_add(collector->settings.metrics, METRIC_MASKED, 1);
    count_outcome(storing, record.seq, outcome);
    storing->is_new[index] = outcome == FLEETDB_NEW;
    if (outcome == FLEETDB_CONFLICT) {
        end_run(storing);
        return true;
    }
    if (storing->run_first == 0)
        storing->run_first = record.seq;
    storing->run_last = record.seq;
    return true;
}

static bool note_new_events(struct storing *storing, struct err *err)
{
    for (size_t i = 0; i < storing->rows->count; i++) {
        if (storing->is_new[i] &&
            !collector_event(storing->collector, storing->device, storing->rows->incarnation,
                             (const Muster__Event *)storing->rows->rows[i], err))
            return false;
    }
    return true;
}

static bool store_lane(struct storing *storing, struct err *err)
{
    struct fleetdb *db = storing->collector->settings.db;
    const struct lane_rows *rows = storing->rows;
    if (!fleetdb_stream_read(db, storing->device->device, rows->incarnation, (int)rows->lane,
                             &storing->stream, err))
        return false;
    struct fleetdb_stream trial = storing->stream;
    struct err why = {0};
    if (!receipts_add(&trial, rows->first_seq, rows->first_seq + rows->count - 1, &why)) {
        collector_refuse(storing->collector, REFUSED_BATCH, REASON_GAPS, storing->device->id,
                         why.text);
        return true;
    }
    storing->is_new = arena_alloc(storing->arena, rows->count * sizeof *storing->is_new);
    if (storing->is_new == NULL)
        return err_set(err, ERR_NO_MEMORY, "the batch needs too much memory");
    for (size_t i = 0; i < rows->count; i++) {
        if (!store_row(storing, i, err))
            return false;
    }
    end_run(storing);
    return fleetdb_stream_write(db, storing->device->device, &storing->stream, storing->now_ms,
                                err) &&
           (rows->lane != MUSTER__LANE__LANE_EVENT || note_new_events(storing, err));
}

/* What the codec cannot know: that the ids fit the database. */
static bool ids_valid(const struct lane_rows *rows)
{
    return rows->lane >= MUSTER__LANE__LANE_TXN && rows->lane <= MUSTER__LANE__LANE_HEALTH &&
           rows->count > 0 && rows->first_seq > 0 && rows->first_seq <= INT64_MAX - rows->count;
}

static bool store(struct collector *collector, const struct fleetdb_device *device,
                  const struct lane_rows *lanes, size_t lane_count, struct arena *arena,
                  struct collector_news *news, struct err *err)
{
    int64_t now_ms = clock_wall_ms(collector->settings.clock);
    news->streams = arena_alloc(&news->arena, lane_count * sizeof *news->streams);
    if (news->streams == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a batch's receipt");
    for (size_t i = 0; i < lane_count; i++) {
        struct storing storing = {
            .collector = collector,
            .device = device,
            .rows = &lanes[i],
            .plan = &collector->plans[lanes[i].lane - MUSTER__LANE__LANE_TXN],
            .arena = arena,
            .now_ms = now_ms,
        };
        if (!store_lane(&storing, err))
            return false;
        news->streams[news->stream_count++] =
            (struct owed_stream){lanes[i].incarnation, (int)lanes[i].lane};
    }
    news->device = *device;
    metrics_add(collector->settings.metrics, METRIC_BATCHES, 1);
    return fleetdb_seen(collector->settings.db, device->device, now_ms, err);
}

static bool decode_and_store(struct collector *collector, const struct fleetdb_device *device,
                             struct bytes body, struct arena *arena, struct collector_news *news,
                             struct err *err)
{
    struct lane_rows *lanes = NULL;
    size_t lane_count = 0;
    struct err why = {0};
    bool good = batch_decode(body, arena, &lanes, &lane_count, &why);
    for (size_t i = 0; good && i < lane_count; i++) {
        if (!ids_valid(&lanes[i]))
            good = err_set(&why, ERR_INVALID, "ids that no agent gives");
    }
    if (!good) {
        collector_refuse(collector, REFUSED_BATCH, REASON_MALFORMED, device->id, why.text);
        return true;
    }
    return store(collector, device, lanes, lane_count, arena, news, err);
}

bool collector_batch(struct collector *collector, const struct topic *topic, struct bytes payload,
                     struct collector_news *news, struct err *err)
{
    struct fleetdb_device device;
    struct bytes body;
    bool good = false;
    if (!collector_device(collector, REFUSED_BATCH, topic->device, &device, &good, err))
        return false;
    if (good && device.life == FLEETDB_RETIRED) {
        collector_refuse(collector, REFUSED_BATCH, REASON_RETIRED, device.id, "it is retired");
        return true;
    }
    if (!good)
        return true;
    if (!collector_unseal(collector, REFUSED_BATCH, "batch", &device, payload, &body, &good, err))
        return false;
    if (!good)
        return true;
    metrics_add(collector->settings.metrics, METRIC_BATCH_BYTES, payload.length);
    struct arena arena = {.limit_bytes = BATCH_ARENA_BYTES + TEXT_ARENA_BYTES};
    bool done = decode_and_store(collector, &device, body, &arena, news, err);
    arena_done(&arena);
    return done;
}
