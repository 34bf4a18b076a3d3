/* SPDX-License-Identifier: Apache-2.0 */
/* What each result says of a generation: which one it was made with, and once. */
#include "agent/registrar_internal.h"

#include <string.h>

enum {
    DIGEST_BYTES = REGISTRY_SHORT_BYTES, /* of a generation's digest, in each result */
    /* A result may be handed over after the transaction, which held up the switch: the agent hears
     * of its end, and then of what came of it. */
    SPENT_AT_MOST_MS = 10 * 60 * 1000,
};

bool registrar_in_force_at(const struct registrar *registrar, int64_t boot_ms,
                           const uint8_t *claimed, uint8_t *ret_generation)
{
    const struct trial *trial = &registrar->trial;
    bool late = claimed != NULL && trial->has_before && trial->since_ms > 0 &&
                boot_ms - trial->since_ms < SPENT_AT_MOST_MS &&
                memcmp(claimed, trial->before, DIGEST_BYTES) == 0;
    if (registrar->held.current.number == 0 || boot_ms <= 0)
        return false;
    if (boot_ms >= trial->since_ms && !late)
        memcpy(ret_generation, registrar->held.current.digest, DIGEST_BYTES);
    else if (trial->has_before && boot_ms >= trial->before_since_ms)
        memcpy(ret_generation, trial->before, DIGEST_BYTES);
    else
        return false;
    return true;
}

void registrar_recount(struct registrar *registrar, const struct registrar_result *result)
{
    struct trial *trial = &registrar->trial;
    const bool suspect = result->why != SUSPECT_NOT;
    if (!trial_is_on(trial) || registrar->held.current.number == 0)
        return;
    if (memcmp(result->generation, trial_good(registrar)->digest, DIGEST_BYTES) == 0) {
        probation_track_add(&trial->probation.before, suspect);
        trial->unsaved_results++;
    } else if (trial->probation.generation != 0 &&
               memcmp(result->generation, registrar->held.current.digest, DIGEST_BYTES) == 0) {
        const struct probation_result counted = {.suspect = suspect,
                                                 .suspect_now = result->suspect_now,
                                                 .group = (unsigned)result->why,
                                                 .reader = result->why == SUSPECT_READER,
                                                 .token = result->token,
                                                 .wall_ms = result->wall_ms};
        probation_result(&trial->probation, &counted);
        trial->unsaved = true;
    }
}

void registrar_result(struct registrar *registrar, const struct registrar_result *result)
{
    struct trial *trial = &registrar->trial;
    if (result->incarnation == trial->incarnation && result->seq <= trial->seq)
        return;
    trial->incarnation = result->incarnation;
    trial->seq = result->seq;
    registrar_recount(registrar, result);
    trial_wake_to_save(registrar);
}

bool registrar_counted(const struct registrar *registrar, uint64_t *ret_incarnation,
                       uint64_t *ret_seq)
{
    *ret_incarnation = registrar->trial.incarnation;
    *ret_seq = registrar->trial.seq;
    return trial_is_on(&registrar->trial);
}

void registrar_count_from(struct registrar *registrar, uint64_t incarnation)
{
    registrar->trial.incarnation = incarnation;
    registrar->trial.seq = 0;
    trial_keep_now(registrar);
}
