/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_PUBLISHER_H
#define FLEET_PUBLISHER_H

#include "fleet/director.h"
#include "proto/hello.pb-c.h"

/*
 * Keeps the broker's retained messages as the database says: down/<device>/manifest, the
 * blob/<sha256> of what any device is assigned, trust/<version> of every root. At each connect all
 * of it is published again; what changes in between goes first (fleet/outbox.h). Never more than
 * `window` are under way.
 */
struct publisher;

/* Publishes retained: ERR_FULL and ERR_UNAVAILABLE are waited out. base/mqtt.h fits. */
struct publisher_sink {
    bool (*publish)(void *ctx, uint64_t token, const char *topic, struct bytes payload,
                    struct err *err);
    void *ctx;
};

struct publisher_settings {
    const struct director *director; /* must outlive the publisher, as its database must */
    struct publisher_sink sink;
    int64_t withdraw_after_ms; /* a blob that no manifest names any more is taken back then */
    unsigned window;           /* leaves the rest of the session's window to receipts */
};

/* The tokens of its publishes have this bit; nobody else's may. */
#define PUBLISHER_TOKEN (UINT64_C(1) << 63)

bool publisher_open(const struct publisher_settings *settings, struct publisher **ret_publisher,
                    struct err *err) MUSTER_CHECK;
void publisher_close(struct publisher *publisher);

void publisher_connected(struct publisher *publisher);
void publisher_disconnected(struct publisher *publisher);
/* For every puback of the session, also of others' publishes: it says that there is room. */
void publisher_puback(struct publisher *publisher, uint64_t token, bool accepted);

/* These devices have new manifests. What they name and the broker was not given goes first. */
void publisher_changed(struct publisher *publisher, const struct director_outcome *outcomes,
                       size_t count);

/* There is another root. */
void publisher_root(struct publisher *publisher, uint64_t version);
/* The device's manifest was signed again. */
void publisher_renewed(struct publisher *publisher, const struct fleetdb_device *device);

/* A verified hello: sends the root that the device needs next, if any, and appends the newest
 * manifest's Envelope for the welcome to `ret_manifest` if the device holds an older one, and
 * publishes again those of the blobs it lacks that ours names. If it holds a newer one than we
 * have, or another under the same version, or deltas have led it nowhere (fleet/fallback.h),
 * ours is made anew above it. */
bool publisher_hello(struct publisher *publisher, const struct fleetdb_device *device,
                     const Muster__Hello *hello, int64_t now_ms, struct buf *ret_manifest,
                     struct err *err) MUSTER_CHECK;

/* Takes back what nobody has wanted for so long, now and then: call it as often as you like. */
void publisher_withdraw(struct publisher *publisher, int64_t now_ms);

struct publisher_stats {
    uint64_t withdrawn; /* blobs the broker gave back */
    uint64_t published; /* acknowledged by the broker */
    uint64_t refused;   /* the broker said no */
    uint64_t fallen;    /* documents that a device is given whole, deltas having led nowhere */
    uint64_t failed;    /* could not be read or sent, given up until the next connect */
    unsigned waiting;   /* changes not yet sent */
    bool walking;       /* not everything has been sent since the last connect */
};
struct publisher_stats publisher_stats(const struct publisher *publisher);

#endif
