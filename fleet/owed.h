/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_OWED_H
#define FLEET_OWED_H

#include "fleet/receipts.h"
#include "fleet/wants.h"

/*
 * What each device is still to be told: a receipt for some of its streams, a welcome. One entry a
 * device, so that a broker that takes nothing costs bounded memory: newer news joins older, the
 * receipt's content is read from the database when it goes.
 */
enum {
    OWED_STREAMS_MAX = 1024,
    OWED_NONCE_BYTES = 16,
    OWED_REFUSAL_CHARS = 64,
    OWED_DIGEST_BYTES = 16,
};

struct owed_stream {
    uint64_t incarnation;
    int lane;
    bool again; /* the welcome asks for what is not held */
};

struct owed {
    int64_t device;
    char id[33];
    struct receipts_wait wait; /* batches > 0: a receipt */
    size_t stream_count, stream_room;
    struct owed_stream *streams; /* the newest ones when there are more */
    size_t undecodable_count;
    uint8_t (*undecodable)[OWED_DIGEST_BYTES]; /* the first LIMIT_UNDECODABLE; NULL: none */
    bool welcome;
    uint8_t nonce[OWED_NONCE_BYTES];
    char refusal[OWED_REFUSAL_CHARS];
    struct buf manifest;
    struct wants wants; /* what the welcome says beside it */
    int64_t due_ms;     /* boot time; what is due goes in that order */
    uint64_t order;     /* among those due at the same time */
    size_t place;       /* in the heap */
    struct owed *next;  /* in its bucket */
};

enum { OWED_BUCKETS = 1024 };
struct owed_table {
    struct owed **heap; /* no entry is due before its parent, the one at (place - 1) / 2 */
    size_t count, room;
    uint64_t orders;
    struct owed *buckets[OWED_BUCKETS];
    size_t manifest_bytes; /* of all entries */
};

void owed_init(struct owed_table *table);
void owed_done(struct owed_table *table);

/* The device's entry; a new one is due never. NULL: no memory. */
struct owed *owed_get(struct owed_table *table, int64_t device, const char *id);
/* What there is no memory for is left out: it will be sent or asked for again. */
void owed_add_stream(struct owed *owed, const struct owed_stream *stream);
void owed_add_undecodable(struct owed *owed, const uint8_t digest[OWED_DIGEST_BYTES]);
void owed_due(struct owed_table *table, struct owed *owed, int64_t due_ms);
/* Replaces the manifest that goes with the welcome; false when all entries together would hold
 * more than `limit_bytes`. */
bool owed_set_manifest(struct owed_table *table, struct owed *owed, struct bytes manifest,
                       size_t limit_bytes);
/* The one that is due first; NULL: nothing is owed. */
struct owed *owed_first(const struct owed_table *table);
void owed_remove(struct owed_table *table, struct owed *owed);

#endif
