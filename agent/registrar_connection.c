/* SPDX-License-Identifier: Apache-2.0 */
/* What carries the connection is proved by an answer of the fleet over it. That there is none may
 * as well be the fleet's doing, or the line's: after a return it is looked for the old way. */
#include "agent/registrar_internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

enum {
    FAULTS = 2, /* so often there was an answer as soon as it had gone back: it was to blame */
    DOUBLED_MAX = 7,
    WATCH_LONGEST_MS = 24 * 3600 * 1000,
};

bool registrar_awaits_welcome(const struct registrar *registrar)
{
    const struct trial *trial = &registrar->trial;
    return trial_runs(registrar) && trial->probation.connection && !trial->probation.welcomed &&
           !trial->after_due;
}

/* The newest that was taken back, while it is not known whether that was to blame. */
static struct registry_returned *watched(struct registrar *registrar)
{
    struct registry_returns *returns = &registrar->trial.returns;
    struct registry_returned *last =
        returns->count > 0 ? &returns->returned[returns->count - 1] : NULL;
    bool is = last != NULL && last->watched && last->to == registrar->held.current.number &&
              registrar->trial.probation.generation == 0 && !registrar->trial.after_due;
    return is ? last : NULL;
}

static int64_t watch_limit(const struct registrar *registrar,
                           const struct registry_returned *returned)
{
    uint64_t doubled = returned->silences < DOUBLED_MAX ? returned->silences : DOUBLED_MAX;
    int64_t limit_ms = registrar->trial.settings.policy.welcome_ms * ((int64_t)1 << doubled);
    return limit_ms < WATCH_LONGEST_MS ? limit_ms : WATCH_LONGEST_MS;
}

/* It is tried once more, as if it had never been. */
static void try_again(struct registrar *registrar, struct registry_returned *returned,
                      const char *why)
{
    returned->again = true;
    if (sync_was_returned(&registrar->failure)) {
        registrar->failure.present = false;
        registrar->trial.forgets = true;
    }
    log_warn("registry: what carries the connection is tried again, as of generation %" PRIu64
             ": %s",
             returned->generation, why);
    report_event(registrar, MUSTER__EVENT_KIND__EVENT_APPLY, "", NULL,
                 "what carries the connection is tried again, as it was in generation %" PRIu64
                 ": %s",
                 returned->generation, why);
}

static void watch_ends(struct registrar *registrar, struct registry_returned *returned, bool heard)
{
    struct trial *trial = &registrar->trial;
    bool soon = heard && trial->watched_ms < trial->settings.policy.welcome_ms;
    returned->watched = false;
    returned->faults += soon ? 1 : 0;
    returned->silences += heard ? 0 : 1;
    trial->returns_unsaved = trial->unsaved = true;
    if (!heard)
        try_again(registrar, returned, "the fleet does not answer the old way either");
    else if (!soon || returned->faults < FAULTS)
        try_again(registrar, returned, "the fleet answers again");
    registrar_wake(registrar);
}

/* The line that stands was made before: it is made again, the way that is in force. */
static void redial(struct registrar *registrar)
{
    struct trial *trial = &registrar->trial;
    trial->redialled = true;
    trial->redialled_ms = clock_boot_ms(registrar->clock);
    if (registrar->events.redial != NULL)
        registrar->events.redial(registrar->ctx);
}

void connection_look(struct registrar *registrar, int64_t spent_ms)
{
    struct trial *trial = &registrar->trial;
    struct registry_returned *returned = watched(registrar);
    if (!registrar_awaits_welcome(registrar) && returned == NULL)
        return;
    if (!trial->redialled) {
        redial(registrar);
    } else if (returned == NULL) {
        trial->probation.waited_ms += spent_ms;
    } else {
        trial->watched_ms += spent_ms;
        if (trial->watched_ms >= watch_limit(registrar, returned))
            watch_ends(registrar, returned, false);
    }
}

int64_t connection_left(struct registrar *registrar)
{
    const struct trial *trial = &registrar->trial;
    const struct registry_returned *returned = watched(registrar);
    if (returned != NULL)
        return watch_limit(registrar, returned) - trial->watched_ms;
    return registrar_awaits_welcome(registrar)
               ? trial->settings.policy.welcome_ms - trial->probation.waited_ms
               : INT64_MAX;
}

/* One that was tried before brings along what is known of it. */
void connection_taken_back(struct registry_returns *returns, struct registry_returned *returned)
{
    returned->watched = returned->refusal == (int)MUSTER__REFUSAL__REFUSAL_PROBATION_WELCOME;
    for (size_t i = 0; i < returns->count; i++) {
        struct registry_returned *old = &returns->returned[i];
        bool same = old != returned && old->again && old->count == returned->count;
        for (size_t k = 0; same && k < old->count; k++)
            same = strcmp(old->items[k].name, returned->items[k].name) == 0 &&
                   memcmp(old->items[k].sha256, returned->items[k].sha256, 32) == 0;
        if (!same)
            continue;
        returned->faults = old->faults;
        returned->silences = old->silences;
    }
}

/* An answer to what was said before the line was made again says nothing of the way there is now.
 */
void registrar_welcomed(struct registrar *registrar, int64_t asked_ms)
{
    struct trial *trial = &registrar->trial;
    struct registry_returned *returned = watched(registrar);
    if (!trial->redialled || asked_ms < trial->redialled_ms)
        return;
    if (returned != NULL) {
        watch_ends(registrar, returned, true);
    } else if (registrar_awaits_welcome(registrar)) {
        trial->probation.welcomed = trial->unsaved = true;
        return_unneeded(registrar, MUSTER__REFUSAL__REFUSAL_PROBATION_WELCOME);
        registrar_wake(registrar);
    }
}
