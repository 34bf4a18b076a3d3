/* SPDX-License-Identifier: Apache-2.0 */
/* How the generation in force stands, as it is told. */
#include "agent/registrar_internal.h"

static void report_counts(const struct registrar *registrar, Muster__ApplyReport *report)
{
    const struct trial *trial = &registrar->trial;
    const struct probation *probation = &trial->probation;
    int64_t left_ms = trial->settings.policy.time_ms - probation->spent_ms;
    report->step =
        trial->unproved ? MUSTER__APPLY_STEP__APPLY_UNPROVED : MUSTER__APPLY_STEP__APPLY_SWITCHED;
    report->manifest_version = trial->manifest_version;
    report->generation = probation->generation;
    report->good_generation = trial->good.number;
    report->results = probation->track.results;
    report->suspect = probation->track.suspect;
    report->before_results = probation->before.results;
    report->before_suspect = probation->before.suspect;
    report->results_needed = trial->settings.policy.results;
    report->probation_left_ms = !trial->unproved && left_ms > 0 ? (uint64_t)left_ms : 0;
    if (registrar_awaits_welcome(registrar))
        report->waits_for = (char *)(uintptr_t) "the fleet's answer over the new connection";
}

static void report_returned(const struct registry_returned *last, Muster__ApplyReport *report)
{
    report->step = MUSTER__APPLY_STEP__APPLY_RETURNED;
    report->manifest_version = last->manifest_version;
    report->generation = last->generation;
    report->good_generation = last->to;
    report->results = (uint32_t)last->results;
    report->suspect = (uint32_t)last->suspect;
    report->before_results = (uint32_t)last->before_results;
    report->before_suspect = (uint32_t)last->before_suspect;
    report->why = (char *)(uintptr_t)last->reason;
    report->refusal = (Muster__Refusal)last->refusal;
}

bool trial_report(const struct registrar *registrar, Muster__ApplyReport *ret_report)
{
    const struct registry_returns *returns = &registrar->trial.returns;
    const struct registry_returned *last =
        returns->count > 0 ? &returns->returned[returns->count - 1] : NULL;
    muster__apply_report__init(ret_report);
    if (registrar->trial.probation.generation != 0) {
        report_counts(registrar, ret_report);
        return true;
    }
    if (last == NULL || last->to != registrar->held.current.number)
        return false;
    report_returned(last, ret_report);
    return true;
}
