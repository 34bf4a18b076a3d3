/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

#include "proto/limits.h"

#include <string.h>

/* While more is being opened, what is opened waits no longer for it to share its commit. */
static const int64_t patience_ms = 20;
/* Whoever waits for one does so until more are opened: to be woken for each costs more. */
enum { AWAITED = 16 };

/* ---- what is let in ---- */

static size_t limit_of(enum topic_kind kind, enum refusal_kind *ret_kind)
{
    switch (kind) {
    case TOPIC_UP_BATCH:
        *ret_kind = REFUSED_BATCH;
        return LIMIT_BATCH_WIRE_BYTES;
    case TOPIC_UP_HELLO:
        *ret_kind = REFUSED_HELLO;
        return LIMIT_HELLO_BYTES;
    case TOPIC_UP_ONLINE:
        *ret_kind = REFUSED_ONLINE;
        return LIMIT_ONLINE_BYTES;
    default:
        *ret_kind = REFUSED_TOPIC;
        return 0;
    }
}

enum refusal_kind collector_kind(const struct topic *topic)
{
    enum refusal_kind kind = REFUSED_TOPIC;
    (void)limit_of(topic->kind, &kind);
    return kind;
}

const char *collector_domain(const struct topic *topic)
{
    switch (topic->kind) {
    case TOPIC_UP_BATCH:
        return "batch";
    case TOPIC_UP_HELLO:
        return "hello";
    default:
        return NULL;
    }
}

bool collector_admit(struct collector *collector, const char *text, struct bytes payload,
                     struct topic *ret_topic)
{
    struct err err = {0};
    enum refusal_kind kind = REFUSED_TOPIC;
    if (!topic_parse(text, ret_topic, &err)) {
        collector_refuse(collector, REFUSED_TOPIC, REASON_MALFORMED, "?", err.text);
        return false;
    }
    const size_t limit = limit_of(ret_topic->kind, &kind);
    if (kind == REFUSED_TOPIC) {
        collector_refuse(collector, kind, REASON_MALFORMED, ret_topic->device,
                         "nobody sends that here");
        return false;
    }
    if (payload.length > limit) {
        collector_refuse(collector, kind, REASON_TOO_LONG, ret_topic->device,
                         "longer than allowed");
        return false;
    }
    return payload.length > 0; /* a retained message being cleared */
}

/* ---- the ring ---- */

bool collector_queue_open(struct collector *collector, struct err *err)
{
    const struct opener_thread_settings settings = {
        .room = COLLECTOR_QUEUE_MESSAGES,
        .held_bytes = COLLECTOR_OPENED_BYTES,
        .wake = collector->ports.wake,
        .ctx = collector->ports.ctx,
        .wake_at = COLLECTOR_COMMIT_MESSAGES,
    };
    return settings.wake == NULL || opener_thread_start(&settings, &collector->thread, err);
}

static size_t place_of(const struct collector *collector, size_t index)
{
    return (collector->queue_first + index) % COLLECTOR_QUEUE_MESSAGES;
}

struct collector_message *collector_queued(struct collector *collector, size_t index)
{
    return &collector->queue[place_of(collector, index)];
}

static void forget(struct collector *collector, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct collector_message *message = collector_queued(collector, i);
        collector->queue_bytes -= message->payload.length;
        opened_done(&message->opened);
        buf_done(&message->payload);
    }
    collector->queue_first = (collector->queue_first + count) % COLLECTOR_QUEUE_MESSAGES;
    collector->queue_count -= count;
}

void collector_queue_understood(struct collector *collector, size_t index)
{
    opened_done(&collector_queued(collector, index)->opened);
    if (collector->thread != NULL)
        opener_thread_release(collector->thread, index);
}

void collector_queue_drop(struct collector *collector, size_t count)
{
    forget(collector, count);
    if (collector->thread != NULL)
        opener_thread_take(collector->thread, count);
}

void collector_queue_clear(struct collector *collector)
{
    while (collector->queue_count > 0) {
        (void)collector_queue_await(collector, 0);
        collector_queue_understood(collector, 0);
        collector_queue_drop(collector, 1);
    }
}

void collector_queue_close(struct collector *collector)
{
    if (collector->thread != NULL)
        opener_thread_stop(collector->thread);
    forget(collector, collector->queue_count);
    opener_thread_free(collector->thread);
    collector->thread = NULL;
}

bool collector_queue_full(const struct collector *collector, size_t length)
{
    return collector->queue_count == COLLECTOR_QUEUE_MESSAGES ||
           (collector->queue_count > 0 && collector->queue_bytes + length > COLLECTOR_QUEUE_BYTES);
}

bool collector_queue_crowded(struct collector *collector, const char *device)
{
    size_t count = 0, bytes = 0;
    for (size_t i = 0; i < collector->queue_count; i++) {
        const struct collector_message *message = collector_queued(collector, i);
        if (strcmp(message->topic.device, device) != 0)
            continue;
        count++;
        bytes += message->payload.length;
    }
    return count < collector->queue_count &&
           (count > COLLECTOR_QUEUE_MESSAGES / 2 || bytes > COLLECTOR_QUEUE_BYTES / 2);
}

/* The keys are those that the device has now. Which count is seen when the message is stored
 * (collector_open_message), so a database that does not answer here does no harm. */
static void hand_over(struct collector *collector, struct collector_message *message)
{
    struct opener_job job = {.domain = collector_domain(&message->topic),
                             .id = message->topic.device,
                             .message = buf_bytes(&message->payload),
                             .opened = &message->opened};
    struct fleetdb_device device;
    fleetdb_hold(collector->settings.db);
    if (job.domain != NULL &&
        (!fleetdb_device_find(collector->settings.db, job.id, &device, NULL) ||
         !fleetdb_agent_keys(collector->settings.db, device.device,
                             clock_wall_ms(collector->settings.clock), job.keys.list,
                             &job.keys.count, NULL)))
        job.domain = NULL;
    fleetdb_release(collector->settings.db);
    opener_thread_give(collector->thread, &job);
}

void collector_queue_put(struct collector *collector, const struct topic *topic,
                         struct bytes payload, bool kept)
{
    struct collector_message *message = collector_queued(collector, collector->queue_count);
    struct err err = {0};
    *message = (struct collector_message){
        .topic = *topic, .kept = kept, .came_ms = clock_boot_ms(collector->settings.clock)};
    if (!buf_append(&message->payload, payload.data, payload.length, &err)) {
        log_error("collector: %s", err.text);
        return;
    }
    collector->queue_count++;
    collector->queue_bytes += payload.length;
    if (collector->thread != NULL)
        hand_over(collector, message);
}

/* ---- when ---- */

/* As many of the first `count` as one transaction takes. */
static size_t portion(const struct collector *collector, size_t count)
{
    size_t bytes = 0, taken = 0;
    while (taken < count && taken < COLLECTOR_COMMIT_MESSAGES) {
        bytes += collector->queue[place_of(collector, taken)].payload.length;
        if (taken > 0 && bytes > COLLECTOR_COMMIT_BYTES)
            break;
        taken++;
    }
    return taken;
}

size_t collector_queue_portion(const struct collector *collector)
{
    return portion(collector, collector->queue_count);
}

struct collector_message *collector_queue_await(struct collector *collector, size_t index)
{
    struct opener_thread *thread = collector->thread;
    if (thread != NULL && opener_thread_ready(thread) <= index)
        (void)opener_thread_wait(thread, index + AWAITED);
    return collector_queued(collector, index);
}

static int64_t waited_ms(struct collector *collector)
{
    return clock_boot_ms(collector->settings.clock) - collector_queued(collector, 0)->came_ms;
}

size_t collector_queue_due(struct collector *collector)
{
    const size_t count = collector->queue_count;
    if (count == 0)
        return 0;
    const size_t ready = collector->thread != NULL ? opener_thread_ready(collector->thread) : count;
    const size_t taken = portion(collector, ready);
    const bool due = ready == count || taken < ready || taken == COLLECTOR_COMMIT_MESSAGES ||
                     waited_ms(collector) >= patience_ms;
    return due ? taken : 0;
}

int64_t collector_queue_wait(struct collector *collector, int64_t wait_ms)
{
    if (collector->queue_count == 0)
        return wait_ms;
    const int64_t left_ms = patience_ms - waited_ms(collector);
    const int64_t due_ms = left_ms > 1 ? left_ms : 1;
    return wait_ms >= 0 && wait_ms < due_ms ? wait_ms : due_ms;
}
