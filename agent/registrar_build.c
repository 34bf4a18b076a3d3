/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_build.h"

#include "base/child.h"
#include "base/file.h"
#include "base/log.h"
#include "base/said.h"
#include "base/utf8.h"
#include "proto/refusal.h"
#include "proto/sealed.h"
#include "proto/validate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void build_free(struct build_job *build)
{
    buf_done(&build->manifest);
    blob_set_done(&build->lost);
    kept_done(&build->kept);
    free(build->back);
    free(build);
}

/* Every hello carries it. Where the content was refused, another way may lead to it. */
void build_note_failure(struct build_job *build, bool content, const struct err *why)
{
    struct registry_failure *failure = &build->failure;
    failure->present = true;
    failure->content = content;
    failure->manifest_version = build->manifest_version;
    memcpy(failure->digest, content ? build->wants.content : build->wants.generation,
           sizeof failure->digest);
    snprintf(failure->reason, sizeof failure->reason, "%.399s", why->text);
    utf8_clean(failure->reason);
    failure->refusal = (int)refusal_of(why);
}

static enum build_outcome build_fail(struct build_job *build, const struct registry_item *item,
                                     bool content, const struct err *why)
{
    memcpy(build->failure.item, item->name, sizeof build->failure.item);
    build_note_failure(build, content, why);
    key_note(build->job.sealing_key, &build->failure);
    return BUILD_FAILED;
}

static enum build_outcome content_check(struct build_job *build, const struct registry_item *item,
                                        struct bytes content)
{
    struct err why = {0};
    /* A key block is looked at where it is opened, and stays sealed here. */
    if (item->kind == (int)MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK ||
        validate_document((Muster__DocumentKind)item->kind, content, &why))
        return BUILD_READY;
    if (why.code == ERR_NO_MEMORY) { /* nothing was judged */
        build->err = why;
        return BUILD_BROKEN;
    }
    err_context(&why, "%s %" PRIu64, item->name, item->version);
    refuse_as(&why, MUSTER__REFUSAL__REFUSAL_CONTENT_CHECK);
    return build_fail(build, item, false, &why);
}

/* The file that is in force, if it still is what it was. */
static bool carried_sound(const struct build_job *build, size_t i, const char *path,
                          struct buf *content, struct err *why)
{
    const struct registry_item *item = &build->target.list.items[i];
    struct registry_look look;
    uint8_t digest[32];
    if (ways_is_long(item))
        return content_hash(build->job.registry, build->current.number, item->name, digest, why) &&
               memcmp(digest, registry_item_content(item), sizeof digest) == 0;
    if (!registry_look(build->job.registry, build->current.number, item->name, &look, why) ||
        !look.regular || !file_read(path, LIMIT_DOCUMENT_BYTES, content, why))
        return false;
    sha256(buf_bytes(content), digest);
    return memcmp(digest, registry_item_content(item), sizeof digest) == 0;
}

static enum build_outcome item_carry(struct build_job *build, size_t i)
{
    const struct registry *registry = build->job.registry;
    const struct registry_item *item = &build->target.list.items[i];
    char path[REGISTRY_PATH_BYTES];
    struct registry_look look;
    struct buf content = {0};
    struct err why = {0};
    bool sound = registry_document_path(registry, build->current.number, item->name, path, &why) &&
                 carried_sound(build, i, path, &content, &why);
    enum build_outcome outcome = BUILD_READY;
    if (sound && !ways_is_long(item)) {
        outcome = content_check(build, item, buf_bytes(&content));
    } else if (!sound && build->may_write[i]) {
        build->err = why;
        build->recheck = why.code != ERR_NO_MEMORY;
        outcome = build->recheck ? BUILD_LACKS : BUILD_BROKEN;
    } else if (!sound) {
        build->recheck = true;
    }
    secret_done(&content);
    /* What is only observed goes along as it is; the drift check tells of it. A folder cannot. */
    bool goes = sound || (registry_look(registry, build->current.number, item->name, &look, NULL) &&
                          !look.folder);
    if (outcome == BUILD_READY && goes &&
        !registry_build_carry(registry, build->target.number, build->current.number, item->name,
                              &build->err))
        outcome = BUILD_BROKEN;
    return outcome;
}

struct item_check {
    struct build_job *build;
    const struct registry_item *item;
    enum build_outcome outcome;
};

static bool item_passes(void *ctx, struct bytes content)
{
    struct item_check *check = ctx;
    check->outcome = content_check(check->build, check->item, content);
    return check->outcome == BUILD_READY;
}

static enum build_outcome item_make(struct build_job *build, size_t i)
{
    struct registry_item *item = &build->target.list.items[i];
    const struct content_source *source = &build->sources[i];
    struct item_check check = {.build = build, .item = item, .outcome = BUILD_READY};
    struct err why = {0};
    const struct content_job job = {.registry = build->job.registry,
                                    .sealing_key = build->job.sealing_key,
                                    .item = item,
                                    .source = source,
                                    .lost = &build->lost};
    switch (content_put(&job, build->target.number, false, item_passes, &check, item, &why)) {
    case CONTENT_MADE:
        return check.outcome;
    case CONTENT_NO_BLOB:
        return BUILD_LACKS;
    case CONTENT_REFUSED:
        if (source->last)
            return build_fail(build, item, true, &why);
        build->other = i;
        build->err = why;
        return BUILD_OTHER;
    case CONTENT_BROKEN:
    default:
        build->err = why;
        return BUILD_BROKEN;
    }
}

static enum build_outcome build_all(struct build_job *build)
{
    const struct registry *registry = build->job.registry;
    if (build->spare > 0) {
        const uint64_t keep[2] = {build->current.number, build->kept.good.number};
        if (!registry_prune(registry, keep, 2, kept_needs, &build->kept, &build->err))
            return BUILD_BROKEN;
    }
    if (!registry_build_begin(registry, build->target.number, &build->err))
        return BUILD_BROKEN;
    for (size_t i = 0; i < build->target.list.count; i++) {
        enum build_outcome outcome = build->carry[i] ? item_carry(build, i) : item_make(build, i);
        if (outcome != BUILD_READY)
            return outcome;
    }
    return registry_build_finish(registry, &build->target, buf_bytes(&build->manifest), &build->err)
               ? BUILD_READY
               : BUILD_BROKEN;
}

/* The failure is on the medium before it is told, so that a restart does not try again; the room
 * for it is made first. */
static void build_settle(struct build_job *build)
{
    struct err why = {0};
    if (build->outcome != BUILD_READY &&
        !registry_build_drop(build->job.registry, build->target.number, &why) &&
        build->outcome != BUILD_OTHER) /* which has its own to say, and is built over anyway */
        build->err = why;
    if (build->outcome == BUILD_FAILED &&
        !registry_failure_write(build->job.registry, &build->failure, &why))
        build->err = why;
}

static void build_run(struct job *job)
{
    struct build_job *build = (struct build_job *)job;
    build->outcome = build_all(build);
    build_settle(build);
}

/* ---- back on the loop ---- */

bool build_copy(const struct build_job *build, struct registry_generation *ret_generation,
                bool *ret_guarded, struct buf *ret_manifest, struct err *err)
{
    *ret_generation = build->target;
    memcpy(ret_guarded, build->may_write, sizeof build->may_write);
    return buf_append(ret_manifest, build->manifest.data, build->manifest.length, err);
}

bool build_carries(const struct build_job *build, const struct registry_item *held)
{
    for (size_t i = 0; i < build->target.list.count; i++)
        if (strcmp(build->target.list.items[i].name, held->name) == 0)
            return build->carry[i];
    return false;
}

/* But for what it can be made again from. */
static bool same_document(const struct registry_item *a, const struct registry_item *b)
{
    return strcmp(a->name, b->name) == 0 && a->kind == b->kind && a->epoch == b->epoch &&
           a->version == b->version && a->length == b->length && sync_same_content(a, b);
}

static bool wants_the_same(const struct registrar *registrar, const struct build_job *build)
{
    const struct desired *desired = registrar->desired;
    struct registry_items target;
    returned_target(registrar, &target);
    bool same = target.count == build->target.list.count;
    for (size_t i = 0; same && i < target.count; i++)
        same = same_document(&target.items[i], &build->target.list.items[i]) &&
               build->may_write[i] == sync_may_repair(&desired->wants, target.items[i].name);
    return same;
}

bool build_adopt(const struct registrar *registrar, struct build_job *build,
                 struct blob_set *needed)
{
    const struct desired *desired = registrar->desired;
    bool good = build->back == NULL && wants_the_same(registrar, build);
    for (size_t i = 0; good && i < build->target.list.count; i++)
        good = blob_set_add(needed, build->target.list.items[i].blob, NULL);
    struct buf manifest = {0};
    if (!good || !buf_append(&manifest, desired->envelope.data, desired->envelope.length, NULL)) {
        buf_done(&manifest);
        return false;
    }
    buf_done(&build->manifest);
    build->manifest = manifest;
    build->manifest_version = desired->version;
    build->wants = desired->digests;
    return true;
}

bool build_superseded(const struct registrar *registrar, const struct build_job *build)
{
    if (build->back != NULL)
        return registrar->closing || !registrar->trial.back ||
               registrar->held.current.number != build->back->from;
    return registrar->closing || registrar->desired == NULL || registrar->outdated ||
           memcmp(registrar->desired->digests.content, build->wants.content, 32) != 0;
}

static void tell_failure(struct registrar *registrar, const struct build_job *build)
{
    const struct registry_failure *failure = &build->failure;
    Muster__ItemReport report;
    const struct sync_want *want = sync_want_of(registrar_wants(registrar), failure->item);
    if (want != NULL) {
        report_item(registrar, &want->item,
                    failure->content ? MUSTER__ITEM_STATE__ITEM_REFUSED
                                     : MUSTER__ITEM_STATE__ITEM_DRIFT,
                    &report);
        report.reason = (char *)(uintptr_t)failure->reason;
        report.refusal = (Muster__Refusal)failure->refusal;
    }
    report_refusal(
        registrar,
        failure->content ? MUSTER__EVENT_KIND__EVENT_REFUSED
                         : MUSTER__EVENT_KIND__EVENT_APPLY_FAILED,
        failure->item, want != NULL ? &report.base : NULL, (Muster__Refusal)failure->refusal,
        "manifest %" PRIu64 " is %s: %s", build->manifest_version,
        sync_was_returned(failure) ? "applied but for this" : "not applied", failure->reason);
}

static void build_failed(struct registrar *registrar, struct build_job *build)
{
    if (build->err.code != ERR_NONE)
        log_error("registry: after a failed build: %s", build->err.text);
    if (!build_superseded(registrar, build)) {
        registrar->anew = false;
        registrar->failure = build->failure;
        tell_failure(registrar, build);
    }
    build_free(build);
}

static void reject_run(struct job *job)
{
    struct build_job *build = (struct build_job *)job;
    build->outcome = BUILD_FAILED;
    build_settle(build);
}

static void reject_done(struct registrar *registrar, struct job *job)
{
    build_failed(registrar, (struct build_job *)job);
}

/* Nobody who begins a transaction waits for this. */
static void sweep_run(struct job *job)
{
    struct build_job *build = (struct build_job *)job;
    /* Late is no harm: a generation without such a record begins its probation anew. */
    if (build->probation.present &&
        !registry_probation_write(job->registry, &build->probation, &build->err))
        err_context(&build->err, "keeping what the probation begins with");
    if (!kept_prune(job->registry, &build->kept, &build->err))
        err_context(&build->err, "removing what is no longer needed");
}

static void sweep_done(struct registrar *registrar, struct job *job)
{
    struct build_job *build = (struct build_job *)job;
    registrar->trial.unsaved = registrar->trial.unsaved || build->err.code != ERR_NONE;
    if (build->err.code != ERR_NONE)
        registrar_stall(registrar, "after the switch", &build->err);
    build_free(build);
}

void reject_start(struct registrar *registrar, struct build_job *build)
{
    job_start(registrar, &build->job, reject_run, reject_done);
}

static void commit_run(struct job *job)
{
    struct build_job *build = (struct build_job *)job;
    build->switched = build->back != NULL
                          ? come_back_run(build, &build->err)
                          : registry_build_sweep(job->registry, &build->target, &build->err) &&
                                registry_switch(job->registry, build->target.number, &build->err);
}

void build_in_force(struct registrar *registrar, struct build_job *build)
{
    registrar->anew = registrar->anew && build->back != NULL;
    trial_switched(registrar, build);
    if (build->back != NULL && build->back->fails)
        registrar->failure = build->failure;
    registrar->held.previous = build->kept.previous;
    registrar->held.current = build->target;
    registrar_forget_findings(registrar);
    gate_settled(registrar);
    for (size_t i = 0; i < build->target.list.count; i++) {
        if (build->back == NULL && !build->carry[i])
            have_add(registrar, build->target.list.items[i].blob);
    }
    have_keep(registrar, &build->kept);
    if (build->recheck || build->back != NULL)
        registrar->check_due = CHECK_ALL;
    owned_look_anew(registrar);
    log_info("registry: generation %" PRIu64 " of manifest %" PRIu64 " is in force",
             build->target.number, build->manifest_version);
}

static void commit_done(struct registrar *registrar, struct job *job)
{
    struct build_job *build = (struct build_job *)job;
    registrar->switching = false;
    /* Used up even by a switch that failed half-way: the next one must not meet its folder. */
    if (build->target.number > registrar->held.highest)
        registrar->held.highest = build->target.number;
    if (build->err.code != ERR_NONE && build->back != NULL)
        return_broken(registrar, &build->err);
    else if (build->err.code != ERR_NONE)
        registrar_stall(registrar, "switching the generation", &build->err);
    if (build->switched)
        build_in_force(registrar, build);
    if (registrar->events.switched != NULL)
        registrar->events.switched(registrar->ctx);
    if (build->switched)
        job_start(registrar, &build->job, sweep_run, sweep_done);
    else
        build_free(build);
}

/* What the new generation was made from goes, but for what it can be made again from. */
void build_before(struct registrar *registrar, struct build_job *build)
{
    build->current = registrar->held.current; /* what its documents can be made from may differ */
    build->err = (struct err){0};
    kept_done(&build->kept);
    build->kept.previous = registrar->held.current;
    build->kept.current = build->target;
    trial_before(registrar, build);
}

void commit_start(struct registrar *registrar, struct build_job *build)
{
    registrar->switching = true;
    build_before(registrar, build);
    job_start(registrar, &build->job, commit_run, commit_done);
}

/* It is good; now it depends on what the payment application is in the middle of. */
static void build_waits(struct registrar *registrar, struct build_job *build)
{
    if (build->back != NULL) {
        return_waits(registrar, build);
        return;
    }
    struct gate_hold what = {
        .kind = gate_between(&registrar->held.current.list, &build->target.list),
        .generation = build->target.number,
        .manifest_version = build->manifest_version,
    };
    memcpy(what.digest, build->target.digest, sizeof what.digest);
    gate_hold(registrar, build, &what);
    registrar_wake(registrar);
}

static void hook_done(void *ctx, const struct child_result *result)
{
    struct registrar *registrar = ctx;
    struct build_job *build = registrar->hooked;
    struct err why = {0};
    char said[241], words[CHILD_SIGNAL_WORDS];
    registrar->hook_runs = false;
    registrar->hooked = NULL;
    said_line(result->output, said, sizeof said);
    child_signal_words(result, words, sizeof words);
    if (build_superseded(registrar, build)) {
        build_free(build);
        registrar_wake(registrar);
        return;
    }
    if (result->timed_out)
        err_set(&why, ERR_TIMEOUT, "the hook did not end within %" PRId64 " ms and was killed",
                registrar->hook_limit_ms);
    else if (result->signal != 0)
        err_set(&why, ERR_REFUSED, "the hook %s", words);
    else if (result->exit_status != 0)
        err_set(&why, ERR_REFUSED, "the hook said no (exit %d): %s", result->exit_status, said);
    if (why.code == ERR_NONE) {
        build_waits(registrar, build);
        return;
    }
    if (build->back != NULL) {
        return_refused(registrar, build, &why);
        return;
    }
    refuse_as(&why, MUSTER__REFUSAL__REFUSAL_CONTENT_HOOK);
    build_note_failure(build, false, &why);
    reject_start(registrar, build);
}

static bool hook_start(struct registrar *registrar, struct build_job *build, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    if (!registry_building_path(registrar->registry, build->target.number, path, err))
        return false;
    char *const argv[] = {registrar->hook, path, NULL};
    if (!child_run_alone(registrar->loop, argv, path, registrar->hook_limit_ms,
                         registrar->quota_bytes, hook_done, registrar, err))
        return err_context(err, "validating hook");
    registrar->hooked = build;
    registrar->hook_runs = true;
    return true;
}

void build_ready(struct registrar *registrar, struct build_job *build)
{
    struct err err = {0};
    if (build_superseded(registrar, build)) {
        build_free(build);
    } else if (registrar->hook[0] == '\0') {
        build_waits(registrar, build);
    } else if (!hook_start(registrar, build, &err)) {
        /* The hook itself is not there: nothing is known against the content. */
        registrar_stall(registrar, "applying", &err);
        build_free(build);
    }
}

/* A base that is not what it was is found by the next look at all files. */
static void build_other(struct registrar *registrar, const struct build_job *build)
{
    const struct content_source *source = &build->sources[build->other];
    have_lose(registrar, &build->lost);
    if (build_superseded(registrar, build))
        return;
    plan_rule_out(registrar, source, &build->err);
    if (source->way.coding == MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA)
        registrar->check_due = CHECK_ALL;
}

static void build_done(struct registrar *registrar, struct job *job)
{
    struct build_job *build = (struct build_job *)job;
    if (build->spare > 0) {
        registrar->held.previous.number = 0;
        have_keep(registrar, &build->kept);
    }
    switch (build->outcome) {
    case BUILD_READY:
        build_ready(registrar, build);
        return;
    case BUILD_FAILED:
        build_failed(registrar, build);
        return;
    case BUILD_OTHER:
        build_other(registrar, build);
        break;
    case BUILD_LACKS:
        have_lose(registrar, &build->lost);
        if (build->recheck)
            registrar->check_due = CHECK_ALL;
        break;
    case BUILD_BROKEN:
    default:
        registrar_stall(registrar, "building a generation", &build->err);
        break;
    }
    build_free(build);
}

/* With the spare generation kept, would the new one be over quota? */
static uint64_t spare_in_the_way(const struct registrar *registrar,
                                 const struct registry_items *target)
{
    const struct registry_held *held = &registrar->held;
    const struct registry_generation *good = trial_good(registrar);
    const struct registry_items *lists[] = {target, &held->current.list, &held->previous.list,
                                            &good->list};
    if (held->previous.number == 0 || held->previous.number == good->number ||
        registrar->quota_bytes <= 0 || sync_bytes(lists, 4) <= (uint64_t)registrar->quota_bytes)
        return 0;
    return held->previous.number;
}

static bool build_fill(struct registrar *registrar, struct build_job *build, struct err *err)
{
    const struct desired *desired = registrar->desired;
    struct sync_holding holding = registrar_holding(registrar);
    build->current = registrar->held.current;
    build->target.number = registrar->held.highest + 1;
    sync_digest(&build->target.list, build->target.digest);
    for (size_t i = 0; i < build->target.list.count; i++) {
        const struct registry_item *item = &build->target.list.items[i];
        build->may_write[i] = sync_may_repair(&desired->wants, item->name);
        build->carry[i] = !build->may_write[i] || sync_carries(item, &holding);
        if (!build->carry[i])
            plan_source(registrar, item, &build->sources[i]);
    }
    build->spare = spare_in_the_way(registrar, &build->target.list);
    if (!kept_fill(registrar, &build->kept, err))
        return false;
    if (build->spare > 0)
        build->kept.previous.number = 0;
    build->manifest_version = desired->version;
    build->wants = desired->digests;
    return buf_append(&build->manifest, desired->envelope.data, desired->envelope.length, err);
}

bool build_start(struct registrar *registrar)
{
    struct sync_blobs lacks;
    struct err err = {0};
    if (registrar->gate.build != NULL || registrar->desired == NULL || registrar->outdated ||
        registrar->unsaved || registrar_kept_from(registrar) != NULL || registrar_failed(registrar))
        return false;
    registrar_missing(registrar, &lacks);
    if (lacks.count > 0)
        return false;
    struct build_job *build = calloc(1, sizeof *build);
    if (build == NULL) {
        err_set(&err, ERR_NO_MEMORY, "no memory");
        registrar_stall(registrar, "building a generation", &err);
        return false;
    }
    returned_target(registrar, &build->target.list);
    if (!registrar->anew && sync_same(&build->target.list, &registrar->held.current.list)) {
        gate_settled(registrar);
        build_free(build);
        return false;
    }
    if (!build_fill(registrar, build, &err)) {
        registrar_stall(registrar, "building a generation", &err);
        build_free(build);
        return false;
    }
    job_start(registrar, &build->job, build_run, build_done);
    return true;
}
