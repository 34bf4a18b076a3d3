/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/opener_thread.h"

#include <stdlib.h>
#include <uv.h>

struct slot {
    struct opener_job job;
    size_t bytes; /* held since it was opened */
};

struct opener_thread {
    struct opener_thread_settings settings;
    struct opener *opener;
    uv_thread_t thread;
    bool runs;
    uv_mutex_t mutex; /* of all below */
    uv_cond_t given, opened;
    struct slot *ring; /* settings.room of them */
    uint64_t given_count, opened_count, taken_count;
    uint64_t awaited;               /* whoever waits does so until so many are opened */
    size_t held_bytes, unannounced; /* unannounced: opened since the last wake */
    bool waits_for_memory, stopping;
};

/* Whether the thread has to go on waiting. With nothing opened there is nothing to wait for. */
static bool has_to_wait(struct opener_thread *thread)
{
    bool idle = thread->given_count == thread->opened_count;
    thread->waits_for_memory = !idle && thread->opened_count > thread->taken_count &&
                               thread->held_bytes >= thread->settings.held_bytes;
    return !thread->stopping && (idle || thread->waits_for_memory);
}

static struct slot *slot_of(const struct opener_thread *thread, uint64_t number)
{
    return &thread->ring[number % thread->settings.room];
}

/* NULL: it is time to stop. */
static struct slot *next_slot(struct opener_thread *thread)
{
    while (has_to_wait(thread)) {
        if (thread->waits_for_memory)
            uv_cond_signal(&thread->opened);
        uv_cond_wait(&thread->given, &thread->mutex);
    }
    return thread->stopping ? NULL : slot_of(thread, thread->opened_count);
}

static void open_job(struct opener_thread *thread, struct slot *slot)
{
    const struct opener_job *job = &slot->job;
    if (job->domain == NULL)
        return;
    opener_open(thread->opener, job->domain, job->id, job->message, &job->keys, job->opened);
    slot->bytes = job->opened->arena.used_bytes;
}

static void tell(struct opener_thread *thread)
{
    if (thread->opened_count == thread->awaited)
        uv_cond_signal(&thread->opened);
    thread->unannounced++;
    if (thread->opened_count == thread->given_count ||
        thread->unannounced >= thread->settings.wake_at) {
        thread->unannounced = 0;
        thread->settings.wake(thread->settings.ctx);
    }
}

static void run(void *ctx)
{
    struct opener_thread *thread = ctx;
    struct slot *slot = NULL;
    uv_mutex_lock(&thread->mutex);
    while ((slot = next_slot(thread)) != NULL) {
        uv_mutex_unlock(&thread->mutex);
        open_job(thread, slot);
        uv_mutex_lock(&thread->mutex);
        thread->held_bytes += slot->bytes;
        thread->opened_count++;
        tell(thread);
    }
    uv_mutex_unlock(&thread->mutex);
}

static bool no_thread(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no thread to open messages");
}

static bool make_thread(struct opener_thread *thread, struct err *err)
{
    if (uv_mutex_init(&thread->mutex) != 0)
        return no_thread(err);
    if (uv_cond_init(&thread->given) != 0) {
        uv_mutex_destroy(&thread->mutex);
        return no_thread(err);
    }
    if (uv_cond_init(&thread->opened) != 0) {
        uv_cond_destroy(&thread->given);
        uv_mutex_destroy(&thread->mutex);
        return no_thread(err);
    }
    thread->runs = uv_thread_create(&thread->thread, run, thread) == 0;
    if (thread->runs)
        return true;
    uv_cond_destroy(&thread->opened);
    uv_cond_destroy(&thread->given);
    uv_mutex_destroy(&thread->mutex);
    return no_thread(err);
}

bool opener_thread_start(const struct opener_thread_settings *settings,
                         struct opener_thread **ret_thread, struct err *err)
{
    struct opener_thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL)
        return no_thread(err);
    thread->settings = *settings;
    thread->ring = calloc(settings->room, sizeof *thread->ring);
    if ((thread->ring == NULL && !no_thread(err)) || !opener_make(&thread->opener, err) ||
        !make_thread(thread, err)) {
        opener_thread_free(thread);
        return false;
    }
    *ret_thread = thread;
    return true;
}

void opener_thread_stop(struct opener_thread *thread)
{
    if (!thread->runs)
        return;
    uv_mutex_lock(&thread->mutex);
    thread->stopping = true;
    uv_cond_signal(&thread->given);
    uv_mutex_unlock(&thread->mutex);
    (void)uv_thread_join(&thread->thread);
    thread->runs = false;
    uv_cond_destroy(&thread->opened);
    uv_cond_destroy(&thread->given);
    uv_mutex_destroy(&thread->mutex);
}

void opener_thread_free(struct opener_thread *thread)
{
    if (thread == NULL)
        return;
    opener_thread_stop(thread);
    opener_free(thread->opener);
    free(thread->ring);
    free(thread);
}

void opener_thread_give(struct opener_thread *thread, const struct opener_job *job)
{
    uv_mutex_lock(&thread->mutex);
    *slot_of(thread, thread->given_count++) = (struct slot){.job = *job};
    uv_cond_signal(&thread->given);
    uv_mutex_unlock(&thread->mutex);
}

size_t opener_thread_ready(struct opener_thread *thread)
{
    return opener_thread_wait(thread, 0);
}

size_t opener_thread_wait(struct opener_thread *thread, size_t count)
{
    uv_mutex_lock(&thread->mutex);
    thread->awaited = thread->taken_count + count;
    if (thread->awaited > thread->given_count)
        thread->awaited = thread->given_count;
    while (thread->opened_count < thread->awaited && !thread->waits_for_memory)
        uv_cond_wait(&thread->opened, &thread->mutex);
    size_t ready = (size_t)(thread->opened_count - thread->taken_count);
    uv_mutex_unlock(&thread->mutex);
    return ready;
}

/* With half of its room it goes on: to be woken for each message would cost more than it saves. */
static void let_go_on(struct opener_thread *thread)
{
    if (!thread->waits_for_memory || thread->held_bytes > thread->settings.held_bytes / 2)
        return;
    thread->waits_for_memory = false;
    uv_cond_signal(&thread->given);
}

static void give_back(struct opener_thread *thread, struct slot *slot)
{
    thread->held_bytes -= slot->bytes;
    slot->bytes = 0;
}

void opener_thread_release(struct opener_thread *thread, size_t index)
{
    uv_mutex_lock(&thread->mutex);
    give_back(thread, slot_of(thread, thread->taken_count + index));
    let_go_on(thread);
    uv_mutex_unlock(&thread->mutex);
}

void opener_thread_take(struct opener_thread *thread, size_t count)
{
    uv_mutex_lock(&thread->mutex);
    for (size_t i = 0; i < count; i++)
        give_back(thread, slot_of(thread, thread->taken_count++));
    let_go_on(thread);
    uv_mutex_unlock(&thread->mutex);
}
