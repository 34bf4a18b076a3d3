/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/publisher.h"

#include "base/log.h"
#include "fleet/fallback.h"
#include "proto/limits.h"
#include "proto/topics.h"
#include "storage/fleetdb_roots.h"

#include <inttypes.h>

#include <stdlib.h>
#include <string.h>

enum { NEWS_MAX = 512, WITHDRAW_EVERY_MS = 60 * 1000 };

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

/* The walk's stages, in their order: a manifest comes after the blobs that it names. */
enum stage { STAGE_TRUST, STAGE_BLOBS, STAGE_MANIFESTS, STAGE_WITHDRAWALS, STAGE_DONE };

struct publisher {
    const struct director *director;
    struct publisher_sink sink;
    unsigned window, inflight;
    uint64_t sent;
    bool connected;
    enum stage stage;
    uint64_t after_root;
    int64_t withdraw_after_ms, withdraw_before_ms, withdrawn_ms;
    struct fleetdb_unwanted unwanted; /* how far the withdrawals have come */
    /* Of the one withdrawal under way; the blob is only forgotten once the broker has answered. */
    uint64_t withdrawal_token;
    uint8_t withdrawal[32];
    uint8_t after_blob[32];
    int64_t after_device;
    struct item news[NEWS_MAX]; /* a ring */
    unsigned news_first, news_count;
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
    publisher->sink = settings->sink;
    publisher->window = settings->window;
    publisher->withdraw_after_ms = settings->withdraw_after_ms;
    publisher->stage = STAGE_DONE;
    *ret_publisher = publisher;
    return true;
}

void publisher_close(struct publisher *publisher)
{
    free(publisher);
}

/* ---- what comes next ---- */

static void walk_all(struct publisher *publisher)
{
    publisher->stage = STAGE_TRUST;
    publisher->after_root = 0;
    memset(publisher->after_blob, 0, sizeof publisher->after_blob);
    publisher->after_device = 0;
    publisher->news_count = 0;
}

static bool same_item(const struct item *a, const struct item *b)
{
    return a->what == b->what && a->root == b->root && a->device == b->device &&
           memcmp(a->blob, b->blob, sizeof a->blob) == 0;
}

static void add_news(struct publisher *publisher, const struct item *item)
{
    if (!publisher->connected)
        return; /* the walk at the next connect covers it */
    for (unsigned i = 0; i < publisher->news_count; i++)
        if (same_item(&publisher->news[(publisher->news_first + i) % NEWS_MAX], item))
            return;
    if (publisher->news_count == NEWS_MAX) {
        log_info("more than %d changes wait for the broker: publishing everything again", NEWS_MAX);
        walk_all(publisher);
        return;
    }
    publisher->news[(publisher->news_first + publisher->news_count++) % NEWS_MAX] = *item;
}

/* All of them: a terminal takes them one by one, from the one that it knows. */
static bool peek_root(struct publisher *publisher, struct item *item, bool *ret_found,
                      struct err *err)
{
    struct fleetdb_root root = {0};
    struct buf envelope = {.limit = LIMIT_ROOT_BYTES};
    bool ok = fleetdb_root_next(publisher->director->db, publisher->after_root, &root, &envelope,
                                ret_found, err);
    buf_done(&envelope);
    item->what = WHAT_TRUST;
    item->root = root.version;
    return ok;
}

/* One after the other: while the broker has not answered, there is no next. */
static bool peek_unwanted(struct publisher *publisher, struct item *item, bool *ret_found,
                          struct err *err)
{
    struct fleetdb_unwanted next = publisher->unwanted;
    *ret_found = false;
    if (publisher->withdrawal_token != 0)
        return true;
    if (!fleetdb_unwanted_blob_next(publisher->director->db, publisher->withdraw_before_ms, &next,
                                    ret_found, err))
        return false;
    item->what = WHAT_WITHDRAWAL;
    memcpy(item->blob, next.sha256, sizeof item->blob);
    item->unwanted = next;
    publisher->stage = *ret_found ? STAGE_WITHDRAWALS : STAGE_DONE;
    return true;
}

/* The walk's next message; moves to the next stage where one is exhausted. */
static bool peek_walk(struct publisher *publisher, struct item *item, bool *ret_found,
                      struct err *err)
{
    struct fleetdb *db = publisher->director->db;
    *ret_found = false;
    if (publisher->stage == STAGE_TRUST) {
        if (!peek_root(publisher, item, ret_found, err))
            return false;
        publisher->stage = *ret_found ? STAGE_TRUST : STAGE_BLOBS;
    }
    if (publisher->stage == STAGE_BLOBS) {
        item->what = WHAT_BLOB;
        if (!fleetdb_wanted_blob_next(db, publisher->after_blob, item->blob, ret_found, err))
            return false;
        publisher->stage = *ret_found ? STAGE_BLOBS : STAGE_MANIFESTS;
    }
    if (publisher->stage == STAGE_MANIFESTS) {
        struct fleetdb_manifest_at at = {.device = publisher->after_device};
        item->what = WHAT_MANIFEST;
        if (!fleetdb_manifest_next(db, at.device, &at, ret_found, err))
            return false;
        item->device = at.device;
        item->retired = at.retired;
        memcpy(item->device_id, at.id, sizeof at.id);
        publisher->stage = *ret_found ? STAGE_MANIFESTS : STAGE_WITHDRAWALS;
    }
    return publisher->stage != STAGE_WITHDRAWALS || peek_unwanted(publisher, item, ret_found, err);
}

static void advance(struct publisher *publisher, const struct item *item, bool from_news)
{
    if (from_news) {
        publisher->news_first = (publisher->news_first + 1) % NEWS_MAX;
        publisher->news_count--;
    } else if (item->what == WHAT_TRUST) {
        publisher->after_root = item->root;
    } else if (item->what == WHAT_BLOB) {
        memcpy(publisher->after_blob, item->blob, sizeof item->blob);
    } else if (item->what == WHAT_MANIFEST) {
        publisher->after_device = item->device;
    } else {
        publisher->unwanted = item->unwanted;
    }
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
    bool from_news = publisher->news_count > 0, found = true;
    if (from_news) {
        item = publisher->news[publisher->news_first];
    } else if (!peek_walk(publisher, &item, &found, &err)) {
        log_error("publisher: %s; the rest follows at the next connect", err.text);
        publisher->stats.failed++;
        publisher->stage = STAGE_DONE;
        return false;
    }
    if (!found)
        return false;
    if (!send_item(publisher, &item, &err)) {
        if (err.code == ERR_FULL || err.code == ERR_UNAVAILABLE)
            return false; /* it stays where it is */
        log_error("publisher: %s; left out until the next connect", err.text);
        publisher->stats.failed++;
    }
    advance(publisher, &item, from_news);
    return true;
}

static void pump(struct publisher *publisher)
{
    while (publisher->connected && publisher->inflight < publisher->window && step(publisher))
        ;
}

/* ---- events ---- */

void publisher_connected(struct publisher *publisher)
{
    publisher->connected = true;
    publisher->inflight = 0;
    walk_all(publisher);
    pump(publisher);
}

void publisher_disconnected(struct publisher *publisher)
{
    publisher->connected = false;
    publisher->inflight = 0;
    publisher->withdrawal_token = 0;
    publisher->news_count = 0;
}

static void end_withdrawal(struct publisher *publisher, bool accepted)
{
    struct err err = {0};
    struct item item = {.what = WHAT_BLOB};
    bool wanted;
    publisher->withdrawal_token = 0;
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
    if (publisher->stage != STAGE_DONE || !publisher->connected ||
        (since_ms >= 0 && since_ms < every_ms))
        return;
    publisher->withdrawn_ms = now_ms;
    publisher->withdraw_before_ms = now_ms - publisher->withdraw_after_ms;
    publisher->unwanted = (struct fleetdb_unwanted){0};
    publisher->stage = STAGE_WITHDRAWALS;
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

/* For a walk over what is assigned to one device: the blobs that it lacks become news. */
struct wanted {
    struct publisher *publisher;
    const Muster__Hello *hello;
};

static bool is_lacked(const Muster__Hello *hello, const uint8_t blob[32])
{
    for (size_t i = 0; i < hello->n_lacks && i < LIMIT_MANIFEST_ITEMS; i++)
        if (hello->lacks[i].len == 32 && memcmp(hello->lacks[i].data, blob, 32) == 0)
            return true;
    return false;
}

static void add_blob(const struct wanted *wanted, const uint8_t blob[32])
{
    struct item item = {.what = WHAT_BLOB};
    memcpy(item.blob, blob, sizeof item.blob);
    if (is_lacked(wanted->hello, blob))
        add_news(wanted->publisher, &item);
}

static bool add_pieces(const struct wanted *wanted, const uint8_t list[32], struct err *err)
{
    struct buf hashes = {.limit = LIMIT_BLOB_BYTES};
    bool ok = fleetdb_blob_get(wanted->publisher->director->db, list, &hashes, err);
    for (size_t at = 0; ok && at + 32 <= hashes.length; at += 32)
        add_blob(wanted, hashes.data + at);
    buf_done(&hashes);
    return ok;
}

static bool add_blobs(void *ctx, const struct fleetdb_document *document, int mode, struct err *err)
{
    (void)mode;
    const struct wanted *wanted = ctx;
    for (size_t i = 0; i < document->encoding_count; i++) {
        const struct fleetdb_encoding *encoding = &document->encodings[i];
        add_blob(wanted, encoding->blob);
        if (encoding->piece_bytes != 0 && !add_pieces(wanted, encoding->blob, err))
            return false;
    }
    return true;
}

static void add_manifest(struct publisher *publisher, int64_t device, const char *id)
{
    struct item item = {.what = WHAT_MANIFEST, .device = device};
    memcpy(item.device_id, id, strlen(id) + 1);
    add_news(publisher, &item);
}

static bool add_named_blob(void *ctx, const uint8_t blob[32], struct err *err)
{
    struct item item = {.what = WHAT_BLOB};
    (void)err;
    memcpy(item.blob, blob, sizeof item.blob);
    add_news(ctx, &item);
    return true;
}

/* A device's new manifest, and before it what it names and the broker was not given yet. */
static void add_named(struct publisher *publisher, const struct fleetdb_device *device)
{
    struct err err = {0};
    if (publisher->connected && !fleetdb_named_blob_each(publisher->director->db, device->device,
                                                         add_named_blob, publisher, &err))
        log_error("publisher: %s; the broker's blobs follow at the next connect", err.text);
    add_manifest(publisher, device->device, device->id);
}

void publisher_changed(struct publisher *publisher, const struct director_outcome *outcomes,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (outcomes[i].changed)
            add_named(publisher, &outcomes[i].device);
    pump(publisher);
}

void publisher_root(struct publisher *publisher, uint64_t version)
{
    add_news(publisher, &(struct item){.what = WHAT_TRUST, .root = version});
    pump(publisher);
}

void publisher_renewed(struct publisher *publisher, const struct fleetdb_device *device)
{
    add_named(publisher, device);
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
    struct wanted wanted = {.publisher = publisher, .hello = hello};
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
    if (!fleetdb_assigned_each(director->db, device->device, add_blobs, &wanted, err))
        return false;
    bool above = newest.epoch != before.epoch || newest.version != before.version;
    if (above)
        log_warn("%s holds manifest %llu, we had %llu: signed %llu above it", device->id,
                 (unsigned long long)seen.version, (unsigned long long)before.version,
                 (unsigned long long)newest.version);
    if (above || fallen > 0)
        add_named(publisher, device);
    publisher->stats.fallen += fallen;
    pump(publisher);
    return true;
}

struct publisher_stats publisher_stats(const struct publisher *publisher)
{
    struct publisher_stats stats = publisher->stats;
    stats.waiting = publisher->news_count;
    stats.walking = publisher->stage != STAGE_DONE;
    return stats;
}
