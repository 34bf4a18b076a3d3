/* SPDX-License-Identifier: Apache-2.0 */
/* How the generation in force proves itself, as it lies in <registry>/probation and goes on over
 * restarts. */
#include "agent/registrar_build.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { RESULTS_A_SAVE = 16 }; /* of a good generation */

static bool is_kept(const struct registrar *registrar)
{
    const struct trial *trial = &registrar->trial;
    return registrar->held.current.number > 0 &&
           (trial_is_on(trial) || trial->after_hook[0] != '\0');
}

/* ---- what is kept of it ---- */

static void tallies_keep(const struct probation *probation, struct registry_probation *kept)
{
    _Static_assert((int)PROBATION_TOKENS == (int)REGISTRY_TOKENS &&
                       (int)PROBATION_TOKEN_BYTES == (int)REGISTRY_TOKEN_BYTES &&
                       (int)PROBATION_GROUPS == (int)REGISTRY_GROUPS,
                   "as many as are kept");
    kept->tokens = probation->tokens;
    memcpy(kept->token, probation->token, sizeof kept->token);
    for (size_t i = 0; i < PROBATION_GROUPS; i++)
        kept->groups[i] = probation->groups[i];
}

void trial_keep(const struct registrar *registrar, const struct probation *probation,
                uint64_t current, struct registry_probation *ret_kept)
{
    const struct trial *trial = &registrar->trial;
    *ret_kept = (struct registry_probation){
        .present = true,
        .generation = current,
        .good = probation->generation != 0 ? probation->good : current,
        .highest = registrar->held.highest > current ? registrar->held.highest : current,
        .manifest = trial->manifest_version,
        .unproved = trial->unproved,
        .stays = trial->stays,
        .connection = probation->connection,
        .welcomed = probation->welcomed,
        .after_due = trial->after_due,
        .untold = trial->returned_untold,
        .running = !registrar->closing,
        .results = probation->track.results,
        .suspect = probation->track.suspect,
        .before_results = probation->before.results,
        .before_suspect = probation->before.suspect,
        .crashes = probation->crashes,
        .starts = probation->starts,
        .spent_ms = (uint64_t)probation->spent_ms,
        .suspect_now = probation->suspect_now,
        .waited_ms = (uint64_t)probation->waited_ms,
        .reader_ms = (uint64_t)probation->reader_ms,
        .watched_ms = (uint64_t)trial->watched_ms,
        .since_ms = (uint64_t)trial->since_ms,
        .before_since_ms = (uint64_t)trial->before_since_ms,
        .has_before = trial->has_before,
        .incarnation = trial->incarnation,
        .seq = trial->seq,
    };
    tallies_keep(probation, ret_kept);
    memcpy(ret_kept->before, trial->before, sizeof ret_kept->before);
    memcpy(ret_kept->boot, trial->settings.boot, sizeof ret_kept->boot);
}

struct trial_job {
    struct job job;
    struct registry_probation kept;
    struct registry_returns *returns; /* NULL: as they are */
    bool forgets;                     /* nothing is known against any manifest either */
    bool saved;
    struct err err;
};

static void save_run(struct job *job)
{
    struct trial_job *save = (struct trial_job *)job;
    save->saved = (save->returns == NULL ||
                   registry_returns_write(job->registry, save->returns, &save->err)) &&
                  (!save->forgets || registry_failure_remove(job->registry, &save->err)) &&
                  registry_probation_write(job->registry, &save->kept, &save->err);
}

static void save_done(struct registrar *registrar, struct job *job)
{
    struct trial_job *save = (struct trial_job *)job;
    struct trial *trial = &registrar->trial;
    if (!save->saved) {
        registrar_stall(registrar, "keeping how a generation proves itself", &save->err);
        trial->unsaved = true;
        trial->returns_unsaved = trial->returns_unsaved || save->returns != NULL;
        trial->forgets = trial->forgets || save->forgets;
    }
    free(save->returns);
    free(save);
}

static bool save_is_due(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    if (!is_kept(registrar) || (registrar->stalled && !registrar->closing) || trial->ended)
        return false;
    trial->ended = registrar->closing;
    return trial->unsaved || registrar->closing || trial->unsaved_results >= RESULTS_A_SAVE;
}

bool trial_save_start(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    if (!save_is_due(registrar))
        return false;
    struct trial_job *save = calloc(1, sizeof *save);
    if (save == NULL)
        return false; /* with the next result */
    if (trial->returns_unsaved) {
        save->returns = malloc(sizeof *save->returns);
        if (save->returns == NULL) {
            free(save);
            return false;
        }
        *save->returns = trial->returns;
    }
    trial_keep(registrar, &trial->probation, registrar->held.current.number, &save->kept);
    save->forgets = trial->forgets;
    trial->unsaved = trial->returns_unsaved = trial->forgets = false;
    trial->unsaved_results = 0;
    job_start(registrar, &save->job, save_run, save_done);
    return true;
}

void trial_wake_to_save(struct registrar *registrar)
{
    if (registrar->trial.unsaved || registrar->trial.unsaved_results >= RESULTS_A_SAVE)
        registrar_wake(registrar);
}

void trial_keep_now(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    struct registry_probation kept;
    struct err err = {0};
    if (!is_kept(registrar))
        return;
    trial_keep(registrar, &trial->probation, registrar->held.current.number, &kept);
    trial->unsaved = !registry_probation_write(registrar->registry, &kept, &err);
    if (trial->unsaved)
        log_warn("registry: how a generation proves itself was not kept: %s", err.text);
}

/* ---- at the start ---- */

static void tallies_take(struct probation *probation, const struct registry_probation *kept)
{
    probation->waited_ms = (int64_t)kept->waited_ms;
    probation->reader_ms = (int64_t)kept->reader_ms;
    probation->suspect_now = (uint32_t)kept->suspect_now;
    probation->tokens = (uint32_t)kept->tokens;
    memcpy(probation->token, kept->token, sizeof probation->token);
    for (size_t i = 0; i < PROBATION_GROUPS; i++)
        probation->groups[i] = (uint32_t)kept->groups[i];
}

static void resume(struct registrar *registrar, const struct registry_probation *kept)
{
    struct trial *trial = &registrar->trial;
    struct probation *probation = &trial->probation;
    bool crashed =
        kept->running && memcmp(kept->boot, trial->settings.boot, sizeof kept->boot) == 0;
    probation->generation = kept->generation;
    probation->good = kept->good;
    probation->connection = kept->connection;
    probation->welcomed = kept->welcomed;
    probation->track.results = (uint32_t)kept->results;
    probation->track.suspect = (uint32_t)kept->suspect;
    probation->crashes = (uint32_t)kept->crashes;
    probation->starts = (uint32_t)kept->starts + (crashed ? 1 : 0);
    probation->spent_ms = (int64_t)kept->spent_ms;
    tallies_take(probation, kept);
    trial->unproved = kept->unproved;
    trial->stays = kept->stays;
}

/* That the generation in force was built from, if it can be told. */
static uint64_t manifest_of(const struct registrar *registrar, uint64_t otherwise)
{
    struct buf envelope = {0};
    struct desired *desired = NULL;
    uint64_t version = otherwise;
    if (registry_manifest_read(registrar->registry, registrar->held.current.number,
                               LIMIT_MANIFEST_BYTES, &envelope, NULL) &&
        desired_open(registrar->trust, registrar->device, buf_bytes(&envelope), &desired, NULL)) {
        version = desired->version;
        desired_free(desired);
    }
    buf_done(&envelope);
    return version;
}

/* Put in force, and the power went before this was kept, or that is lost: it has everything to
 * prove. */
static void begin_again(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    trial->probation.generation = registrar->held.current.number;
    trial->probation.good = trial->good.number;
    trial->probation.connection = trial_changes(&trial->good.list, &registrar->held.current.list,
                                                MUSTER__DOCUMENT_KIND__DOCUMENT_CONNECTION);
    trial->manifest_version = manifest_of(registrar, trial->manifest_version);
    trial->since_ms = clock_boot_ms(registrar->clock); /* at the latest */
}

static bool was_returned(const struct registrar *registrar, uint64_t from)
{
    const struct registry_returns *returns = &registrar->trial.returns;
    const struct registry_returned *last =
        returns->count > 0 ? &returns->returned[returns->count - 1] : NULL;
    return last != NULL && last->generation == from && last->to == registrar->held.current.number;
}

/* Nobody knows any more which one was good. Only what may have been is kept beside the one in
 * force, and of that the oldest one longest. */
static bool oldest_take(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    struct err why = {0};
    bool read =
        registry_oldest(registrar->registry, registrar->held.current.number, &trial->good, &why);
    if (!read)
        boot_note(registrar, why.text);
    if (read && trial->good.number != 0)
        return true;
    memset(&trial->good, 0, sizeof trial->good);
    return false;
}

static void times_take(struct registrar *registrar, const struct registry_probation *kept,
                       bool same)
{
    struct trial *trial = &registrar->trial;
    bool this_boot = memcmp(kept->boot, trial->settings.boot, sizeof kept->boot) == 0;
    trial->watched_ms = (int64_t)kept->watched_ms;
    if (!this_boot)
        return;
    trial->since_ms = same ? (int64_t)kept->since_ms : clock_boot_ms(registrar->clock);
    trial->has_before = same && kept->has_before;
    trial->before_since_ms = (int64_t)kept->before_since_ms;
    memcpy(trial->before, kept->before, sizeof trial->before);
}

/* What was kept may be of the generation before: the power may go between the two. */
static void take(struct registrar *registrar, const struct registry_probation *kept)
{
    struct trial *trial = &registrar->trial;
    uint64_t current = registrar->held.current.number;
    bool same = kept->generation == current;
    struct err why = {0};
    trial->after_due = trial->after_hook[0] != '\0' && (kept->after_due || !same);
    trial->manifest_version = kept->manifest;
    trial->returned_untold = same ? kept->untold : was_returned(registrar, kept->generation);
    times_take(registrar, kept, same);
    bool on_probation = same ? kept->good != current : current > kept->generation;
    if (!trial_is_on(trial) || !on_probation || trial->returned_untold || kept->good == current)
        return;
    if (!registry_generation_read(registrar->registry, kept->good, &trial->good, &why)) {
        boot_note(registrar, why.text);
        if (oldest_take(registrar))
            begin_again(registrar);
    } else if (same) {
        resume(registrar, kept);
    } else {
        begin_again(registrar);
    }
}

/* What was to go back was not taken back yet: the number of what was to come is given again. */
static void returns_load(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    struct err why = {0};
    if (!registry_returns_read(registrar->registry, &trial->returns, &why))
        boot_note(registrar, why.text);
    size_t count = trial->returns.count;
    struct registry_returned *last = count > 0 ? &trial->returns.returned[count - 1] : NULL;
    if (last == NULL || last->generation != registrar->held.current.number || last->to == 0)
        return;
    last->to = 0;
    trial->returns_unsaved = trial->unsaved = true;
}

static void lost(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    trial->after_due = trial->after_hook[0] != '\0';
    if (trial_is_on(trial) && oldest_take(registrar))
        begin_again(registrar);
    trial_keep_now(registrar);
}

void trial_load(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    struct registry_probation kept;
    struct err why = {0};
    trial->counted_ms = clock_boot_ms(registrar->clock);
    returns_load(registrar);
    if (!registry_probation_read(registrar->registry, &kept, &why)) {
        boot_note(registrar, why.text);
        if (registrar->held.current.number != 0)
            lost(registrar);
        return;
    }
    if (!kept.present)
        return;
    if (kept.highest > registrar->held.highest)
        registrar->held.highest = kept.highest;
    trial->probation.before.results = (uint32_t)kept.before_results;
    trial->probation.before.suspect = (uint32_t)kept.before_suspect;
    trial->incarnation = kept.incarnation;
    trial->seq = kept.seq;
    trial->unsaved = true;
    if (registrar->held.current.number == 0)
        return;
    take(registrar, &kept);
    trial_keep_now(registrar);
}
