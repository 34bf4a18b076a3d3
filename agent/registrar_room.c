/* SPDX-License-Identifier: Apache-2.0 */
/* Results come first (agent/room.h): the registry fetches and builds in the room that is its own,
 * and gives up what is not in force where results run short. */
#include "agent/registrar_internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_AGAIN_MS = 60 * 1000 };

void room_look_again(uv_timer_t *timer)
{
    struct registrar *registrar = timer->data;
    if (registrar->no_room)
        registrar_wake(registrar);
    else
        (void)uv_timer_stop(timer);
}

/* Nothing is said of a disk that cannot be looked at: writing to it will. */
static bool look(const struct registrar *registrar, struct room *ret_room)
{
    return registrar->events.room != NULL && registrar->events.room(registrar->ctx, ret_room);
}

/* ---- one job that removes ---- */

struct yield_job {
    struct job job;
    struct kept kept;
    bool for_results;
    bool spare_too;
    bool yielded;
    struct err err;
};

static void yield_run(struct job *job)
{
    struct yield_job *yield = (struct yield_job *)job;
    yield->yielded = kept_prune(job->registry, &yield->kept, &yield->err);
}

static void yield_done(struct registrar *registrar, struct job *job)
{
    struct yield_job *yield = (struct yield_job *)job;
    if (!yield->yielded) {
        registrar_stall(registrar, "making room", &yield->err);
    } else {
        have_keep(registrar, &yield->kept);
        if (yield->spare_too)
            registrar->held.previous.number = 0;
        log_warn("registry: the disk is short of room: %s",
                 yield->for_results ? "for results, what had come of what is not in force goes"
                 : yield->spare_too ? "the generation before the one in force goes"
                                    : "what is not needed goes");
    }
    kept_done(&yield->kept);
    free(yield);
}

bool yield_start(struct registrar *registrar)
{
    if (registrar->yield == YIELD_NOTHING)
        return false;
    struct yield_job *yield = calloc(1, sizeof *yield);
    struct err err = {0};
    if (yield == NULL)
        return false; /* asked again soon */
    yield->for_results = registrar->yield == YIELD_WANTED;
    yield->spare_too = registrar->yield == YIELD_SPARE;
    registrar->yield = YIELD_NOTHING;
    gate_drop(registrar); /* half-built or waiting: to the registry it is the same */
    yield->kept.current = registrar->held.current;
    yield->kept.previous = registrar->held.previous;
    yield->kept.good = *trial_good(registrar);
    if (!yield->for_results && !kept_fill(registrar, &yield->kept, &err)) {
        kept_done(&yield->kept);
        free(yield);
        return false;
    }
    if (yield->spare_too)
        yield->kept.previous.number = 0;
    job_start(registrar, &yield->job, yield_run, yield_done);
    return true;
}

/* ---- what is wanted does not fit ---- */

/* While a build writes what it needs, that is no news. */
static bool is_settled(const struct registrar *registrar)
{
    struct sync_blobs lacks;
    if (registrar->job == NULL && !registrar->hook_runs)
        return true;
    registrar_missing(registrar, &lacks);
    return lacks.count > 0;
}

static uint64_t spare_bytes(const struct registrar *registrar)
{
    const struct registry_held *held = &registrar->held;
    const struct registry_items *lists[] = {&held->current.list, &held->previous.list};
    if (held->current.number == 0 || held->previous.number == 0 ||
        held->previous.number == trial_good(registrar)->number)
        return 0;
    return sync_bytes(lists, 2) - sync_bytes(lists, 1);
}

/* True: something goes, and then it is looked at again. Once for a manifest: what an interrupted
 * build has left, and the spare generation where that is enough. */
static bool make_room(struct registrar *registrar, uint64_t needed, uint64_t room)
{
    const uint8_t *digest = registrar->desired->digest;
    if (registrar->yield != YIELD_NOTHING)
        return true; /* after that */
    if (memcmp(registrar->room_made, digest, sizeof registrar->room_made) == 0)
        return false;
    memcpy(registrar->room_made, digest, sizeof registrar->room_made);
    uint64_t spare = spare_bytes(registrar);
    registrar->yield = spare > 0 && needed - room <= spare ? YIELD_SPARE : YIELD_LEFTOVERS;
    return true;
}

static void say_short(struct registrar *registrar, uint64_t needed, uint64_t room)
{
    bool told = registrar->room_said[0] != '\0';
    (void)snprintf(registrar->room_said, sizeof registrar->room_said,
                   "manifest %" PRIu64 " needs %" PRIu64 " bytes, %" PRIu64
                   " are free beside what is kept for results",
                   registrar->desired->version, needed, room);
    (void)uv_timer_start(&registrar->again, room_look_again, LOOK_AGAIN_MS, LOOK_AGAIN_MS);
    if (told)
        return;
    log_error("registry: %s", registrar->room_said);
    report_event(registrar, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, "", NULL,
                 "%s; it goes on when there is room", registrar->room_said);
}

void room_check(struct registrar *registrar)
{
    struct room room;
    uint64_t needed = 0;
    if (registrar->unsaved || registrar->gate.build != NULL || !is_settled(registrar))
        return; /* what waits has taken its room */
    if (registrar->desired != NULL && !registrar->outdated && !registrar_failed(registrar))
        needed = plan_bytes(registrar);
    registrar->no_room = needed > 0 && look(registrar, &room) && needed > room.registry_bytes;
    if (!registrar->no_room)
        registrar->room_said[0] = '\0';
    else if (!make_room(registrar, needed, room.registry_bytes))
        say_short(registrar, needed, room.registry_bytes);
}

const char *registrar_kept_from(const struct registrar *registrar)
{
    if (registrar->stalled)
        return registrar->stall_said;
    return registrar->no_room ? registrar->room_said : NULL;
}

/* ---- results run short ---- */

static bool has_spare_blobs(const struct registrar *registrar)
{
    struct kept *kept = calloc(1, sizeof *kept);
    const uint8_t *sha256;
    bool spare = false;
    if (kept == NULL)
        return false; /* asked again soon */
    kept->current = registrar->held.current;
    kept->previous = registrar->held.previous;
    kept->good = *trial_good(registrar);
    for (size_t at = 0; !spare && (sha256 = blob_set_next(&registrar->have, &at)) != NULL;)
        spare = !kept_needs(kept, sha256);
    free(kept);
    return spare;
}

bool room_give_up(struct registrar *registrar)
{
    if (!has_spare_blobs(registrar))
        return false;
    registrar->yield = YIELD_WANTED;
    return true;
}

void registrar_yield(struct registrar *registrar)
{
    struct room room;
    if (registrar->closing || !look(registrar, &room) || !room.results_short ||
        !room_give_up(registrar))
        return;
    registrar_wake(registrar);
}
