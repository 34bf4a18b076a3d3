/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

#include <string.h>

static bool store(struct collector *collector, const struct fleetdb_device *device,
                  struct opened *opened, struct collector_news *news, struct err *err)
{
    news->streams = arena_alloc(&news->arena, opened->lane_count * sizeof *news->streams);
    if (news->streams == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a batch's receipt");
    for (size_t i = 0; i < opened->lane_count; i++) {
        const struct lane_rows *rows = &opened->lanes[i].rows;
        if (!collector_lane(collector, device, &opened->lanes[i], &opened->arena, err))
            return false;
        news->streams[news->stream_count++] =
            (struct owed_stream){.incarnation = rows->incarnation, .lane = (int)rows->lane};
        news->records += rows->lost == MUSTER__LOSS_REASON__LOSS_NONE ? rows->count : 1;
    }
    metrics_add(collector->settings.metrics, METRIC_BATCHES, 1);
    collector_heard(collector, device->device, -1);
    return true;
}

/* Sent again it would be no better: the device is told which batch it is. */
static void refuse_body(struct collector *collector, const struct fleetdb_device *device,
                        const struct opened *opened, struct collector_news *news)
{
    memcpy(news->digest, opened->digest, sizeof news->digest);
    news->undecodable = true;
    news->device = *device;
    metrics_add(collector->settings.metrics, METRIC_UNDECODABLE, 1);
    collector_alarm(collector, "muster_undecodable_total",
                    "undecodable: a batch that %s signed: %s", device->id, opened->why.text);
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

static bool take_opened(struct collector *collector, const struct fleetdb_device *device,
                        struct opened *opened, struct collector_news *news, struct err *err)
{
    if (opened->as == OPENED_BATCH) {
        news->device = *device;
        return store(collector, device, opened, news, err);
    }
    if (opened->as == OPENED_NEWER) {
        hold_back(collector, device, &opened->why);
        return true;
    }
    collector_refuse(collector, REFUSED_BATCH,
                     opened->as == OPENED_STARVED ? REASON_NO_MEMORY : REASON_MALFORMED, device->id,
                     opened->why.text);
    if (opened->as == OPENED_UNDECODABLE)
        refuse_body(collector, device, opened, news);
    return true;
}

bool collector_batch(struct collector *collector, struct collector_message *message,
                     struct collector_news *news, struct err *err)
{
    struct fleetdb_device device;
    bool good = false;
    if (!collector_device(collector, REFUSED_BATCH, message->topic.device, &device, &good, err))
        return false;
    if (good && device.life == FLEETDB_RETIRED) {
        collector_refuse(collector, REFUSED_BATCH, REASON_RETIRED, device.id, "it is retired");
        return true;
    }
    if (!good)
        return true;
    if (!collector_open_message(collector, REFUSED_BATCH, &device, message, &good, err))
        return false;
    if (!good)
        return true;
    metrics_add(collector->settings.metrics, METRIC_BATCH_BYTES, message->payload.length);
    return take_opened(collector, &device, &message->opened, news, err);
}
