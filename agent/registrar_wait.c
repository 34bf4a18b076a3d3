/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include <stdlib.h>

struct waiter {
    struct waiter *next;
    struct registrar *registrar;
    uv_timer_t timer;
    bool despite_lacks; /* does not wait for the broker */
    void (*done)(void *ctx);
    void *ctx;
};

static void waiter_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* Takes it from the list and answers it. */
static void waiter_answer(struct waiter **at)
{
    struct waiter *waiter = *at;
    *at = waiter->next;
    waiter->done(waiter->ctx);
    uv_close((uv_handle_t *)&waiter->timer, waiter_closed);
}

void waiters_answer(struct registrar *registrar, bool complete)
{
    struct waiter **at = &registrar->waiters;
    while (*at != NULL) {
        if (complete || (*at)->despite_lacks)
            waiter_answer(at);
        else
            at = &(*at)->next;
    }
}

static void waiter_late(uv_timer_t *timer)
{
    struct waiter *late = timer->data;
    struct waiter **at = &late->registrar->waiters;
    while (*at != late)
        at = &(*at)->next;
    waiter_answer(at);
}

bool waiter_add(struct registrar *registrar, bool despite_lacks, int64_t limit_ms,
                void (*done)(void *ctx), void *ctx, struct err *err)
{
    if (registrar->closing)
        return err_set(err, ERR_UNAVAILABLE, "the registry is closing");
    struct waiter *waiter = calloc(1, sizeof *waiter);
    if (waiter == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to wait for the registry");
    waiter->registrar = registrar;
    waiter->despite_lacks = despite_lacks;
    waiter->done = done;
    waiter->ctx = ctx;
    (void)uv_timer_init(registrar->loop, &waiter->timer); /* cannot fail */
    waiter->timer.data = waiter;
    (void)uv_timer_start(&waiter->timer, waiter_late, limit_ms > 0 ? (uint64_t)limit_ms : 0, 0);
    struct waiter **at = &registrar->waiters;
    while (*at != NULL) /* those who asked first are answered first */
        at = &(*at)->next;
    *at = waiter;
    registrar_wake(registrar);
    return true;
}

bool registrar_check(struct registrar *registrar, int64_t limit_ms, void (*done)(void *ctx),
                     void *ctx, struct err *err)
{
    if (!waiter_add(registrar, false, limit_ms, done, ctx, err))
        return false;
    registrar->check_due = CHECK_ALL;
    return true;
}

bool registrar_settle(struct registrar *registrar, int64_t limit_ms, void (*done)(void *ctx),
                      void *ctx, struct err *err)
{
    return waiter_add(registrar, true, limit_ms, done, ctx, err);
}
