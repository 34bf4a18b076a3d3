/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal's own program that is run after each switch, to see whether what is in force works
 * there. What it says no to goes back. */
#include "agent/registrar_internal.h"

#include "base/child.h"
#include "base/log.h"
#include "base/said.h"

#include <inttypes.h>
#include <stdio.h>

static void put_why(const struct registrar *registrar, const struct child_result *result, char *why,
                    size_t size)
{
    char said[121], words[CHILD_SIGNAL_WORDS];
    said_line(result->output, said, sizeof said);
    child_signal_words(result, words, sizeof words);
    if (result->timed_out)
        (void)snprintf(why, size,
                       "the hook after the switch did not end within %" PRId64 " ms and was killed",
                       registrar->hook_limit_ms);
    else if (result->signal != 0)
        (void)snprintf(why, size, "the hook after the switch %s", words);
    else
        (void)snprintf(why, size, "the hook after the switch said no (exit %d): %s",
                       result->exit_status, said);
}

/* Until what it said no to has gone back it is asked again at each start: nothing else keeps its
 * answer. */
static void said_no(struct registrar *registrar, const char *why)
{
    if (trial_may_go_back(registrar)) {
        trial_fail(registrar, MUSTER__REFUSAL__REFUSAL_PROBATION_HOOK, why);
        return;
    }
    registrar->trial.after_due = false;
    registrar->trial.unsaved = true;
    log_warn("registry: %s; there is nothing to go back to", why);
    report_refusal(registrar, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, "", NULL,
                   MUSTER__REFUSAL__REFUSAL_PROBATION_HOOK, "%s; there is nothing to go back to",
                   why);
}

static void after_done(void *ctx, const struct child_result *result)
{
    struct registrar *registrar = ctx;
    struct trial *trial = &registrar->trial;
    char why[sizeof trial->why];
    registrar->hook_runs = false;
    if (!registrar->closing) { /* else it is run again at the next start */
        if (result->timed_out || result->signal != 0 || result->exit_status != 0) {
            put_why(registrar, result, why, sizeof why);
            said_no(registrar, why);
        } else {
            trial->after_due = false;
            trial->unsaved = true;
        }
        owned_look_anew(registrar);
    }
    registrar_wake(registrar);
}

bool trial_after_start(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    char path[REGISTRY_PATH_BYTES];
    struct err err = {0};
    if (!trial->after_due || trial->back || registrar->closing ||
        !registry_generation_path(registrar->registry, registrar->held.current.number, path, &err))
        return false;
    char *const argv[] = {trial->after_hook, path, NULL};
    registrar->hook_runs = child_run_alone(registrar->loop, argv, path, registrar->hook_limit_ms,
                                           registrar->quota_bytes, after_done, registrar, &err);
    if (registrar->hook_runs)
        return true;
    /* Nothing is known against the content. */
    trial->after_due = false;
    log_error("registry: the hook after a switch: %s", err.text);
    report_event(registrar, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, "", NULL,
                 "the hook after the switch: %s", err.text);
    return false;
}
