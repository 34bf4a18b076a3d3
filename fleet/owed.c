/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/owed.h"

#include "proto/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void owed_init(struct owed_table *table)
{
    memset(table, 0, sizeof *table);
}

static void free_entry(struct owed *owed)
{
    buf_done(&owed->manifest);
    free(owed->streams);
    free(owed->undecodable);
    free(owed);
}

void owed_done(struct owed_table *table)
{
    for (size_t i = 0; i < OWED_BUCKETS; i++) {
        for (struct owed *owed = table->buckets[i], *next = NULL; owed != NULL; owed = next) {
            next = owed->next;
            free_entry(owed);
        }
    }
    free(table->heap);
    owed_init(table);
}

/* ---- the heap ---- */

static bool goes_before(const struct owed *one, const struct owed *other)
{
    return one->due_ms < other->due_ms ||
           (one->due_ms == other->due_ms && one->order < other->order);
}

static void put(struct owed_table *table, size_t place, struct owed *owed)
{
    table->heap[place] = owed;
    owed->place = place;
}

static void settle(struct owed_table *table, struct owed *owed)
{
    size_t place = owed->place;
    while (place > 0 && goes_before(owed, table->heap[(place - 1) / 2])) {
        put(table, place, table->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (size_t child = 2 * place + 1; child < table->count; child = 2 * place + 1) {
        if (child + 1 < table->count && goes_before(table->heap[child + 1], table->heap[child]))
            child++;
        if (!goes_before(table->heap[child], owed))
            break;
        put(table, place, table->heap[child]);
        place = child;
    }
    put(table, place, owed);
}

static bool heap_room(struct owed_table *table)
{
    if (table->count < table->room)
        return true;
    size_t room = table->room == 0 ? 64 : table->room * 2;
    struct owed **heap = realloc(table->heap, room * sizeof(struct owed *));
    if (heap == NULL)
        return false;
    table->heap = heap;
    table->room = room;
    return true;
}

void owed_due(struct owed_table *table, struct owed *owed, int64_t due_ms)
{
    owed->due_ms = due_ms;
    settle(table, owed);
}

struct owed *owed_first(const struct owed_table *table)
{
    return table->count > 0 ? table->heap[0] : NULL;
}

/* ---- entries ---- */

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
    struct owed *owed = heap_room(table) ? calloc(1, sizeof *owed) : NULL;
    if (owed == NULL)
        return NULL;
    owed->device = device;
    (void)snprintf(owed->id, sizeof owed->id, "%s", id);
    owed->next = *bucket;
    *bucket = owed;
    owed->due_ms = INT64_MAX;
    owed->order = table->orders++;
    put(table, table->count++, owed); /* nothing is due later */
    return owed;
}

/* Room for one more: in a new place where the old one is full, or the oldest one's. */
static bool make_room(struct owed *owed)
{
    if (owed->stream_count < owed->stream_room)
        return true;
    if (owed->stream_room < OWED_STREAMS_MAX) {
        size_t room = owed->stream_room == 0 ? 4 : owed->stream_room * 4;
        struct owed_stream *streams = realloc(owed->streams, room * sizeof *streams);
        if (streams == NULL)
            return false;
        owed->streams = streams;
        owed->stream_room = room;
        return true;
    }
    owed->stream_count--;
    memmove(owed->streams, owed->streams + 1, owed->stream_count * sizeof owed->streams[0]);
    return true;
}

void owed_add_stream(struct owed *owed, const struct owed_stream *stream)
{
    for (size_t i = 0; i < owed->stream_count; i++) {
        struct owed_stream *known = &owed->streams[i];
        if (known->incarnation == stream->incarnation && known->lane == stream->lane) {
            known->again = known->again || stream->again;
            return;
        }
    }
    if (make_room(owed))
        owed->streams[owed->stream_count++] = *stream;
}

void owed_add_undecodable(struct owed *owed, const uint8_t digest[OWED_DIGEST_BYTES])
{
    if (owed->undecodable == NULL)
        owed->undecodable = calloc(LIMIT_UNDECODABLE, sizeof *owed->undecodable);
    if (owed->undecodable == NULL || owed->undecodable_count == LIMIT_UNDECODABLE)
        return;
    for (size_t i = 0; i < owed->undecodable_count; i++) {
        if (memcmp(owed->undecodable[i], digest, OWED_DIGEST_BYTES) == 0)
            return;
    }
    memcpy(owed->undecodable[owed->undecodable_count++], digest, OWED_DIGEST_BYTES);
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

void owed_remove(struct owed_table *table, struct owed *owed)
{
    struct owed **at = bucket_of(table, owed->device);
    while (*at != owed)
        at = &(*at)->next;
    *at = owed->next;
    struct owed *last = table->heap[--table->count];
    if (last != owed) {
        put(table, owed->place, last);
        settle(table, last);
    }
    table->manifest_bytes -= owed->manifest.length;
    free_entry(owed);
}
