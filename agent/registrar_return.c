/* SPDX-License-Identifier: Apache-2.0 */
/* The last good generation comes back, whole: as it stands, or, where something cannot go back, is
 * another's to write or is damaged there, its documents and that in a new one. */
#include "agent/registrar_build.h"

#include "base/log.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what comes back ---- */

/* What a header or a person has ruled out for good does not come back. */
static bool may_come_back(const struct registry_floors *floors, const char *name,
                          const struct registry_item *now, const struct registry_item *good)
{
    const struct registry_floor *row = registry_floor_of(floors, name);
    uint64_t epoch = good != NULL ? good->epoch : 0, version = good != NULL ? good->version : 0;
    if (good != NULL && (epoch < floors->epoch || (now != NULL && epoch < now->epoch)))
        return false; /* signed under keys that count no more */
    if (now != NULL && now->kind == (int)MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK)
        return false; /* a slot's version only rises */
    if (now != NULL && package_kind((Muster__DocumentKind)now->kind))
        return false; /* what runs is older again by a person's word alone */
    if (row == NULL)
        return true;
    if (now != NULL && now->epoch == row->epoch && row->final >= now->version && row->final > 0)
        return false;
    return good == NULL || epoch > row->epoch ||
           (epoch == row->epoch && version >= row->minimum && version >= row->final);
}

/* What is only observed or proposed is its owner's, in a return as well. */
static bool is_owned(const struct registrar *registrar, const char *name)
{
    const struct sync_want *want = sync_want_of(registrar_wants(registrar), name);
    return want != NULL && want->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR;
}

static const struct registry_item *choose(const struct registrar *registrar, const char *name,
                                          bool *ret_stays)
{
    const struct registry_item *now = sync_item_of(&registrar->held.current.list, name);
    const struct registry_item *good = sync_item_of(&trial_good(registrar)->list, name);
    bool same = now != NULL && good != NULL && now->version == good->version &&
                sync_same_content(now, good);
    *ret_stays =
        is_owned(registrar, name) || (!same && !may_come_back(&registrar->floors, name, now, good));
    return *ret_stays ? now : good;
}

/* The next name of either list after `after`, ascending; NULL: no more. */
static const char *next_name(const struct registry_items *a, const struct registry_items *b,
                             const char *after)
{
    const char *next = NULL;
    const struct registry_items *lists[] = {a, b};
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            const char *name = lists[l]->items[i].name;
            if (strcmp(name, after) > 0 && (next == NULL || strcmp(name, next) < 0))
                next = name;
        }
    }
    return next;
}

static void note_item(struct registry_returned *returned, const char *name,
                      const struct registry_item *now)
{
    if (returned->count == REGISTRY_ITEMS)
        return;
    struct registry_returned_item *item = &returned->items[returned->count++];
    memcpy(item->name, name, strlen(name) + 1);
    item->version = now != NULL ? now->version : 0;
    if (now != NULL)
        memcpy(item->sha256, now->sha256, sizeof item->sha256);
}

/* False: nothing can go back. */
static bool target_fill(const struct registrar *registrar, struct build_job *build,
                        struct registry_returned *returned)
{
    const struct registry_items *now = &registrar->held.current.list;
    const struct registry_items *good = &trial_good(registrar)->list;
    struct registry_items *target = &build->target.list;
    for (const char *name = ""; (name = next_name(now, good, name)) != NULL;) {
        bool stays = false;
        const struct registry_item *held = sync_item_of(now, name);
        const struct registry_item *item = choose(registrar, name, &stays);
        bool same = held != NULL && item != NULL && held->version == item->version &&
                    sync_same_content(held, item);
        if (!same && held != item)
            note_item(returned, name, held);
        if (item == NULL || target->count == REGISTRY_ITEMS)
            continue;
        build->back->carry_current[target->count] = stays;
        build->back->owned[target->count] = is_owned(registrar, name);
        target->items[target->count++] = *item;
    }
    return !sync_same(target, now);
}

/* ---- what is remembered ---- */

/* The oldest goes; the same one is not kept twice. */
static struct registry_returned *returns_add(struct registry_returns *returns, uint64_t generation)
{
    size_t last = returns->count > 0 ? returns->count - 1 : 0;
    if (returns->count == 0 || returns->returned[last].generation != generation) {
        if (returns->count == REGISTRY_RETURNED) {
            memmove(&returns->returned[0], &returns->returned[1],
                    (REGISTRY_RETURNED - 1) * sizeof returns->returned[0]);
            returns->count--;
        }
        last = returns->count++;
    }
    memset(&returns->returned[last], 0, sizeof returns->returned[last]);
    returns->returned[last].generation = generation;
    return &returns->returned[last];
}

/* ---- the job ---- */

static void note_why(const struct registrar *registrar, struct registry_returned *returned)
{
    const struct trial *trial = &registrar->trial;
    returned->manifest_version = trial->manifest_version;
    returned->results = trial->probation.track.results;
    returned->suspect = trial->probation.track.suspect;
    returned->before_results = trial->probation.before.results;
    returned->before_suspect = trial->probation.before.suspect;
    returned->refusal = (int)trial->refusal;
    (void)snprintf(returned->reason, sizeof returned->reason, "%s", trial->why);
}

void return_unneeded(struct registrar *registrar, Muster__Refusal refusal)
{
    struct trial *trial = &registrar->trial;
    if (!trial->back || trial->refusal != refusal)
        return;
    trial->back = trial->at_once = false;
    if (registrar->gate.build != NULL && registrar->gate.what.back)
        gate_drop(registrar);
}

/* Whatever else has failed holds nothing up here, and what is only on its way into force gives up
 * its room first. */
void return_broken(struct registrar *registrar, const struct err *why)
{
    if (why->code == ERR_FULL && room_give_up(registrar))
        return;
    registrar->trial.stalled = true;
    registrar_stall(registrar, "going back to the last good generation", why);
}

/* The manifest that wants what is taken back has failed with it. */
static void note_failure(const struct registrar *registrar, struct build_job *build,
                         const struct registry_returned *returned)
{
    struct registry_failure *failure = &build->failure;
    if (registrar->desired == NULL || registrar->outdated)
        return;
    struct registry_items *wanted = calloc(1, sizeof *wanted);
    if (wanted != NULL) {
        sync_target(&registrar->desired->wants, &registrar->held.current.list, wanted);
        build->back->fails = returned_in(returned, wanted, &trial_good(registrar)->list);
    }
    free(wanted);
    if (!build->back->fails)
        return;
    failure->present = true;
    failure->refusal = returned->refusal;
    failure->manifest_version = registrar->desired->version;
    memcpy(failure->digest, registrar->desired->digests.generation, sizeof failure->digest);
    (void)snprintf(failure->reason, sizeof failure->reason, "taken back: %.380s", returned->reason);
    utf8_clean(failure->reason);
}

/* ERR_CONFLICT: nothing can go back. */
static bool fill(const struct registrar *registrar, struct build_job *build, struct err *err)
{
    const struct registry_generation *good = trial_good(registrar);
    struct come_back *back = calloc(1, sizeof *back);
    build->back = back;
    if (back == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory");
    back->from = registrar->held.current.number;
    back->source = *good;
    back->returns = registrar->trial.returns;
    struct registry_returned *returned = returns_add(&back->returns, back->from);
    build->current = registrar->held.current;
    if (!target_fill(registrar, build, returned))
        return err_set(err, ERR_CONFLICT, "nothing in it can go back");
    back->as_listed = sync_same(&build->target.list, &good->list);
    build->target.number = registrar->held.highest + 1;
    sync_digest(&build->target.list, build->target.digest);
    build->manifest_version = registrar->trial.manifest_version;
    for (size_t i = 0; i < build->target.list.count; i++)
        plan_source(registrar, &build->target.list.items[i], &build->sources[i]);
    note_why(registrar, returned);
    connection_taken_back(&build->back->returns, returned);
    note_failure(registrar, build, returned);
    /* In place of the good one's own, if that is lost. */
    return (registrar->desired == NULL ||
            buf_append(&build->manifest, registrar->desired->envelope.data,
                       registrar->desired->envelope.length, err)) &&
           kept_fill(registrar, &build->kept, err);
}

/* ---- whole, on a worker ---- */

static bool is_sound(const struct build_job *build, uint64_t generation,
                     const struct registry_item *item)
{
    uint8_t found[32];
    return content_hash(build->job.registry, generation, item->name, found, NULL) &&
           memcmp(found, registry_item_content(item), sizeof found) == 0;
}

/* Its owner has made nothing else of it. */
static bool is_unchanged(const struct build_job *build, const char *name)
{
    uint8_t good[32], now[32];
    return content_hash(build->job.registry, build->back->source.number, name, good, NULL) &&
           content_hash(build->job.registry, build->current.number, name, now, NULL) &&
           memcmp(good, now, sizeof now) == 0;
}

static bool stands(const struct build_job *build)
{
    const struct registry_items *list = &build->target.list;
    bool sound = build->back->as_listed;
    for (size_t i = 0; sound && i < list->count; i++)
        sound = build->back->owned[i]
                    ? is_unchanged(build, list->items[i].name)
                    : is_sound(build, build->back->source.number, &list->items[i]);
    return sound;
}

static bool carry(struct build_job *build, const struct registry_item *item, uint64_t from)
{
    return registry_build_carry(build->job.registry, build->target.number, from, item->name,
                                &build->err);
}

static bool is_good(void *ctx, struct bytes content)
{
    (void)ctx, (void)content; /* it passed when it was applied */
    return true;
}

static enum build_outcome make(struct build_job *build, size_t i)
{
    struct registry_item *item = &build->target.list.items[i];
    const struct registry_item before = *item;
    const struct content_job job = {.registry = build->job.registry,
                                    .sealing_key = build->job.sealing_key,
                                    .item = &before,
                                    .source = &build->sources[i],
                                    .lost = &build->lost};
    struct err why = {0};
    enum content_outcome outcome = CONTENT_NO_BLOB;
    if (job.source->present)
        outcome = content_put(&job, build->target.number, false, is_good, NULL, item, &why);
    if (outcome == CONTENT_MADE)
        return BUILD_READY;
    if (outcome == CONTENT_BROKEN) {
        build->err = why;
        return BUILD_BROKEN;
    }
    err_set(&build->err, ERR_NOT_FOUND,
            "%s of generation %" PRIu64 " is damaged, and cannot be made again here", item->name,
            build->back->source.number);
    return BUILD_LACKS;
}

static enum build_outcome come(struct build_job *build, size_t i)
{
    const struct registry_item *item = &build->target.list.items[i];
    const uint64_t now = build->current.number, good = build->back->source.number;
    struct registry_look look;
    if (build->back->owned[i]) /* as it is; a folder cannot */
        return !registry_look(build->job.registry, now, item->name, &look, NULL) || look.folder ||
                       carry(build, item, now)
                   ? BUILD_READY
                   : BUILD_BROKEN;
    const uint64_t from[] = {build->back->carry_current[i] ? now : good, now, good};
    for (size_t f = 0; f < sizeof from / sizeof *from; f++) {
        if (is_sound(build, from[f], item))
            return carry(build, item, from[f]) ? BUILD_READY : BUILD_BROKEN;
    }
    return make(build, i);
}

static enum build_outcome come_all(struct build_job *build)
{
    const struct registry *registry = build->job.registry;
    struct buf manifest = {0};
    if (registry_manifest_read(registry, build->back->source.number, LIMIT_MANIFEST_BYTES,
                               &manifest, NULL)) {
        buf_done(&build->manifest);
        build->manifest = manifest;
    } else {
        buf_done(&manifest);
    }
    if (!registry_build_begin(registry, build->target.number, &build->err))
        return BUILD_BROKEN;
    for (size_t i = 0; i < build->target.list.count; i++) {
        enum build_outcome outcome = come(build, i);
        if (outcome != BUILD_READY)
            return outcome;
    }
    return registry_build_finish(registry, &build->target, buf_bytes(&build->manifest), &build->err)
               ? BUILD_READY
               : BUILD_BROKEN;
}

static void return_run(struct job *job)
{
    struct build_job *build = (struct build_job *)job;
    struct come_back *back = build->back;
    struct err why = {0};
    build->outcome = BUILD_READY;
    if (stands(build)) {
        build->target = back->source;
        back->good = back->source.number;
    } else {
        build->outcome = come_all(build);
    }
    back->returns.returned[back->returns.count - 1].to = build->target.number;
    if (build->outcome != BUILD_READY &&
        !registry_build_drop(job->registry, build->target.number, &why))
        log_warn("registry: %s", why.text); /* built over, or swept at the next start */
}

/* ---- the job ---- */

/* Whatever else is open, what was in force when it began comes back: only a sale holds it up. */
void return_waits(struct registrar *registrar, struct build_job *build)
{
    struct gate_hold what = {
        .kind = GATE_QUIET,
        .back = true,
        .at_once = registrar->trial.at_once,
        .generation = build->back->from,
        .manifest_version = build->manifest_version,
    };
    memcpy(what.digest, build->target.digest, sizeof what.digest);
    gate_hold(registrar, build, &what);
    registrar_wake(registrar);
}

void return_refused(struct registrar *registrar, struct build_job *build, const struct err *why)
{
    trial_stays(registrar, why->text);
    build_free(build);
    registrar_wake(registrar);
}

/* A mix of what comes back and what stays was never in force: the hook looks at it. */
static bool is_mixed(const struct build_job *build)
{
    return !build->back->as_listed;
}

static void return_done(struct registrar *registrar, struct job *job)
{
    struct build_job *build = (struct build_job *)job;
    have_lose(registrar, &build->lost);
    if (build->outcome == BUILD_LACKS) {
        return_refused(registrar, build, &build->err);
        return;
    }
    if (build->outcome == BUILD_READY && !build_superseded(registrar, build)) {
        if (is_mixed(build))
            build_ready(registrar, build);
        else
            return_waits(registrar, build);
        return;
    }
    if (build->outcome != BUILD_READY)
        return_broken(registrar, &build->err);
    build_free(build);
}

static struct build_job *return_make(const struct registrar *registrar, struct err *err)
{
    struct build_job *build = calloc(1, sizeof *build);
    if (build == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory");
        return NULL;
    }
    if (fill(registrar, build, err))
        return build;
    build_free(build);
    return NULL;
}

bool return_start(struct registrar *registrar)
{
    if (!registrar->trial.back || registrar->trial.stalled ||
        (registrar->gate.build != NULL && registrar->gate.what.back))
        return false;
    gate_drop(registrar); /* what is newer is built again after it */
    struct err err = {0};
    struct build_job *build = return_make(registrar, &err);
    if (build == NULL) {
        if (err.code == ERR_CONFLICT)
            trial_stays(registrar, err.text);
        else
            return_broken(registrar, &err);
        return false;
    }
    job_start(registrar, &build->job, return_run, return_done);
    return true;
}

/* What was taken back is on the medium before the switch: whatever the power does, it is not tried
 * again, and why is known. */
bool come_back_run(struct build_job *build, struct err *err)
{
    const struct registry *registry = build->job.registry;
    bool mended = false;
    return registry_returns_write(registry, &build->back->returns, err) &&
           (!build->back->fails || registry_failure_write(registry, &build->failure, err)) &&
           (build->back->good != 0 ? registry_mend(registry, &build->target, &mended, err)
                                   : registry_switch(registry, build->target.number, err));
}

/* The switch itself, where nobody asks for anything yet. */
static bool switch_now(struct registrar *registrar, struct build_job *build, struct err *err)
{
    build_before(registrar, build);
    if (!come_back_run(build, err) ||
        (build->probation.present &&
         !registry_probation_write(registrar->registry, &build->probation, err)))
        return false;
    build_in_force(registrar, build);
    return true;
}

/* No application can have been answered yet; what one has open stays there for it to read. What
 * cannot be done here is done with all else, soon, and told then. */
void return_at_load(struct registrar *registrar)
{
    struct err why = {0};
    if (!trial_falls_over(registrar))
        return;
    registrar->trial.at_once = true;
    struct build_job *build = return_make(registrar, &why);
    if (build == NULL)
        return;
    build->job.registry = registrar->registry;
    build->job.sealing_key = registrar->sealing_key;
    return_run(&build->job);
    bool asked = !is_mixed(build) || registrar->hook[0] == '\0';
    if (build->outcome == BUILD_READY && asked && !switch_now(registrar, build, &why))
        log_warn("registry: going back to the last good generation: %s", why.text);
    build_free(build);
}

/* ---- what is wanted again ---- */

static const struct registry_returned *wanted_again(const struct registrar *registrar,
                                                    const struct returned_view *view,
                                                    const char **ret_name)
{
    const struct sync_wants *wants = &registrar->desired->wants;
    const struct registry_items *now = &registrar->held.current.list;
    for (size_t i = 0; i < wants->count; i++) {
        *ret_name = wants->wants[i].item.name;
        if (view->wants[i] != NULL)
            return view->wants[i];
    }
    for (size_t i = 0; i < now->count; i++) {
        *ret_name = now->items[i].name;
        if (view->gone[i] != NULL)
            return view->gone[i];
    }
    return NULL;
}

/* It was told why it went back; that another manifest wants it again was not. */
static bool is_told(const struct registrar *registrar)
{
    const struct registry_failure *failure = &registrar->failure;
    bool with_this = failure->manifest_version == registrar->desired->version;
    return registrar_failure_counts(registrar) &&
           (with_this || failure->refusal == MUSTER__REFUSAL__REFUSAL_GENERATION_AGAIN ||
            !sync_was_returned(failure));
}

/* Once, whatever manifests want it, which is on the medium before it is told. */
bool again_start(struct registrar *registrar)
{
    struct err why = {0};
    struct returned_view view;
    const char *name = "";
    returned_look(registrar, &view);
    if (view.count == 0 || registrar->unsaved || registrar->stalled || is_told(registrar))
        return false;
    const struct registry_returned *again = wanted_again(registrar, &view, &name);
    struct build_job *build = again != NULL ? calloc(1, sizeof *build) : NULL;
    if (build == NULL)
        return false;
    char others[48] = "";
    if (view.count > 1)
        (void)snprintf(others, sizeof others, ", and %zu others beside it", view.count - 1);
    refuse(&why, MUSTER__REFUSAL__REFUSAL_GENERATION_AGAIN, ERR_REFUSED,
           "%s%s: was in force as generation %" PRIu64
           " and was taken back (%.200s); it is not tried again unchanged",
           name, others, again->generation, again->reason);
    build->manifest_version = registrar->desired->version;
    build->wants = registrar->desired->digests;
    build_note_failure(build, false, &why);
    reject_start(registrar, build);
    return true;
}
