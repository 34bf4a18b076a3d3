/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/publisher.h"

#include "base/log.h"
#include "fleet/fallback.h"
#include "fleet/outbox.h"
#include "proto/limits.h"
#include "proto/topics.h"
#include "storage/fleetdb_roots.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WITHDRAW_EVERY_MS = 60 * 1000 };

struct publisher {
    const struct director *director;
    struct publisher_sink sink;
    unsigned window, inflight;
    uint64_t sent;
    bool connected;
    struct outbox outbox;
    int64_t withdraw_after_ms, withdrawn_ms;
    /* Of the one withdrawal under way; the blob is only forgotten once the broker has answered. */
    uint64_t withdrawal_token;
    uint8_t withdrawal[32];
    struct publisher_stats stats;
    struct log_gate gate; /* of lines that a terminal can cause */
};

bool publisher_open(const struct publisher_settings *settings, struct publisher **ret_publisher,
                    struct err *err)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the publisher");
    publisher->director = settings->director;
    publisher->outbox.db = settings->director->db;
    publisher->sink = settings->sink;
    publisher->window = settings->window;
    publisher->withdraw_after_ms = settings->withdraw_after_ms;
    *ret_publisher = publisher;
    return true;
}

void publisher_close(struct publisher *publisher)
{
    if (publisher != NULL)
        outbox_done(&publisher->outbox);
    free(publisher);
}

/* ---- sending ---- */

static bool load(const struct publisher *publisher, const struct item *item,
                 char topic[TOPIC_CHARS], struct buf *payload, struct err *err)
{
    struct fleetdb *db = publisher->director->db;
    struct fleetdb_manifest manifest;
    switch (item->what) {
    case WHAT_TRUST:
        topic_format(&(struct topic){.kind = TOPIC_TRUST, .version = item->root}, topic);
        return fleetdb_root_get(db, item->root, payload, err);
    case WHAT_BLOB:
        topic_blob(item->blob, topic);
        return fleetdb_blob_retained(db, item->blob, err) &&
               fleetdb_blob_get(db, item->blob, payload, err);
    case WHAT_WITHDRAWAL:
        topic_blob(item->blob, topic);
        return true; /* an empty retained message takes back what was kept */
    case WHAT_MANIFEST:
        topic_device(TOPIC_DOWN_MANIFEST, item->device_id, topic);
        if (item->retired)
            return true; /* nothing is meant for it any more: taken back likewise */
        return fleetdb_manifest_get(db, item->device, &manifest, payload, err);
    }
    return err_set(err, ERR_INVALID, "nothing to publish");
}

static bool send_item(struct publisher *publisher, const struct item *item, struct err *err)
{
    char topic[TOPIC_CHARS];
    struct buf payload = {.limit = LIMIT_BLOB_BYTES};
    bool ok = load(publisher, item, topic, &payload, err) &&
              publisher->sink.publish(publisher->sink.ctx, PUBLISHER_TOKEN | publisher->sent, topic,
                                      buf_bytes(&payload), err);
    buf_done(&payload);
    if (ok && item->what == WHAT_WITHDRAWAL) {
        publisher->outbox.withdrawing = true;
        publisher->withdrawal_token = PUBLISHER_TOKEN | publisher->sent;
        memcpy(publisher->withdrawal, item->blob, sizeof item->blob);
    }
    if (ok) {
        publisher->sent++;
        publisher->inflight++;
    }
    return ok;
}

/* Sends or gives up the next message; false when there is nothing more to do now. */
static bool step(struct publisher *publisher)
{
    struct err err = {0};
    struct item item = {0};
    enum source source = SOURCE_WALK;
    bool found = false;
    if (!outbox_peek(&publisher->outbox, &item, &source, &found, &err)) {
        log_error("publisher: %s; the rest follows at the next connect", err.text);
        publisher->stats.failed++;
        outbox_give_up(&publisher->outbox, source);
        return source == SOURCE_CHANGED;
    }
    if (!found)
        return false;
    if (!send_item(publisher, &item, &err)) {
        if (err.code == ERR_FULL || err.code == ERR_UNAVAILABLE)
            return false; /* it stays where it is */
        log_error("publisher: %s; left out until the next connect", err.text);
        publisher->stats.failed++;
    }
    outbox_advance(&publisher->outbox, &item, source);
    return true;
}

static void pump(struct publisher *publisher)
{
    while (publisher->connected && publisher->inflight < publisher->window && step(publisher))
        ;
}

/* ---- events ---- */

static void add_news(struct publisher *publisher, const struct item *item)
{
    if (publisher->connected) /* or else the walk at the next connect covers it */
        outbox_add(&publisher->outbox, item);
}

void publisher_connected(struct publisher *publisher)
{
    publisher->connected = true;
    publisher->inflight = 0;
    outbox_all(&publisher->outbox);
    pump(publisher);
}

void publisher_disconnected(struct publisher *publisher)
{
    publisher->connected = false;
    publisher->inflight = 0;
    publisher->withdrawal_token = 0;
    publisher->outbox.withdrawing = false;
    outbox_forget(&publisher->outbox);
}

static void end_withdrawal(struct publisher *publisher, bool accepted)
{
    struct err err = {0};
    struct item item = {.what = WHAT_BLOB};
    bool wanted;
    publisher->withdrawal_token = 0;
    publisher->outbox.withdrawing = false;
    if (!accepted)
        return;
    memcpy(item.blob, publisher->withdrawal, sizeof item.blob);
    if (!fleetdb_blob_withdrawn(publisher->director->db, item.blob, &wanted, &err)) {
        log_error("publisher: %s; the blob is withdrawn once more later", err.text);
        return;
    }
    publisher->stats.withdrawn++;
    if (wanted) /* a manifest has named it while it was on its way out */
        add_news(publisher, &item);
}

void publisher_withdraw(struct publisher *publisher, int64_t now_ms)
{
    int64_t every_ms = publisher->withdraw_after_ms < WITHDRAW_EVERY_MS
                           ? publisher->withdraw_after_ms
                           : WITHDRAW_EVERY_MS;
    int64_t since_ms = now_ms - publisher->withdrawn_ms; /* negative: the clock was set back */
    if (outbox_is_walking(&publisher->outbox) || !publisher->connected ||
        (since_ms >= 0 && since_ms < every_ms))
        return;
    publisher->withdrawn_ms = now_ms;
    outbox_withdraw(&publisher->outbox, now_ms - publisher->withdraw_after_ms);
    pump(publisher);
}

void publisher_puback(struct publisher *publisher, uint64_t token, bool accepted)
{
    if (token != 0 && token == publisher->withdrawal_token)
        end_withdrawal(publisher, accepted);
    if ((token & PUBLISHER_TOKEN) != 0 && publisher->inflight > 0) {
        publisher->inflight--;
        publisher->stats.published += accepted;
        publisher->stats.refused += !accepted;
        if (!accepted)
            log_warn("the broker refused a retained message of the publisher; check its ACL");
    }
    pump(publisher);
}

/* Of what the device lacks, what its newest manifest names: nothing else is given out again, nor
 * would anybody take it back. */
static bool add_lacks(struct publisher *publisher, int64_t device, const Muster__Hello *hello,
                      struct err *err)
{
    for (size_t i = 0; i < hello->n_lacks && i < LIMIT_MANIFEST_ITEMS; i++) {
        struct item item = {.what = WHAT_BLOB};
        bool named = false;
        if (hello->lacks[i].len != sizeof item.blob)
            continue;
        memcpy(item.blob, hello->lacks[i].data, sizeof item.blob);
        if (!fleetdb_blob_is_named(publisher->director->db, device, item.blob, &named, err))
            return false;
        if (named)
            add_news(publisher, &item);
    }
    return true;
}

static void add_changed(struct publisher *publisher, const struct fleetdb_device *device)
{
    if (publisher->connected) /* or else the walk at the next connect covers it */
        outbox_changed(&publisher->outbox, device->device);
}

void publisher_changed(struct publisher *publisher, const struct director_outcome *outcomes,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (outcomes[i].changed)
            add_changed(publisher, &outcomes[i].device);
    pump(publisher);
}

void publisher_root(struct publisher *publisher, uint64_t version)
{
    add_news(publisher, &(struct item){.what = WHAT_TRUST, .root = version});
    pump(publisher);
}

void publisher_renewed(struct publisher *publisher, const struct fleetdb_device *device)
{
    add_changed(publisher, device);
    pump(publisher);
}

/* The one after the root that the device knows; once it has taken that it says hello again. Sent
 * before anything else, since what follows may be signed by keys that only the root names. */
static bool send_root(struct publisher *publisher, const struct fleetdb_device *device,
                      uint64_t known, int64_t now_ms, struct err *err)
{
    uint64_t first, newest;
    if (!fleetdb_root_range(publisher->director->db, &first, &newest, err))
        return false;
    if (known == 0 || known == newest)
        return true; /* an agent that does not say, or nothing newer */
    if (known < newest && known + 1 >= first) {
        publisher_root(publisher, known + 1);
        return true;
    }
    if (!log_gate_pass(&publisher->gate, now_ms, "get roots"))
        return true;
    if (known > newest)
        log_error("%s knows root %" PRIu64 " and the newest here is %" PRIu64
                  ": publish those in between with musterctl root publish",
                  device->id, known, newest);
    else
        log_error("%s knows root %" PRIu64 " and the first here is %" PRIu64
                  ": publish those before it with musterctl root publish, newest first",
                  device->id, known, first);
    return true;
}

bool publisher_hello(struct publisher *publisher, const struct fleetdb_device *device,
                     const Muster__Hello *hello, int64_t now_ms, struct buf *ret_manifest,
                     struct err *err)
{
    struct director_seen seen = {0};
    if (hello->state != NULL)
        seen = (struct director_seen){.epoch = hello->state->manifest_epoch,
                                      .version = hello->state->manifest_version,
                                      .sha256 = bytes_of(hello->state->manifest_sha256.data,
                                                         hello->state->manifest_sha256.len)};
    struct fleetdb_manifest before, newest;
    size_t length = ret_manifest->length;
    const struct director *director = publisher->director;
    size_t fallen = 0;
    if (!send_root(publisher, device, hello->root_version, now_ms, err) ||
        !fallback_take(director, device, hello, now_ms, &fallen, err) ||
        !fleetdb_manifest_get(director->db, device->device, &before, NULL, err) ||
        !director_manifest(director, device, &seen, now_ms, &newest, ret_manifest, err))
        return false;
    bool same_epoch = seen.epoch == 0 || newest.epoch == seen.epoch;
    if (newest.version == 0 || (same_epoch && newest.version <= seen.version))
        ret_manifest->length = length;
    if (!add_lacks(publisher, device->device, hello, err))
        return false;
    bool above = newest.epoch != before.epoch || newest.version != before.version;
    if (above)
        log_warn("%s holds manifest %llu, we had %llu: signed %llu above it", device->id,
                 (unsigned long long)seen.version, (unsigned long long)before.version,
                 (unsigned long long)newest.version);
    if (above || fallen > 0)
        add_changed(publisher, device);
    publisher->stats.fallen += fallen;
    pump(publisher);
    return true;
}

struct publisher_stats publisher_stats(const struct publisher *publisher)
{
    struct publisher_stats stats = publisher->stats;
    stats.waiting = outbox_waiting(&publisher->outbox);
    stats.walking = outbox_is_walking(&publisher->outbox);
    return stats;
}
