/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "base/log.h"
#include "proto/refusal.h"
#include "proto/topics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the parts ask of each other ---- */

const struct sync_wants *registrar_wants(const struct registrar *registrar)
{
    return registrar->desired != NULL ? &registrar->desired->wants : NULL;
}

struct sync_holding registrar_holding(const struct registrar *registrar)
{
    return (struct sync_holding){.list = &registrar->held.current.list,
                                 .findings = registrar->findings,
                                 .anew = registrar->anew};
}

bool registrar_failure_counts(const struct registrar *registrar)
{
    const struct registry_failure *failure = &registrar->failure;
    if (!failure->present || registrar->desired == NULL)
        return false;
    const struct desired_digests *wants = &registrar->desired->digests;
    return memcmp(failure->digest, failure->content ? wants->content : wants->generation, 32) == 0;
}

bool registrar_failed(const struct registrar *registrar)
{
    return registrar_failure_counts(registrar) && !sync_was_returned(&registrar->failure);
}

void registrar_forget_findings(struct registrar *registrar)
{
    memset(registrar->findings, 0, sizeof registrar->findings);
    memset(registrar->sources, 0, sizeof registrar->sources);
    memset(registrar->awaited, 0, sizeof registrar->awaited);
    memset(registrar->marks, 0, sizeof registrar->marks);
}

static bool is_arriving(const struct arrival *arrival, const uint8_t sha256[32])
{
    while (arrival != NULL && memcmp(arrival->sha256, sha256, 32) != 0)
        arrival = arrival->next;
    return arrival != NULL;
}

bool registrar_has_blob(const struct registrar *registrar, const uint8_t sha256[32])
{
    return have_has(registrar, sha256) || is_arriving(registrar->arrivals, sha256) ||
           is_arriving(registrar->storing, sha256);
}

struct missing {
    const struct registrar *registrar;
    struct returned_view returned;
};

static bool is_missing(void *ctx, const struct registry_item *item, const struct sync_want *want,
                       struct sync_blobs *lacks)
{
    const struct missing *missing = ctx;
    const struct registrar *registrar = missing->registrar;
    if (want != NULL && missing->returned.wants[want - registrar->desired->wants.wants] != NULL)
        return false;
    return plan_missing((void *)(uintptr_t)registrar, item, want, lacks);
}

void registrar_missing(const struct registrar *registrar, struct sync_blobs *ret_lacks)
{
    struct sync_holding holding = registrar_holding(registrar);
    const struct sync_wants *wants = registrar_wants(registrar);
    struct missing missing = {.registrar = registrar};
    bool build = wants != NULL && !registrar->outdated && !registrar->no_room &&
                 !registrar_failed(registrar);
    returned_look(registrar, &missing.returned);
    sync_lacks(wants, &holding, build, is_missing, &missing, ret_lacks);
}

void registrar_go_on(struct registrar *registrar)
{
    registrar->stalled = registrar->trial.stalled = false;
}

/* Disk or memory may be there again. */
static void retry(uv_timer_t *timer)
{
    struct registrar *registrar = timer->data;
    registrar_go_on(registrar);
    registrar_wake(registrar);
}

void registrar_stall(struct registrar *registrar, const char *what, const struct err *err)
{
    enum { FIRST_MS = 60 * 1000, LONGEST_MS = 3600 * 1000, DOUBLED_MAX = 6 };
    unsigned doubled = registrar->stalls < DOUBLED_MAX ? registrar->stalls : DOUBLED_MAX;
    uint64_t wait_ms = (uint64_t)FIRST_MS << doubled;
    bool told = registrar->stall_code == err->code && registrar->stall_said[0] != '\0';
    registrar->stalled = true;
    registrar->stalls++;
    registrar->stall_code = err->code;
    log_error("registry: %s: %s", what, err->text);
    (void)snprintf(registrar->stall_said, sizeof registrar->stall_said, "%s: %.150s", what,
                   err->text);
    if (!registrar->closing && registrar->handles > 0) /* a check follows the opening */
        (void)uv_timer_start(&registrar->retry, retry, wait_ms < LONGEST_MS ? wait_ms : LONGEST_MS,
                             0);
    if (!told)
        report_event(registrar, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, "", NULL,
                     "%s; tried again, ever more seldom, and by muster selfcheck",
                     registrar->stall_said);
}

/* ---- one step at a time ---- */

static void registrar_step(struct registrar *registrar);

static void job_work(uv_work_t *work)
{
    struct job *job = work->data;
    job->run(job);
}

static void job_after(uv_work_t *work, int status)
{
    struct job *job = work->data;
    struct registrar *registrar = job->registrar;
    (void)status; /* jobs are not cancelled */
    registrar->job = NULL;
    job->done(registrar, job);
    registrar_step(registrar);
}

void job_start(struct registrar *registrar, struct job *job, void (*run)(struct job *job),
               void (*done)(struct registrar *registrar, struct job *job))
{
    job->work.data = job;
    job->registrar = registrar;
    job->registry = registrar->registry;
    job->sealing_key = registrar->sealing_key;
    job->run = run;
    job->done = done;
    registrar->job = job;
    /* Fails only without a work callback. */
    if (uv_queue_work(registrar->loop, &job->work, job_work, job_after) != 0)
        abort();
}

static void registrar_free(struct registrar *registrar)
{
    gate_drop(registrar);
    arrivals_free(registrar->arrivals);
    blob_set_done(&registrar->have);
    desired_free(registrar->desired);
    registry_close(registrar->registry);
    free(registrar);
}

static void handle_closed(uv_handle_t *handle)
{
    struct registrar *registrar = handle->data;
    if (--registrar->handles > 0)
        return;
    void (*closed)(void *ctx) = registrar->closed;
    void *ctx = registrar->closed_ctx;
    registrar_free(registrar);
    if (closed != NULL)
        closed(ctx);
}

static void handles_close(struct registrar *registrar)
{
    if (!uv_is_closing((uv_handle_t *)&registrar->wake)) {
        uv_close((uv_handle_t *)&registrar->wake, handle_closed);
        uv_close((uv_handle_t *)&registrar->timer, handle_closed);
        uv_close((uv_handle_t *)&registrar->retry, handle_closed);
        uv_close((uv_handle_t *)&registrar->again, handle_closed);
        uv_close((uv_handle_t *)&registrar->gate.timer, handle_closed);
        uv_close((uv_handle_t *)&registrar->trial.timer, handle_closed);
        uv_close((uv_handle_t *)&registrar->others.timer, handle_closed);
    }
}

static bool next_begun(struct registrar *registrar)
{
    return yield_start(registrar) || save_start(registrar) || anew_start(registrar) ||
           store_start(registrar) || check_start(registrar) || trial_save_start(registrar) ||
           trial_after_start(registrar) || return_start(registrar) || again_start(registrar) ||
           gate_start(registrar) || build_start(registrar);
}

/* The next stall is another story. */
static void settled(struct registrar *registrar)
{
    struct sync_blobs lacks;
    registrar_missing(registrar, &lacks);
    if (registrar->stalled || registrar->unsaved || registrar->floors_unsaved || lacks.count > 0)
        return;
    registrar->stalls = 0;
    registrar->stall_said[0] = '\0';
}

static void registrar_step(struct registrar *registrar)
{
    bool busy = registrar->job != NULL || registrar->hook_runs;
    if (registrar->closing) {
        if (!busy && !trial_save_start(registrar))
            handles_close(registrar);
        return;
    }
    room_check(registrar);
    trial_look(registrar);
    if (!busy) {
        plan_supply(registrar);
        busy = next_begun(registrar);
    }
    report_all(registrar, !busy);
    if (!busy)
        settled(registrar);
    static const uint8_t nothing[32];
    if (!busy)
        waiters_answer(registrar, memcmp(registrar->fetched, nothing, sizeof nothing) == 0);
}

static void woken(uv_async_t *wake)
{
    registrar_step(wake->data);
}

void registrar_wake(struct registrar *registrar)
{
    if (registrar->handles > 0) /* at the opening all is looked at anyway */
        (void)uv_async_send(&registrar->wake);
}

void registrar_amended(struct registrar *registrar)
{
    registrar_wake(registrar);
}

static void check_timer(uv_timer_t *timer)
{
    struct registrar *registrar = timer->data;
    registrar->check_due = CHECK_ALL;
    registrar_step(registrar);
}

/* ---- opening ---- */

static void gate_heard(void *ctx)
{
    registrar_wake(ctx);
}

static void gate_take(struct registrar *registrar, const struct registrar_gate *gate)
{
    registrar->gate_settings = *gate;
    registrar->gate.kept_ms = gate->waited.ms;
    registrar->gate.told = gate->waited.told;
    memcpy(registrar->gate.told_of, gate->waited.told_of, sizeof registrar->gate.told_of);
}

static bool probation_take(struct registrar *registrar, const struct registrar_probation *settings,
                           struct err *err)
{
    struct trial *trial = &registrar->trial;
    const char *hook = settings->after_hook != NULL ? settings->after_hook : "";
    if (strlen(hook) >= sizeof trial->after_hook)
        return err_set(err, ERR_INVALID,
                       "registry: the path of the hook after a switch is longer than %zu "
                       "characters",
                       sizeof trial->after_hook - 1);
    memcpy(trial->after_hook, hook, strlen(hook) + 1);
    trial->settings = *settings;
    trial->settings.after_hook = trial->after_hook;
    return true;
}

static bool settings_take(struct registrar *registrar, const struct registrar_settings *settings,
                          struct err *err)
{
    if (!device_id_valid(settings->device))
        return err_set(err, ERR_INVALID, "registry: the device id is not valid");
    if (strlen(settings->hook) >= sizeof registrar->hook)
        return err_set(err, ERR_INVALID, "registry: the hook's path is longer than %zu characters",
                       sizeof registrar->hook - 1);
    if (strlen(settings->sealing_key) >= sizeof registrar->sealing_key)
        return err_set(err, ERR_INVALID,
                       "registry: the sealing key's path is longer than %zu characters",
                       sizeof registrar->sealing_key - 1);
    memcpy(registrar->sealing_key, settings->sealing_key, strlen(settings->sealing_key) + 1);
    memcpy(registrar->device, settings->device, strlen(settings->device) + 1);
    memcpy(registrar->hook, settings->hook, strlen(settings->hook) + 1);
    registrar->hook_limit_ms = settings->hook_limit_ms;
    registrar->quota_bytes = settings->quota_bytes;
    if (settings->owned != NULL)
        registrar->others.owned = *settings->owned;
    gate_take(registrar, &settings->gate);
    return probation_take(registrar, &settings->probation, err);
}

static bool handles_open(struct registrar *registrar, int64_t check_every_ms, struct err *err)
{
    registrar->wake.data = registrar;
    registrar->timer.data = registrar;
    registrar->retry.data = registrar;
    registrar->again.data = registrar;
    registrar->gate.timer.data = registrar;
    registrar->trial.timer.data = registrar;
    registrar->others.timer.data = registrar;
    if (uv_async_init(registrar->loop, &registrar->wake, woken) != 0)
        return err_set(err, ERR_IO, "registry: no wake-up from the loop");
    (void)uv_timer_init(registrar->loop, &registrar->timer); /* cannot fail */
    (void)uv_timer_init(registrar->loop, &registrar->retry);
    (void)uv_timer_init(registrar->loop, &registrar->again);
    (void)uv_timer_init(registrar->loop, &registrar->gate.timer);
    (void)uv_timer_init(registrar->loop, &registrar->trial.timer);
    (void)uv_timer_init(registrar->loop, &registrar->others.timer);
    registrar->handles = 7;
    registrar->others.longest_ms = check_every_ms;
    if (check_every_ms > 0)
        (void)uv_timer_start(&registrar->timer, check_timer, (uint64_t)check_every_ms,
                             (uint64_t)check_every_ms);
    return true;
}

bool registrar_open(uv_loop_t *loop, const struct clock *clock,
                    const struct registrar_settings *settings, const struct trust *trust,
                    const struct registrar_events *events, void *ctx,
                    struct registrar **ret_registrar, struct err *err)
{
    struct registrar *registrar = calloc(1, sizeof *registrar);
    if (registrar == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the registry");
    registrar->loop = loop;
    registrar->clock = clock;
    registrar->trust = trust;
    registrar->events = *events;
    registrar->ctx = ctx;
    if (!settings_take(registrar, settings, err) ||
        !registry_open(settings->dir, settings->floors, sha256, &registrar->registry, err) ||
        !registrar_load(registrar, err) ||
        !handles_open(registrar, settings->check_every_ms, err)) {
        registrar_free(registrar);
        return false;
    }
    gate_hook_join(&registrar->gate.asker, settings->gate.hook, gate_heard, registrar);
    registrar->check_due = CHECK_ALL;
    registrar_wake(registrar);
    *ret_registrar = registrar;
    return true;
}

void registrar_close(struct registrar *registrar, void (*closed)(void *ctx), void *ctx)
{
    registrar->closing = true;
    registrar->closed = closed;
    registrar->closed_ctx = ctx;
    gate_hook_leave(&registrar->gate.asker);
    waiters_answer(registrar, true);
    (void)uv_timer_stop(&registrar->timer);
    (void)uv_timer_stop(&registrar->retry);
    (void)uv_timer_stop(&registrar->again);
    (void)uv_timer_stop(&registrar->gate.timer);
    (void)uv_timer_stop(&registrar->trial.timer);
    (void)uv_timer_stop(&registrar->others.timer);
    registrar_wake(registrar);
}

/* ---- from outside ---- */

void registrar_tell(struct registrar *registrar)
{
    registrar->telling = true;
    registrar_wake(registrar);
}

bool registrar_blob(struct registrar *registrar, const uint8_t sha256_wanted[32], struct bytes blob,
                    struct err *err)
{
    struct sync_blobs lacks;
    registrar_missing(registrar, &lacks);
    size_t i = 0;
    while (i < lacks.count && memcmp(lacks.sha256[i], sha256_wanted, 32) != 0)
        i++;
    char name[65];
    hex_encode(sha256_wanted, 32, name);
    if (i == lacks.count)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_BLOB_UNWANTED, ERR_NOT_FOUND,
                      "blob %.16s is not wanted", name);
    /* At most 1 MiB: some milliseconds of hashing, so the sender learns of it at once. */
    uint8_t digest[32] = {0};
    if (blob.length <= LIMIT_BLOB_BYTES)
        sha256(blob, digest);
    if (blob.length != lacks.sizes[i])
        return refuse(err, MUSTER__REFUSAL__REFUSAL_BLOB_SIZE, ERR_REFUSED,
                      "blob %.16s: %zu bytes, %" PRIu64 " are expected", name, blob.length,
                      lacks.sizes[i]);
    if (memcmp(digest, sha256_wanted, 32) != 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_BLOB_HASH, ERR_REFUSED,
                      "blob %.16s: its %zu bytes are not what it is named after", name,
                      blob.length);
    if (!arrival_add(registrar, sha256_wanted, blob, err))
        return false;
    plan_list(registrar, sha256_wanted, blob);
    registrar_wake(registrar);
    return true;
}

size_t registrar_lacks(const struct registrar *registrar, uint8_t (*ret_blobs)[32], size_t max)
{
    struct sync_blobs lacks;
    registrar_missing(registrar, &lacks);
    for (size_t i = 0; i < lacks.count && i < max; i++)
        memcpy(ret_blobs[i], lacks.sha256[i], 32);
    return lacks.count;
}

const uint8_t *registrar_generation_digest(const struct registrar *registrar)
{
    return registrar->held.current.digest;
}

uint64_t registrar_folder(const struct registrar *registrar, char *ret_path)
{
    uint64_t number = registrar->held.current.number;
    ret_path[0] = '\0';
    return number > 0 && registry_generation_path(registrar->registry, number, ret_path, NULL)
               ? number
               : 0;
}

uint64_t registrar_manifest_version(const struct registrar *registrar)
{
    return registrar->desired != NULL ? registrar->desired->version : 0;
}
