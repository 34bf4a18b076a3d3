/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

#include "base/log.h"
#include "fleet/ed25519.h"
#include "proto/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

bool collector_keys(struct collector *collector, const struct sign_key *director,
                    const struct sign_key *receipt, struct err *err)
{
    struct verify_key *public = NULL, **keys = collector->receipt_public;
    size_t count = collector->receipt_public_count;
    bool known = count > 0 && bytes_equal(verify_key_spki(keys[0]), sign_key_spki(receipt));
    if (!known && !ed25519_verify_key(sign_key_spki(receipt), &public, err))
        return false;
    if (!known) {
        if (count == COLLECTOR_RECEIPT_KEYS)
            verify_key_free(keys[--count]);
        memmove(&keys[1], &keys[0], count * sizeof(struct verify_key *));
        keys[0] = public;
        collector->receipt_public_count = count + 1;
    }
    if (collector->sealer != NULL)
        sealer_settle(collector->sealer); /* with the keys before */
    collector->settings.director_key = director;
    collector->settings.receipt_key = receipt;
    return true;
}

bool collector_open(const struct collector_settings *settings, const struct collector_ports *ports,
                    struct collector **ret_collector, struct err *err)
{
    struct collector *collector = calloc(1, sizeof *collector);
    if (collector == NULL)
        return err_set(err, ERR_NO_MEMORY, "collector: out of memory");
    collector->settings = *settings;
    if (collector->settings.clock_ppm == 0)
        collector->settings.clock_ppm = TRUETIME_PPM;
    collector->clock_work = true; /* what a restart left */
    collector->ports = *ports;
    owed_init(&collector->owed);
    if (!opener_make(&collector->opener, err) ||
        !sealer_make(ports->wake, ports->ctx, &collector->sealer, err) ||
        !collector_queue_open(collector, err) ||
        !collector_keys(collector, settings->director_key, settings->receipt_key, err)) {
        collector_close(collector);
        return false;
    }
    *ret_collector = collector;
    return true;
}

void collector_close(struct collector *collector)
{
    if (collector == NULL)
        return;
    collector_queue_close(collector);
    sealer_free(collector->sealer);
    owed_done(&collector->owed);
    opener_free(collector->opener);
    for (size_t i = 0; i < collector->receipt_public_count; i++)
        verify_key_free(collector->receipt_public[i]);
    free(collector);
}

void collector_refuse(struct collector *collector, enum refusal_kind kind,
                      enum refusal_reason reason, const char *device, const char *why)
{
    metrics_refuse(collector->settings.metrics, kind, reason);
    if (!log_gate_pass(&collector->gate, clock_boot_ms(collector->settings.clock),
                       "muster_refused_total"))
        return;
    log_warn("refused %s of %s: %s: %s", refusal_kind_name(kind), device,
             refusal_reason_name(reason), why);
}

void collector_alarm(struct collector *collector, const char *counter, const char *fmt, ...)
{
    char text[480];
    va_list args;
    if (!log_gate_pass(&collector->alarms, clock_boot_ms(collector->settings.clock), counter))
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    log_error("%s", text);
}

/* ---- the transaction ---- */

static bool take(struct collector *collector, struct collector_message *message,
                 struct collector_news *news, struct err *err)
{
    collector_clock_message(collector);
    switch (message->topic.kind) {
    case TOPIC_UP_BATCH:
        return collector_batch(collector, message, news, err);
    case TOPIC_UP_HELLO:
        return collector_hello(collector, message, news, err);
    default:
        return collector_online(collector, message, err);
    }
}

/* The messages first..first + count - 1 in one transaction: all of them or none. */
static bool commit_some(struct collector *collector, size_t first, size_t count, struct err *err)
{
    struct metrics before = *collector->settings.metrics;
    uint64_t start_ns = uv_hrtime();
    bool done = fleetdb_begin(collector->settings.db, err);
    for (size_t i = first; done && i < first + count; i++) {
        done = take(collector, collector_queue_await(collector, i), &collector->news[i], err);
        collector_queue_understood(collector, i);
    }
    done = done && fleetdb_commit(collector->settings.db, err);
    if (done) {
        metrics_commit(collector->settings.metrics, (uv_hrtime() - start_ns) / 1000);
        return true;
    }
    fleetdb_rollback(collector->settings.db);
    *collector->settings.metrics = before; /* what was counted did not happen */
    metrics_add(collector->settings.metrics, METRIC_COMMIT_FAILURES, 1);
    return false;
}

/* Only now may anybody be told. */
static void owe(struct collector *collector, const struct collector_news *news)
{
    struct owed *owed = owed_get(&collector->owed, news->device.device, news->device.id);
    if (owed == NULL) {
        log_error("collector: no memory for what %s is owed; it will ask again", news->device.id);
        return;
    }
    for (size_t i = 0; i < news->stream_count; i++)
        owed_add_stream(owed, &news->streams[i]);
    if (news->undecodable)
        owed_add_undecodable(owed, news->digest);
    if (news->hello == NULL) {
        int64_t now_ms = clock_boot_ms(collector->settings.clock);
        const struct receipts_policy policy =
            receipts_paced(&collector->settings.receipts, news->device.receipt_pace_s,
                           owed->undecodable_count > 0);
        receipts_owe(&owed->wait, news->records, now_ms);
        if (!owed->welcome)
            owed_due(&collector->owed, owed,
                     now_ms + receipts_due_ms(&owed->wait, &policy, now_ms));
    }
}

static void owe_welcome(struct collector *collector, const struct collector_news *news)
{
    struct owed *owed = owed_get(&collector->owed, news->device.device, news->device.id);
    struct buf manifest = {.limit = LIMIT_MANIFEST_BYTES};
    if (owed == NULL)
        return;
    owed->refusal[0] = '\0';
    owed->wants = (struct wants){0};
    if (news->refusal != NULL)
        strncpy(owed->refusal, news->refusal, sizeof owed->refusal - 1);
    else
        collector->ports.hello(collector->ports.ctx, &news->device, news->hello, &owed->wants,
                               &manifest);
    memcpy(owed->nonce, news->hello->nonce.data, sizeof owed->nonce);
    owed->welcome =
        owed_set_manifest(&collector->owed, owed, buf_bytes(&manifest), COLLECTOR_MANIFEST_BYTES);
    buf_done(&manifest);
    if (!owed->welcome)
        metrics_add(collector->settings.metrics, METRIC_WELCOMES_DROPPED, 1);
    owed_due(&collector->owed, owed, INT64_MIN);
}

static void forget_news(struct collector *collector, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        arena_done(&collector->news[i].arena);
        memset(&collector->news[i], 0, sizeof collector->news[i]);
    }
}

static void tell(struct collector *collector, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        const struct collector_news *news = &collector->news[i];
        if (news->device.device == 0)
            continue;
        owe(collector, news);
        if (news->hello != NULL)
            owe_welcome(collector, news);
    }
}

/* A message that the database cannot take must not take the others with it. */
static void commit_one_by_one(struct collector *collector, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct topic *topic = &collector_queued(collector, i)->topic;
        struct err err = {0};
        if (commit_some(collector, i, 1, &err))
            tell(collector, i, 1);
        else
            collector_refuse(collector, collector_kind(topic), REASON_DATABASE, topic->device,
                             err.text);
        forget_news(collector, i, 1);
    }
}

/* False: the database cannot be trusted any more, and nothing is left in the queue. */
static bool commit_first(struct collector *collector, size_t count)
{
    struct err err = {0};
    bool done = commit_some(collector, 0, count, &err);
    if (done)
        tell(collector, 0, count);
    forget_news(collector, 0, count);
    if (!done) {
        log_error("nothing of %zu messages was stored or receipted: %s", count, err.text);
        if (!fleetdb_check(collector->settings.db, &err)) {
            collector_queue_clear(collector);
            collector->ports.failed(collector->ports.ctx, &err);
            return false;
        }
        commit_one_by_one(collector, count);
    }
    collector_queue_drop(collector, count);
    return true;
}

static void take_message(struct collector *collector, const char *topic, struct bytes payload,
                         bool kept)
{
    struct topic parsed;
    if (!collector_admit(collector, topic, payload, &parsed))
        return;
    while (collector_queue_full(collector, payload.length)) {
        /* What says that a session begins or ends is not said again. */
        if (parsed.kind != TOPIC_UP_ONLINE && collector_queue_crowded(collector, parsed.device)) {
            collector_refuse(collector, collector_kind(&parsed), REASON_TOO_FAST, parsed.device,
                             "others wait behind what it has sent; it may send that again");
            return;
        }
        if (!commit_first(collector, collector_queue_portion(collector)))
            return;
    }
    collector_queue_put(collector, &parsed, payload, kept);
}

void collector_message(struct collector *collector, const char *topic, struct bytes payload)
{
    take_message(collector, topic, payload, false);
}

void collector_kept(struct collector *collector, const char *topic, struct bytes payload)
{
    take_message(collector, topic, payload, true);
}

void collector_flush(struct collector *collector)
{
    while (collector->queue_count > 0) {
        if (!commit_first(collector, collector_queue_portion(collector)))
            return;
    }
}

void collector_finish(struct collector *collector)
{
    collector_flush(collector);
    collector_queue_close(collector);
    sealer_stop(collector->sealer);
}

int64_t collector_turn(struct collector *collector)
{
    size_t due = 0;
    while ((due = collector_queue_due(collector)) > 0) {
        if (!commit_first(collector, due))
            break;
    }
    collector_clock_redo(collector);
    int64_t wait_ms = collector_clock_wait(collector, collector_pump(collector));
    return collector_queue_wait(collector, wait_ms);
}

void collector_ready(struct collector *collector)
{
    collector->blocked = false;
}
