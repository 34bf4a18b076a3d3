/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/sealer.h"

#include <stdlib.h>
#include <uv.h>

enum { ROOM = 512, BYTES_MAX = 4 * 1024 * 1024 };

struct sealer {
    void (*wake)(void *ctx);
    void *ctx;
    uv_thread_t thread;
    bool runs;
    uv_mutex_t mutex; /* of all below */
    uv_cond_t given, signed_all;
    struct sealer_reply ring[ROOM];
    uint64_t given_count, signed_count, taken_count;
    size_t bytes, unannounced; /* unannounced: signed since the last wake */
    bool stopping;
};

static struct sealer_reply *slot_of(struct sealer *sealer, uint64_t number)
{
    return &sealer->ring[number % ROOM];
}

static void sign(struct sealer_reply *reply)
{
    if (reply->key == NULL)
        return;
    if (!seal(reply->domain, reply->id, buf_bytes(&reply->body), &reply->key, 1, true,
              &reply->message, &reply->why))
        buf_done(&reply->message);
    buf_done(&reply->body);
}

static void announce(struct sealer *sealer)
{
    bool all = sealer->signed_count == sealer->given_count;
    if (all)
        uv_cond_signal(&sealer->signed_all);
    if (!all && ++sealer->unannounced < ROOM / 2)
        return;
    sealer->unannounced = 0;
    sealer->wake(sealer->ctx);
}

static void run(void *ctx)
{
    struct sealer *sealer = ctx;
    uv_mutex_lock(&sealer->mutex);
    for (;;) {
        while (sealer->signed_count == sealer->given_count && !sealer->stopping)
            uv_cond_wait(&sealer->given, &sealer->mutex);
        if (sealer->signed_count == sealer->given_count)
            break;
        struct sealer_reply *reply = slot_of(sealer, sealer->signed_count);
        uv_mutex_unlock(&sealer->mutex);
        sign(reply);
        uv_mutex_lock(&sealer->mutex);
        sealer->signed_count++;
        announce(sealer);
    }
    uv_mutex_unlock(&sealer->mutex);
}

static bool no_thread(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no thread to sign replies");
}

static bool make_conditions(struct sealer *sealer)
{
    if (uv_cond_init(&sealer->given) != 0)
        return false;
    if (uv_cond_init(&sealer->signed_all) == 0)
        return true;
    uv_cond_destroy(&sealer->given);
    return false;
}

bool sealer_make(void (*wake)(void *ctx), void *ctx, struct sealer **ret_sealer, struct err *err)
{
    struct sealer *sealer = calloc(1, sizeof *sealer);
    if (sealer == NULL)
        return no_thread(err);
    sealer->wake = wake;
    sealer->ctx = ctx;
    if (uv_mutex_init(&sealer->mutex) != 0) {
        free(sealer);
        return no_thread(err);
    }
    if (!make_conditions(sealer)) {
        uv_mutex_destroy(&sealer->mutex);
        free(sealer);
        return no_thread(err);
    }
    sealer->runs = wake != NULL && uv_thread_create(&sealer->thread, run, sealer) == 0;
    if (wake != NULL && !sealer->runs) {
        sealer_free(sealer);
        return no_thread(err);
    }
    *ret_sealer = sealer;
    return true;
}

void sealer_stop(struct sealer *sealer)
{
    if (!sealer->runs)
        return;
    uv_mutex_lock(&sealer->mutex);
    sealer->stopping = true;
    uv_cond_signal(&sealer->given);
    uv_mutex_unlock(&sealer->mutex);
    (void)uv_thread_join(&sealer->thread);
    sealer->runs = false;
}

void sealer_free(struct sealer *sealer)
{
    if (sealer == NULL)
        return;
    sealer_stop(sealer);
    while (sealer->taken_count < sealer->given_count)
        sealer_drop(sealer);
    uv_cond_destroy(&sealer->signed_all);
    uv_cond_destroy(&sealer->given);
    uv_mutex_destroy(&sealer->mutex);
    free(sealer);
}

bool sealer_full(struct sealer *sealer)
{
    uv_mutex_lock(&sealer->mutex);
    bool full = sealer->given_count - sealer->taken_count == ROOM || sealer->bytes >= BYTES_MAX;
    uv_mutex_unlock(&sealer->mutex);
    return full;
}

bool sealer_empty(struct sealer *sealer)
{
    uv_mutex_lock(&sealer->mutex);
    bool empty = sealer->given_count == sealer->taken_count;
    uv_mutex_unlock(&sealer->mutex);
    return empty;
}

void sealer_give(struct sealer *sealer, const struct sealer_reply *reply)
{
    uv_mutex_lock(&sealer->mutex);
    struct sealer_reply *slot = slot_of(sealer, sealer->given_count++);
    *slot = *reply;
    slot->bytes = reply->body.length + reply->message.length;
    sealer->bytes += slot->bytes;
    if (!sealer->runs) {
        sign(slot);
        sealer->signed_count++;
    } else {
        uv_cond_signal(&sealer->given);
    }
    uv_mutex_unlock(&sealer->mutex);
}

void sealer_settle(struct sealer *sealer)
{
    uv_mutex_lock(&sealer->mutex);
    while (sealer->signed_count < sealer->given_count)
        uv_cond_wait(&sealer->signed_all, &sealer->mutex);
    uv_mutex_unlock(&sealer->mutex);
}

const struct sealer_reply *sealer_first(struct sealer *sealer)
{
    uv_mutex_lock(&sealer->mutex);
    const struct sealer_reply *first =
        sealer->taken_count < sealer->signed_count ? slot_of(sealer, sealer->taken_count) : NULL;
    uv_mutex_unlock(&sealer->mutex);
    return first;
}

void sealer_drop(struct sealer *sealer)
{
    uv_mutex_lock(&sealer->mutex);
    struct sealer_reply *reply = slot_of(sealer, sealer->taken_count++);
    sealer->bytes -= reply->bytes;
    buf_done(&reply->body);
    buf_done(&reply->message);
    uv_mutex_unlock(&sealer->mutex);
}
