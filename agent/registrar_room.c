/* SPDX-License-Identifier: Apache-2.0 */
/* Results come first: the registry fetches and builds only in the room that they leave on the
 * disk, and gives up what is not in force where they run short. */
#include "agent/registrar_internal.h"

#include "base/disk.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOK_AGAIN_MS = 60 * 1000 };

static void again(uv_timer_t *timer)
{
    struct registrar *registrar = timer->data;
    if (registrar->no_room)
        registrar_wake(registrar);
    else
        (void)uv_timer_stop(timer);
}

/* Nothing is said of a disk that cannot be looked at: writing to it will. */
static bool look(const struct registrar *registrar, uint64_t *ret_free, uint64_t *ret_reserve)
{
    struct disk disk;
    if (registrar->events.reserve == NULL ||
        !disk_look(registry_folder_of(registrar->registry), &disk, NULL))
        return false;
    *ret_free = disk.free_bytes;
    *ret_reserve = registrar->events.reserve(registrar->ctx, disk.bytes);
    return true;
}

/* While a build writes what it needs, that is no news. */
static bool is_settled(const struct registrar *registrar)
{
    struct sync_blobs lacks;
    if (registrar->job == NULL)
        return true;
    registrar_missing(registrar, &lacks);
    return lacks.count > 0;
}

static void say_short(struct registrar *registrar, uint64_t needed, uint64_t room)
{
    (void)snprintf(registrar->room_said, sizeof registrar->room_said,
                   "manifest %" PRIu64 " needs %" PRIu64 " bytes, %" PRIu64
                   " are free beside what is kept for results",
                   registrar->desired->version, needed, room);
    if (!registrar->closing)
        (void)uv_timer_start(&registrar->again, again, LOOK_AGAIN_MS, LOOK_AGAIN_MS);
    if (registrar->no_room)
        return;
    log_error("registry: %s", registrar->room_said);
    report_event(registrar, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, "", NULL,
                 "%s; it goes on when there is room", registrar->room_said);
}

void room_check(struct registrar *registrar)
{
    uint64_t free_bytes, reserve, needed = 0, room = 0;
    if (registrar->unsaved || !is_settled(registrar))
        return;
    if (registrar->desired != NULL && !registrar->outdated && !registrar_failed(registrar))
        needed = plan_bytes(registrar);
    if (needed > 0 && look(registrar, &free_bytes, &reserve))
        room = free_bytes > reserve ? free_bytes - reserve : 0;
    else
        needed = 0;
    if (needed > room)
        say_short(registrar, needed, room);
    registrar->no_room = needed > room;
}

const char *registrar_kept_from(const struct registrar *registrar)
{
    if (registrar->stalled)
        return registrar->stall_said;
    return registrar->no_room ? registrar->room_said : NULL;
}

/* ---- results run short ---- */

struct yield_job {
    struct job job;
    struct kept *kept; /* what is held, and nothing that is only wanted */
    bool yielded;
    struct err err;
};

static void yield_run(struct job *job)
{
    struct yield_job *yield = (struct yield_job *)job;
    yield->yielded = kept_prune(job->registry, yield->kept, &yield->err);
}

static void yield_done(struct registrar *registrar, struct job *job)
{
    struct yield_job *yield = (struct yield_job *)job;
    if (!yield->yielded) {
        registrar_stall(registrar, "making room for results", &yield->err);
    } else {
        have_keep(registrar, yield->kept);
        log_warn("registry: what had come of what is not in force was given up: the disk is short "
                 "of room for results");
    }
    free(yield->kept);
    free(yield);
}

static struct kept *held_only(const struct registrar *registrar)
{
    struct kept *kept = calloc(1, sizeof *kept);
    if (kept == NULL)
        return NULL; /* asked again soon */
    kept->current = registrar->held.current;
    kept->previous = registrar->held.previous;
    return kept;
}

static bool has_spare_blobs(const struct registrar *registrar)
{
    struct kept *kept = held_only(registrar);
    const uint8_t *sha256;
    bool spare = false;
    for (size_t at = 0;
         kept != NULL && !spare && (sha256 = blob_set_next(&registrar->have, &at)) != NULL;)
        spare = !kept_needs(kept, sha256);
    free(kept);
    return spare;
}

void registrar_yield(struct registrar *registrar)
{
    uint64_t free_bytes, reserve;
    /* Half of the reserve is what tells a disk that others fill from one that we keep even. */
    if (registrar->closing || !look(registrar, &free_bytes, &reserve) ||
        free_bytes >= reserve / 2 || !has_spare_blobs(registrar))
        return;
    registrar->yield_due = true;
    registrar_wake(registrar);
}

bool yield_start(struct registrar *registrar)
{
    if (!registrar->yield_due)
        return false;
    registrar->yield_due = false;
    struct yield_job *yield = calloc(1, sizeof *yield);
    struct kept *kept = held_only(registrar);
    if (yield == NULL || kept == NULL) {
        free(yield);
        free(kept);
        return false;
    }
    yield->kept = kept;
    job_start(registrar, &yield->job, yield_run, yield_done);
    return true;
}
