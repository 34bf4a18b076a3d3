/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_COLLECTOR_H
#define FLEET_COLLECTOR_H

#include "base/clock.h"
#include "fleet/metrics.h"
#include "fleet/receipts.h"
#include "fleet/wants.h"
#include "proto/hello.pb-c.h"
#include "proto/online.h"
#include "proto/seal.h"

/*
 * Takes what terminals send and answers them:
 *   batch  -> rows and intervals in one transaction, COMMIT, only then a receipt
 *             (or, of what cannot be decoded, the word that it could not)
 *   hello  -> the report, then a welcome with the newest receipt and manifest, and, where the
 *             receipts in the hello say more than is held here, what to send again
 *   online -> presence
 * All that waits when the loop turns shares one commit. Beside it a thread opens what came in the
 * meantime: verifies it, decodes it, makes its rows ready (fleet/opener.h). Foreign bytes that make
 * no sense are counted, logged within limits, and forgotten; a database that fails leaves nothing
 * receipted, so all of it comes again. Any order and any repeats give the same rows.
 */
struct collector;

struct collector_settings {
    struct fleetdb *db;
    const struct clock *clock;
    struct metrics *metrics;
    const struct sign_key *receipt_key, *director_key;
    struct receipts_policy receipts;
    int64_t clock_ppm; /* how much terminals' crystals may drift; 0: TRUETIME_PPM */
};

struct collector_ports {
    void *ctx;
    /* Publishes. False: not now; collector_ready says when it makes sense to try again. */
    bool (*send)(void *ctx, const char *topic, struct bytes payload);
    /* A hello was committed; says what the fleet wants of the device now, and appends the sealed
     * manifest that its welcome should carry, if any. */
    void (*hello)(void *ctx, const struct fleetdb_device *device, const Muster__Hello *hello,
                  struct wants *ret_wants, struct buf *ret_manifest);
    /* A good batch or hello of the device came. `silence_s`: what a hello says of how long it is
     * silent at the most, 0: that it does not say; -1: a batch. And: what was said of its session,
     * which the broker may have kept. Of presence, so no word of either is lost with a transaction
     * that fails. Both may be NULL. */
    void (*heard)(void *ctx, int64_t device, int64_t silence_s);
    void (*online)(void *ctx, int64_t device, const struct online_word *word, bool kept);
    /* The database cannot be trusted any more: stop, and open it anew. */
    void (*failed)(void *ctx, const struct err *why);
    /* Called by another thread: messages are opened, it is time for a turn. NULL: there is no other
     * thread, and all is done in collector_turn. */
    void (*wake)(void *ctx);
};

bool collector_open(const struct collector_settings *settings, const struct collector_ports *ports,
                    struct collector **ret_collector, struct err *err) MUSTER_CHECK;
/* What is not committed yet is dropped: it was never receipted. */
void collector_close(struct collector *collector);

/* Signs with these from now on; receipts of the key before still prove what they say. */
bool collector_keys(struct collector *collector, const struct sign_key *director,
                    const struct sign_key *receipt, struct err *err) MUSTER_CHECK;

/* Keeps the message for a turn; of a full queue the older half is worked off at once, for which the
 * caller waits. Where one device has more than half of it and others wait too, no more batches and
 * hellos are taken of that one: they are refused, not receipted, and come again. */
void collector_message(struct collector *collector, const char *topic, struct bytes payload);
/* The same of a message that the broker had kept since before we subscribed. */
void collector_kept(struct collector *collector, const char *topic, struct bytes payload);
/* Once a loop turn: commits what is opened, sends what is due. Returns after how many milliseconds
 * it wants to be called at the latest, -1: not before something happens. */
int64_t collector_turn(struct collector *collector);
/* Waits for what is not opened yet, and commits all. */
void collector_flush(struct collector *collector);
/* The same, and `wake` is not called any more. */
void collector_finish(struct collector *collector);
/* Since the last time that this was asked a terminal has said something of an action. */
bool collector_acted(struct collector *collector);
/* The window has opened, or the broker is there again. */
void collector_ready(struct collector *collector);

#endif
