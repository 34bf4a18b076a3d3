/* SPDX-License-Identifier: Apache-2.0 */
/* What a person has ordered: forget what failed, or make the generation again from what is fetched
 * anew. What is in force stays in force until another one is whole. */
#include "agent/registrar_internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct action_list *registrar_actions(const struct registrar *registrar)
{
    bool counts = registrar->desired != NULL && !registrar->outdated;
    return counts ? &registrar->desired->actions : NULL;
}

bool registrar_is_anew(const struct registrar *registrar)
{
    return registrar->anew || registrar->anew_due == ANEW_ALL;
}

/* ---- one job: forgets, and empties the store ---- */

struct anew_job {
    struct job job;
    struct registry_generation current;
    struct registry_generation previous;
    uint64_t good; /* number of the last good one */
    bool emptied;
    bool forgotten;
    struct err err;
};

static bool needs_none(void *ctx, const uint8_t sha256[32])
{
    (void)ctx, (void)sha256;
    return false;
}

static void anew_run(struct job *job)
{
    struct anew_job *anew = (struct anew_job *)job;
    const uint64_t keep[3] = {anew->current.number, anew->previous.number, anew->good};
    size_t keep_count = anew->current.number > 0 ? 3 : 0;
    anew->forgotten = registry_failure_remove(job->registry, &anew->err);
    if (anew->forgotten && anew->emptied)
        anew->emptied =
            registry_prune(job->registry, keep, keep_count, needs_none, NULL, &anew->err);
}

static void anew_done(struct registrar *registrar, struct job *job)
{
    struct anew_job *anew = (struct anew_job *)job;
    if (anew->err.code != ERR_NONE)
        registrar_stall(registrar, "beginning anew", &anew->err);
    if (anew->forgotten) {
        registrar->failure = (struct registry_failure){0};
        registrar_forget_returned(registrar);
    }
    if (anew->emptied) {
        blob_set_done(&registrar->have);
        registrar->anew = true;
    }
    free(anew);
}

bool anew_start(struct registrar *registrar)
{
    if (registrar->anew_due == ANEW_NOTHING)
        return false;
    struct anew_job *anew = calloc(1, sizeof *anew);
    if (anew == NULL) {
        struct err err = {0};
        err_set(&err, ERR_NO_MEMORY, "no memory");
        registrar->anew_due = ANEW_NOTHING;
        registrar_stall(registrar, "beginning anew", &err);
        return false;
    }
    anew->emptied = registrar->anew_due == ANEW_ALL;
    anew->current = registrar->held.current;
    anew->previous = registrar->held.previous;
    anew->good = trial_good(registrar)->number;
    registrar->anew_due = ANEW_NOTHING;
    gate_drop(registrar); /* it was made from what is to be forgotten, and is built again */
    job_start(registrar, &anew->job, anew_run, anew_done);
    return true;
}

/* ---- from outside ---- */

/* A stall may be over by now as well. */
static bool begin(struct registrar *registrar, enum anew_due due, int64_t limit_ms,
                  void (*done)(void *ctx), void *ctx, struct err *err)
{
    if (!waiter_add(registrar, false, limit_ms, done, ctx, err))
        return false;
    registrar->anew_due = due;
    registrar_go_on(registrar);
    memset(registrar->room_made, 0, sizeof registrar->room_made);
    for (size_t i = 0; registrar->desired != NULL && i < registrar->desired->wants.count; i++)
        registrar->desired->ways[i].ruled_out = 0;
    return true;
}

bool registrar_resync(struct registrar *registrar, int64_t limit_ms, void (*done)(void *ctx),
                      void *ctx, struct err *err)
{
    return begin(registrar, ANEW_WHAT_FAILED, limit_ms, done, ctx, err);
}

bool registrar_reset(struct registrar *registrar, int64_t limit_ms, void (*done)(void *ctx),
                     void *ctx, struct err *err)
{
    const struct registry_items *lists[] = {&registrar->held.current.list};
    uint64_t twice = 2 * sync_bytes(lists, 1);
    if (registrar->desired == NULL || registrar->outdated)
        return err_set(err, ERR_NOT_FOUND, "there is no manifest to make it again from");
    /* For once nothing is shared with what is in force. */
    if (registrar->quota_bytes > 0 && twice > (uint64_t)registrar->quota_bytes)
        return err_set(err, ERR_FULL,
                       "it takes %" PRIu64 " bytes beside what is in force, the quota is %" PRId64,
                       twice, registrar->quota_bytes);
    log_warn("registry: generation %" PRIu64 " is made again from what is fetched anew",
             registrar->held.current.number);
    return begin(registrar, ANEW_ALL, limit_ms, done, ctx, err);
}
