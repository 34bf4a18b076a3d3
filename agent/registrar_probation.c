/* SPDX-License-Identifier: Apache-2.0 */
/* The generation in force proves itself, or does not. */
#include "agent/registrar_build.h"

#include "base/log.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAVE_EVERY_MS = 600 * 1000, /* of the time that is spent */
    LOOK_LEAST_MS = 50,
    GROUPS_SAID = 3,
};

bool trial_is_on(const struct trial *trial)
{
    return trial->settings.policy.time_ms > 0;
}

const struct registry_generation *trial_good(const struct registrar *registrar)
{
    return registrar->trial.probation.generation != 0 ? &registrar->trial.good
                                                      : &registrar->held.current;
}

bool trial_runs(const struct registrar *registrar)
{
    return registrar->trial.probation.generation != 0 && !registrar->trial.unproved;
}

static bool in_one(const struct registry_items *from, const struct registry_items *to, int kind)
{
    for (size_t i = 0; i < to->count; i++) {
        const struct registry_item *old = sync_item_of(from, to->items[i].name);
        if (to->items[i].kind == kind && (old == NULL || !sync_same_content(old, &to->items[i])))
            return true;
    }
    return false;
}

bool trial_changes(const struct registry_items *from, const struct registry_items *to,
                   Muster__DocumentKind kind)
{
    return in_one(from, to, (int)kind) || in_one(to, from, (int)kind);
}

/* ---- a switch ---- */

static bool proves_itself(const struct registrar *registrar, const struct build_job *build)
{
    return trial_is_on(&registrar->trial) && build->back == NULL &&
           registrar->held.current.number > 0 &&
           memcmp(build->target.digest, trial_good(registrar)->digest, 32) != 0;
}

static void next_probation(const struct registrar *registrar, const struct build_job *build,
                           struct probation *ret_next)
{
    *ret_next = (struct probation){.before = registrar->trial.probation.before};
    if (!proves_itself(registrar, build))
        return;
    const struct registry_generation *good = trial_good(registrar);
    ret_next->generation = build->target.number;
    ret_next->good = good->number;
    ret_next->connection =
        trial_changes(&good->list, &build->target.list, MUSTER__DOCUMENT_KIND__DOCUMENT_CONNECTION);
}

/* Results that come later may have been made before. */
static void times_put(const struct registrar *registrar, struct build_job *build)
{
    build->probation.since_ms = (uint64_t)clock_boot_ms(registrar->clock);
    build->probation.has_before = registrar->held.current.number > 0;
    build->probation.before_since_ms = (uint64_t)registrar->trial.since_ms;
    memcpy(build->probation.before, registrar->held.current.digest, sizeof build->probation.before);
}

void trial_before(struct registrar *registrar, struct build_job *build)
{
    struct trial *trial = &registrar->trial;
    struct probation next;
    next_probation(registrar, build, &next);
    build->kept.good = next.generation != 0 ? *trial_good(registrar) : build->target;
    build->probation.present = false;
    if (!trial_is_on(trial) && trial->after_hook[0] == '\0')
        return;
    trial_keep(registrar, &next, build->target.number, &build->probation);
    build->probation.manifest = build->manifest_version;
    build->probation.unproved = build->probation.stays = false;
    build->probation.after_due = trial->after_hook[0] != '\0';
    build->probation.untold = build->back != NULL;
    build->probation.watched_ms = 0;
    times_put(registrar, build);
}

static void tell_returned(struct registrar *registrar)
{
    Muster__ApplyReport report;
    const struct registry_returns *returns = &registrar->trial.returns;
    const struct registry_returned *last = &returns->returned[returns->count - 1];
    registrar->trial.returned_untold = false;
    registrar->trial.unsaved = true;
    if (!trial_report(registrar, &report))
        return;
    log_warn("registry: generation %" PRIu64 " is in force again instead of %" PRIu64 ": %s",
             last->to, last->generation, last->reason);
    report_refusal(registrar, MUSTER__EVENT_KIND__EVENT_APPLY, "", &report.base,
                   (Muster__Refusal)last->refusal,
                   "generation %" PRIu64 " of manifest %" PRIu64
                   " was taken back, and the last good one is in force again: %s",
                   last->generation, last->manifest_version, last->reason);
}

void trial_switched(struct registrar *registrar, struct build_job *build)
{
    struct trial *trial = &registrar->trial;
    struct probation next;
    next_probation(registrar, build, &next);
    if (next.generation != 0 && trial->probation.generation == 0)
        trial->good = registrar->held.current;
    if (build->back != NULL)
        trial->returns = build->back->returns;
    trial->returned_untold = build->back != NULL;
    trial->probation = next;
    trial->manifest_version = build->manifest_version;
    trial->unproved = trial->stays = trial->back = trial->at_once = trial->redialled = false;
    trial->after_due = trial->after_hook[0] != '\0';
    times_put(registrar, build); /* only now, for a result that came meanwhile */
    trial->has_before = build->probation.has_before;
    trial->before_since_ms = trial->since_ms;
    memcpy(trial->before, build->probation.before, sizeof trial->before);
    trial->counted_ms = trial->since_ms = clock_boot_ms(registrar->clock);
    trial->watched_ms = 0;
    trial->unsaved = trial->unsaved || trial->unsaved_results > 0 || build->err.code != ERR_NONE;
}

/* ---- what happens with it ---- */

void registrar_crashed(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    if (!trial_runs(registrar))
        return;
    trial->probation.crashes++;
    trial->unsaved = true;
    registrar_wake(registrar);
}

void registrar_forget_returned(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    memset(&trial->returns, 0, sizeof trial->returns);
    trial->returned_untold = false;
    trial->returns_unsaved = trial->forgets = trial->unsaved = true;
    registrar->failure.present = false;
    registrar_wake(registrar);
}

/* ---- the answer ---- */

static void tell(struct registrar *registrar, Muster__ApplyStep step, const char *text)
{
    Muster__ApplyReport report;
    (void)trial_report(registrar, &report);
    report.step = step;
    log_info("registry: generation %" PRIu64 " %s", report.generation, text);
    report_event(registrar, MUSTER__EVENT_KIND__EVENT_APPLY, "", &report.base,
                 "generation %" PRIu64 " of manifest %" PRIu64 " %s: %" PRIu32 " of %" PRIu32
                 " results with it were suspect, %" PRIu32 " of %" PRIu32 " before",
                 report.generation, report.manifest_version, text, report.suspect, report.results,
                 report.before_suspect, report.before_results);
}

/* What it has shown joins what was known before; where what is suspect is another thing from now
 * on, only what it has shown by that is known. */
static struct probation_track known_now(const struct registrar *registrar)
{
    const struct probation *probation = &registrar->trial.probation;
    bool another = trial_changes(&registrar->trial.good.list, &registrar->held.current.list,
                                 MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE);
    struct probation_track known = another ? (struct probation_track){0} : probation->before;
    uint32_t suspect = another ? probation->suspect_now : probation->track.suspect;
    for (uint32_t i = 0; i < probation->track.results; i++)
        probation_track_add(&known, i < suspect);
    return known;
}

static void proved(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    struct probation *probation = &trial->probation;
    tell(registrar, MUSTER__APPLY_STEP__APPLY_PROVED, "has proved itself");
    struct probation_track before = known_now(registrar);
    *probation = (struct probation){.before = before};
    memset(&trial->good, 0, sizeof trial->good);
    trial->unproved = trial->stays = false;
    trial->unsaved = true;
}

static void unproved(struct registrar *registrar)
{
    tell(registrar, MUSTER__APPLY_STEP__APPLY_UNPROVED,
         "stays unproved, and the last good one is kept beside it");
    registrar->trial.unproved = true;
    registrar->trial.unsaved = true;
}

void trial_stays(struct registrar *registrar, const char *why)
{
    char text[320];
    registrar->trial.back = registrar->trial.at_once = registrar->trial.after_due = false;
    (void)snprintf(text, sizeof text, "stays though it should go back: %.200s", why);
    utf8_clean(text);
    tell(registrar, MUSTER__APPLY_STEP__APPLY_UNPROVED, text);
    registrar->trial.unproved = registrar->trial.stays = registrar->trial.unsaved = true;
}

/* Also when it is told as unproved: what came before is kept beside it for that. */
bool trial_may_go_back(const struct registrar *registrar)
{
    return registrar->trial.probation.generation != 0 && !registrar->trial.stays;
}

void trial_fail(struct registrar *registrar, Muster__Refusal refusal, const char *why)
{
    struct trial *trial = &registrar->trial;
    if (!trial_may_go_back(registrar) || trial->back)
        return;
    trial->back = true;
    trial->refusal = refusal;
    (void)snprintf(trial->why, sizeof trial->why, "%s", why);
    log_warn("registry: generation %" PRIu64 " goes back: %s", trial->probation.generation, why);
    registrar_wake(registrar);
}

static unsigned largest_below(const struct probation *probation, uint32_t below_count,
                              unsigned below_group)
{
    unsigned found = 0;
    for (unsigned g = 1; g < PROBATION_GROUPS; g++) {
        uint32_t count = probation->groups[g];
        bool next = count < below_count || (count == below_count && g > below_group);
        if (next && count > 0 && (found == 0 || count > probation->groups[found]))
            found = g;
    }
    return found;
}

/* Which results decided: the most frequent kinds of them. */
static void groups_say(const struct probation *probation, char *why, size_t size)
{
    uint32_t count = UINT32_MAX;
    for (unsigned said = 0, group = 0; said < GROUPS_SAID; said++) {
        size_t used = strlen(why);
        group = largest_below(probation, count, group);
        if (group == 0)
            return;
        count = probation->groups[group];
        (void)snprintf(why + used, size - used, "%s%s (%" PRIu32 ")", said == 0 ? ": " : ", ",
                       suspect_words((enum suspect)group), count);
    }
}

static void goes_back(struct registrar *registrar, enum probation_verdict verdict)
{
    const struct probation *probation = &registrar->trial.probation;
    Muster__Refusal refusal = MUSTER__REFUSAL__REFUSAL_PROBATION_CRASH;
    char why[sizeof registrar->trial.why];
    if (verdict == PROBATION_BACK_RESULTS) {
        refusal = MUSTER__REFUSAL__REFUSAL_PROBATION_RESULTS;
        (void)snprintf(why, sizeof why,
                       "%" PRIu32 " of %" PRIu32 " results with it were suspect, %" PRIu32
                       " of %" PRIu32 " before",
                       probation->track.suspect, probation->track.results,
                       probation->before.suspect, probation->before.results);
        groups_say(probation, why, sizeof why);
    } else if (verdict == PROBATION_BACK_WELCOME) {
        refusal = MUSTER__REFUSAL__REFUSAL_PROBATION_WELCOME;
        (void)snprintf(why, sizeof why,
                       "it carries the connection, and the fleet did not answer for %" PRId64 " s",
                       probation->waited_ms / 1000);
    } else if (verdict == PROBATION_BACK_STARTS) {
        (void)snprintf(why, sizeof why, "the agent ended out of order %" PRIu32 " times with it",
                       probation->starts);
    } else {
        (void)snprintf(why, sizeof why,
                       "the payment application ended in the middle of a transaction %" PRIu32
                       " times with it",
                       probation->crashes);
    }
    trial_fail(registrar, refusal, why);
}

bool trial_falls_over(struct registrar *registrar)
{
    const struct trial *trial = &registrar->trial;
    if (!trial_runs(registrar) || trial->probation.starts < trial->settings.policy.starts)
        return false;
    goes_back(registrar, PROBATION_BACK_STARTS);
    return true;
}

static void on_timer(uv_timer_t *timer)
{
    struct registrar *registrar = timer->data;
    registrar->trial.unsaved = true; /* the time that is spent */
    registrar_wake(registrar);
}

/* At the latest when something changes by time alone. */
static void plan_look(struct registrar *registrar)
{
    const struct trial *trial = &registrar->trial;
    const struct probation_policy *policy = &trial->settings.policy;
    const int64_t spent_ms = trial->probation.spent_ms;
    int64_t left_ms = connection_left(registrar);
    if (trial_runs(registrar) && policy->time_ms - spent_ms < left_ms)
        left_ms = policy->time_ms - spent_ms;
    if (left_ms == INT64_MAX || trial->back || registrar->closing || registrar->handles == 0)
        return;
    if (left_ms > SAVE_EVERY_MS)
        left_ms = SAVE_EVERY_MS;
    (void)uv_timer_start(&registrar->trial.timer, on_timer,
                         (uint64_t)(left_ms > LOOK_LEAST_MS ? left_ms : LOOK_LEAST_MS), 0);
}

static void act(struct registrar *registrar, enum probation_verdict verdict)
{
    if (verdict == PROBATION_PROVED) {
        proved(registrar);
        return;
    }
    bool told = registrar->trial.unproved && verdict != PROBATION_BACK_RESULTS;
    if (verdict == PROBATION_RUNS || told)
        return;
    if (verdict == PROBATION_UNPROVED)
        unproved(registrar);
    else
        goes_back(registrar, verdict);
}

void trial_look(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    int64_t now_ms = clock_boot_ms(registrar->clock), spent_ms = now_ms - trial->counted_ms;
    if (trial->returned_untold && registrar->telling)
        tell_returned(registrar);
    trial->probation.spent_ms += trial->probation.generation != 0 ? spent_ms : 0;
    trial->counted_ms = now_ms;
    connection_look(registrar, spent_ms);
    if (trial->probation.generation != 0 && !trial->back)
        act(registrar, probation_look(&trial->settings.policy, &trial->probation));
    plan_look(registrar);
}
