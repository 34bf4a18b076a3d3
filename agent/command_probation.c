/* SPDX-License-Identifier: Apache-2.0 */
/* How what is in force proves itself, or why what was is no more: of status, plan and state. */
#include "agent/command.h"
#include "agent/txn_input.h"
#include "base/span.h"

#include <inttypes.h>

static bool is_said(const Muster__ApplyReport *apply)
{
    return apply != NULL && (apply->step == MUSTER__APPLY_STEP__APPLY_SWITCHED ||
                             apply->step == MUSTER__APPLY_STEP__APPLY_UNPROVED ||
                             apply->step == MUSTER__APPLY_STEP__APPLY_RETURNED);
}

/* What waits has its own place in the state. */
static const Muster__ApplyReport *trial_of(const Muster__StateReport *state)
{
    if (state == NULL)
        return NULL;
    return state->trial != NULL ? state->trial : state->apply;
}

static void print_counts(const Muster__ApplyReport *apply)
{
    (void)printf("%" PRIu32 " of %" PRIu32 " results suspect, %" PRIu32 " of %" PRIu32 " before",
                 apply->suspect, apply->results, apply->before_suspect, apply->before_results);
}

void command_print_probation(const Muster__StateReport *state)
{
    const Muster__ApplyReport *apply = trial_of(state);
    char left[SPAN_WORDS_CHARS];
    if (!is_said(apply))
        return;
    if (apply->step == MUSTER__APPLY_STEP__APPLY_RETURNED) {
        (void)printf("returned   generation %" PRIu64 " of manifest %" PRIu64
                     " was taken back, %" PRIu64 " is in force: %s\n",
                     apply->generation, apply->manifest_version, apply->good_generation,
                     command_plain(apply->why));
        return;
    }
    bool unproved = apply->step == MUSTER__APPLY_STEP__APPLY_UNPROVED;
    (void)printf("%s generation %" PRIu64 ": ", unproved ? "unproved  " : "probation ",
                 apply->generation);
    print_counts(apply);
    span_words((int64_t)apply->probation_left_ms, true, left);
    if (!unproved)
        (void)printf("; %" PRIu32 " are enough, %s are left", apply->results_needed, left);
    if (apply->waits_for[0] != '\0')
        (void)printf("; waits for %s", command_plain(apply->waits_for));
    (void)printf("; %" PRIu64 " is the good one\n", apply->good_generation);
}

json_t *command_probation_json(const Muster__StateReport *state)
{
    const Muster__ApplyReport *apply = trial_of(state);
    char step[32], refusal[48];
    if (!is_said(apply))
        return json_null();
    enum_word(&muster__apply_step__descriptor, "APPLY_", (int)apply->step, step);
    enum_word(&muster__refusal__descriptor, "REFUSAL_", (int)apply->refusal, refusal);
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s}", "step", step,
        "manifest_version", (json_int_t)apply->manifest_version, "generation",
        (json_int_t)apply->generation, "good_generation", (json_int_t)apply->good_generation,
        "results", (json_int_t)apply->results, "suspect", (json_int_t)apply->suspect,
        "before_results", (json_int_t)apply->before_results, "before_suspect",
        (json_int_t)apply->before_suspect, "results_needed", (json_int_t)apply->results_needed,
        "left_ms", (json_int_t)apply->probation_left_ms, "waits_for", apply->waits_for, "why",
        apply->why, "refusal", refusal);
}
