/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SPOOL_KEYS_H
#define STORAGE_SPOOL_KEYS_H

#include "base/buf.h"

/*
 * The window of idempotency keys: a hash of each of the newest keys, with the id of its record.
 * It only says where to look: the caller compares the stored key, so that a collision never gives
 * a wrong answer. 20 bytes a key and a bound set at init; nothing of it is on the disk.
 */
struct spool_keys_entry {
    uint64_t hash;
    int64_t id;
    uint32_t next; /* in its bucket, + 1; 0: last */
};

struct spool_keys {
    uint64_t seed;
    size_t window;
    size_t capacity; /* of the ring: the window and what one push may add on top */
    size_t oldest, count;
    struct spool_keys_entry *ring;
    uint32_t *buckets; /* ring index + 1 */
    size_t bucket_mask;
};

bool spool_keys_init(struct spool_keys *keys, size_t window, size_t extra,
                     struct err *err) MUSTER_CHECK;
void spool_keys_done(struct spool_keys *keys);

uint64_t spool_keys_hash(const struct spool_keys *keys, struct bytes key);
/* As the newest. At most `extra` between two trims. */
void spool_keys_add(struct spool_keys *keys, uint64_t hash, int64_t id);
/* As the oldest, while the window is read in from the newest backwards; false when it is full. */
bool spool_keys_add_older(struct spool_keys *keys, uint64_t hash, int64_t id);
/* Forgets the newest `count`: their commit failed. */
void spool_keys_undo(struct spool_keys *keys, size_t count);
/* Forgets the oldest beyond the window. */
void spool_keys_trim(struct spool_keys *keys);
/* The oldest id of from..to; INT64_MAX: none. */
int64_t spool_keys_oldest(const struct spool_keys *keys, int64_t from, int64_t to);
/* Walks the entries with this hash, newest first; *cursor starts at 0. */
bool spool_keys_next(const struct spool_keys *keys, uint64_t hash, uint32_t *cursor,
                     int64_t *ret_id);

#endif
