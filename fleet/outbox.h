/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_OUTBOX_H
#define FLEET_OUTBOX_H

#include "fleet/row_set.h"
#include "storage/fleetdb_desired.h"

/*
 * What the broker is to be given next: news first, then the manifests of devices that changed, then
 * what is walked through by cursors over the database: all of it after a connect. Nothing is queued
 * but devices, as a bit each, and roots and hashes, in a fixed ring; should that overflow, all
 * wanted blobs are walked through again, and nothing else: manifests and roots reach terminals that
 * have them, by the byte. A manifest comes after the blobs that it names. Zero-initialised but for
 * `db` is empty.
 */
enum { OUTBOX_NEWS_MAX = 512 };

enum what { WHAT_TRUST, WHAT_BLOB, WHAT_MANIFEST, WHAT_WITHDRAWAL };

/* One retained message that is to be sent. */
struct item {
    enum what what;
    uint64_t root; /* version */
    uint8_t blob[32];
    struct fleetdb_unwanted unwanted; /* the walk is there when it is sent */
    int64_t device;
    char device_id[33];
    bool retired;
};

/* What is walked through, in this order. */
enum walk { WALK_TRUST, WALK_BLOBS, WALK_MANIFESTS, WALK_WITHDRAWALS, WALKS };

/* All wanted blobs from where the cursor stood, and round to there. */
struct round {
    uint8_t after[32], end[32];
    bool past_the_end; /* it has begun again from the first */
};

enum source { SOURCE_NEWS, SOURCE_CHANGED, SOURCE_WALK };

struct outbox {
    struct fleetdb *db;
    struct item news[OUTBOX_NEWS_MAX]; /* a ring: roots and blobs */
    unsigned news_first, news_count;
    bool overflowed;        /* what the ring could not hold comes with the walk through the blobs */
    struct row_set changed; /* devices with new manifests */
    int64_t ready;          /* of these the one whose blobs have been news */
    bool due[WALKS];
    uint64_t after_root;
    struct round blobs;
    int64_t after_device;
    int64_t withdraw_before_ms;
    struct fleetdb_unwanted unwanted; /* how far the withdrawals have come */
    bool withdrawing;                 /* one is under way; there is no next before its answer */
};

void outbox_done(struct outbox *outbox);

/* The walk over everything, from its beginning, in the place of all else. */
void outbox_all(struct outbox *outbox);
/* Drops what is not walked through; the walk at the next connect covers it. */
void outbox_forget(struct outbox *outbox);
/* What could not be read there is left to the next connect: one device's, or all walks. */
void outbox_give_up(struct outbox *outbox, enum source source);
bool outbox_is_walking(const struct outbox *outbox);
/* News, and changed manifests. */
unsigned outbox_waiting(const struct outbox *outbox);

/* A root or a blob. */
void outbox_add(struct outbox *outbox, const struct item *item);
/* The device has a new manifest. */
void outbox_changed(struct outbox *outbox, int64_t device);
/* What nobody has wanted since before then is to be taken back. */
void outbox_withdraw(struct outbox *outbox, int64_t before_ms);

/* The next one, and where from; then, once that is sent or given up, on to what follows. */
bool outbox_peek(struct outbox *outbox, struct item *ret_item, enum source *ret_source,
                 bool *ret_found, struct err *err) MUSTER_CHECK;
void outbox_advance(struct outbox *outbox, const struct item *item, enum source source);

#endif
