/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

#include <string.h>

enum { TEXT_ARENA_BYTES = 4 * 1024 * 1024 };

/* What the codec cannot know: that the ids fit the database. */
static bool ids_valid(const struct lane_rows *rows)
{
    return rows->lane >= MUSTER__LANE__LANE_TXN && rows->lane <= MUSTER__LANE__LANE_HEALTH &&
           rows->count > 0 && rows->first_seq > 0 && rows->count <= COLLECTOR_SEQ_MAX &&
           rows->first_seq <= COLLECTOR_SEQ_MAX - rows->count &&
           rows->behind <= COLLECTOR_SEQ_MAX - rows->first_seq - rows->count;
}

static bool store(struct collector *collector, const struct fleetdb_device *device,
                  const struct lane_rows *lanes, size_t lane_count, struct arena *arena,
                  struct collector_news *news, struct err *err)
{
    news->streams = arena_alloc(&news->arena, lane_count * sizeof *news->streams);
    if (news->streams == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a batch's receipt");
    for (size_t i = 0; i < lane_count; i++) {
        if (!collector_lane(collector, device, &lanes[i], arena, err))
            return false;
        news->streams[news->stream_count++] =
            (struct owed_stream){.incarnation = lanes[i].incarnation, .lane = (int)lanes[i].lane};
        news->records += lanes[i].lost == MUSTER__LOSS_REASON__LOSS_NONE ? lanes[i].count : 1;
    }
    metrics_add(collector->settings.metrics, METRIC_BATCHES, 1);
    int64_t now_ms = clock_wall_ms(collector->settings.clock);
    return collector->forgetful
               ? fleetdb_online(collector->settings.db, device->device, true, now_ms, err)
               : fleetdb_seen(collector->settings.db, device->device, now_ms, err);
}

/* Sent again it would be no better: the device is told which batch it is. */
static void refuse_body(struct collector *collector, const struct fleetdb_device *device,
                        struct bytes body, struct collector_news *news, const struct err *why)
{
    uint8_t digest[32];
    sha256(body, digest);
    memcpy(news->digest, digest, sizeof news->digest);
    news->undecodable = true;
    metrics_add(collector->settings.metrics, METRIC_UNDECODABLE, 1);
    collector_alarm(collector, "muster_undecodable_total",
                    "undecodable: a batch that %s signed: %s", device->id, why->text);
}

/* Not refused, and not receipted: the terminal keeps its records until this program is updated. */
static void hold_back(struct collector *collector, const struct fleetdb_device *device,
                      const struct err *why)
{
    metrics_add(collector->settings.metrics, METRIC_NEWER, 1);
    collector_alarm(collector, "muster_newer_batches_total",
                    "held back: a batch of %s, whose records stay there: %s", device->id,
                    why->text);
}

static bool decode_and_store(struct collector *collector, const struct fleetdb_device *device,
                             struct bytes body, struct arena *arena, struct collector_news *news,
                             struct err *err)
{
    struct lane_rows *lanes = NULL;
    size_t lane_count = 0;
    struct err why = {0};
    bool good = batch_decoder_read(collector->decoder, body, arena, &lanes, &lane_count, &why);
    for (size_t i = 0; good && i < lane_count; i++) {
        if (!ids_valid(&lanes[i]))
            good = err_set(&why, ERR_INVALID, "ids that no agent gives");
    }
    if (good && !store(collector, device, lanes, lane_count, arena, news, err))
        return false;
    if (!good && why.code == ERR_NEWER) {
        hold_back(collector, device, &why);
        return true;
    }
    if (!good)
        collector_refuse(collector, REFUSED_BATCH, REASON_MALFORMED, device->id, why.text);
    /* Want of memory is ours, and passes; more than any batch may need does not. */
    if (!good && (why.code == ERR_INVALID || arena->exceeded))
        refuse_body(collector, device, body, news, &why);
    if (good || news->undecodable)
        news->device = *device;
    return true;
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
