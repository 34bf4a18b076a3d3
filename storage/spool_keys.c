/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_keys.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 1 << 24 };

bool spool_keys_init(struct spool_keys *keys, size_t window, size_t extra, struct err *err)
{
    if (window > KEYS_MAX || extra > KEYS_MAX)
        return err_set(err, ERR_INVALID, "key window of %zu, at most %d", window, KEYS_MAX);
    size_t buckets = 16;
    while (buckets < window)
        buckets *= 2;
    *keys = (struct spool_keys){
        .seed = random_u64(),
        .window = window,
        .capacity = window + extra,
        .bucket_mask = buckets - 1,
        .ring = calloc(window + extra + 1, sizeof *keys->ring),
        .buckets = calloc(buckets, sizeof *keys->buckets),
    };
    if (keys->ring != NULL && keys->buckets != NULL)
        return true;
    spool_keys_done(keys);
    return err_set(err, ERR_NO_MEMORY, "no memory for a window of %zu keys", window);
}

void spool_keys_done(struct spool_keys *keys)
{
    free(keys->ring);
    free(keys->buckets);
    *keys = (struct spool_keys){0};
}

static uint64_t stir(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

uint64_t spool_keys_hash(const struct spool_keys *keys, struct bytes key)
{
    uint64_t hash = stir(keys->seed + key.length);
    for (size_t at = 0; at < key.length; at += sizeof(uint64_t)) {
        uint64_t word = 0;
        size_t left = key.length - at;
        memcpy(&word, key.data + at, left < sizeof word ? left : sizeof word);
        hash = stir(hash ^ word) + keys->seed;
    }
    return hash;
}

static size_t ring_index(const struct spool_keys *keys, size_t age)
{
    return (keys->oldest + age) % keys->capacity;
}

static uint32_t *bucket_of(const struct spool_keys *keys, uint64_t hash)
{
    return &keys->buckets[hash & keys->bucket_mask];
}

static void unlink_entry(struct spool_keys *keys, size_t index)
{
    uint32_t *link = bucket_of(keys, keys->ring[index].hash);
    while (*link != index + 1)
        link = &keys->ring[*link - 1].next;
    *link = keys->ring[index].next;
}

void spool_keys_add(struct spool_keys *keys, uint64_t hash, int64_t id)
{
    if (keys->count == keys->capacity)
        abort();
    size_t index = ring_index(keys, keys->count++);
    uint32_t *head = bucket_of(keys, hash);
    keys->ring[index] = (struct spool_keys_entry){.hash = hash, .id = id, .next = *head};
    *head = (uint32_t)index + 1;
}

bool spool_keys_add_older(struct spool_keys *keys, uint64_t hash, int64_t id)
{
    if (keys->count >= keys->window)
        return false;
    keys->oldest = ring_index(keys, keys->capacity - 1);
    keys->count++;
    uint32_t *link = bucket_of(keys, hash);
    while (*link != 0)
        link = &keys->ring[*link - 1].next;
    keys->ring[keys->oldest] = (struct spool_keys_entry){.hash = hash, .id = id};
    *link = (uint32_t)keys->oldest + 1;
    return true;
}

void spool_keys_undo(struct spool_keys *keys, size_t count)
{
    for (; count > 0; count--)
        unlink_entry(keys, ring_index(keys, --keys->count));
}

void spool_keys_trim(struct spool_keys *keys)
{
    for (; keys->count > keys->window; keys->count--) {
        unlink_entry(keys, keys->oldest);
        keys->oldest = ring_index(keys, 1);
    }
}

int64_t spool_keys_oldest(const struct spool_keys *keys, int64_t from, int64_t to)
{
    for (size_t age = 0; age < keys->count; age++) {
        int64_t id = keys->ring[ring_index(keys, age)].id;
        if (id >= from && id <= to)
            return id;
    }
    return INT64_MAX;
}

bool spool_keys_next(const struct spool_keys *keys, uint64_t hash, uint32_t *cursor,
                     int64_t *ret_id)
{
    uint32_t link = *cursor == 0 ? *bucket_of(keys, hash) : keys->ring[*cursor - 1].next;
    while (link != 0 && keys->ring[link - 1].hash != hash)
        link = keys->ring[link - 1].next;
    if (link == 0)
        return false;
    *cursor = link;
    *ret_id = keys->ring[link - 1].id;
    return true;
}
