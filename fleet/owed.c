/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/owed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void owed_init(struct owed_table *table)
{
    memset(table, 0, sizeof *table);
    TAILQ_INIT(&table->queue);
}

void owed_done(struct owed_table *table)
{
    for (size_t i = 0; i < OWED_BUCKETS; i++) {
        for (struct owed *owed = table->buckets[i], *next = NULL; owed != NULL; owed = next) {
            next = owed->next;
            buf_done(&owed->manifest);
            free(owed);
        }
    }
    owed_init(table);
}

static struct owed **bucket_of(struct owed_table *table, int64_t device)
{
    return &table->buckets[(uint64_t)device % OWED_BUCKETS];
}

struct owed *owed_get(struct owed_table *table, int64_t device, const char *id)
{
    struct owed **bucket = bucket_of(table, device);
    for (struct owed *owed = *bucket; owed != NULL; owed = owed->next) {
        if (owed->device == device)
            return owed;
    }
    struct owed *owed = calloc(1, sizeof *owed);
    if (owed == NULL)
        return NULL;
    owed->device = device;
    (void)snprintf(owed->id, sizeof owed->id, "%s", id);
    owed->next = *bucket;
    *bucket = owed;
    TAILQ_INSERT_TAIL(&table->queue, owed, queue);
    return owed;
}

void owed_add_stream(struct owed *owed, uint64_t incarnation, int lane)
{
    for (size_t i = 0; i < owed->stream_count; i++) {
        if (owed->streams[i].incarnation == incarnation && owed->streams[i].lane == lane)
            return;
    }
    if (owed->stream_count == OWED_STREAMS_MAX) {
        owed->stream_count--;
        memmove(owed->streams, owed->streams + 1, owed->stream_count * sizeof owed->streams[0]);
    }
    owed->streams[owed->stream_count++] = (struct owed_stream){incarnation, lane};
}

void owed_hurry(struct owed_table *table, struct owed *owed)
{
    TAILQ_REMOVE(&table->queue, owed, queue);
    TAILQ_INSERT_HEAD(&table->queue, owed, queue);
}

bool owed_set_manifest(struct owed_table *table, struct owed *owed, struct bytes manifest,
                       size_t limit_bytes)
{
    table->manifest_bytes -= owed->manifest.length;
    buf_clear(&owed->manifest);
    if (manifest.length == 0)
        return true;
    if (table->manifest_bytes + manifest.length > limit_bytes ||
        !buf_append(&owed->manifest, manifest.data, manifest.length, NULL))
        return false;
    table->manifest_bytes += manifest.length;
    return true;
}

struct owed *owed_first(const struct owed_table *table)
{
    return TAILQ_FIRST(&table->queue);
}

void owed_remove(struct owed_table *table, struct owed *owed)
{
    struct owed **at = bucket_of(table, owed->device);
    while (*at != owed)
        at = &(*at)->next;
    *at = owed->next;
    TAILQ_REMOVE(&table->queue, owed, queue);
    table->manifest_bytes -= owed->manifest.length;
    buf_done(&owed->manifest);
    free(owed);
}
