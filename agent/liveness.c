/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/liveness.h"

#include <inttypes.h>
#include <stdio.h>

static const int64_t longest_ms = INT64_C(24) * 3600 * 1000; /* between two steps */

void liveness_init(struct liveness *liveness, int64_t patience_ms)
{
    *liveness = (struct liveness){.patience_ms = patience_ms, .next_ms = patience_ms};
}

static bool owed(const struct liveness_sight *sight)
{
    return sight->connected && (!sight->welcomed || sight->outstanding);
}

static void set_back(struct liveness *liveness)
{
    liveness->stalled_ms = 0;
    liveness->next_ms = liveness->patience_ms;
    liveness->steps = 0;
}

static enum liveness_step next_step(struct liveness *liveness)
{
    int64_t wait_ms = liveness->stalled_ms;
    liveness->next_ms = liveness->stalled_ms + (wait_ms < longest_ms ? wait_ms : longest_ms);
    switch (liveness->steps++) {
    case 0:
        return LIVENESS_SEND_AGAIN;
    case 1:
        return LIVENESS_RELINK;
    default:
        return liveness->ever ? LIVENESS_GIVE_UP : LIVENESS_RELINK;
    }
}

/* Time in which nothing was owed, or the terminal was offline, or asleep, does not count. */
enum liveness_step liveness_look(struct liveness *liveness, const struct liveness_sight *sight,
                                 int64_t now_ms)
{
    bool moved = sight->progress != liveness->progress;
    int64_t passed_ms = liveness->looked_ms != 0 ? now_ms - liveness->looked_ms : 0;
    bool counts = liveness->owed && owed(sight) && passed_ms > 0;
    liveness->looked_ms = now_ms;
    liveness->owed = owed(sight);
    liveness->progress = sight->progress;
    liveness->ever = liveness->ever || moved;
    if (moved || (sight->connected && !liveness->owed)) {
        set_back(liveness);
        return LIVENESS_GOES_ON;
    }
    if (counts)
        liveness->stalled_ms +=
            passed_ms < liveness->patience_ms ? passed_ms : liveness->patience_ms;
    return liveness->stalled_ms >= liveness->next_ms ? next_step(liveness) : LIVENESS_GOES_ON;
}

static const char *what_lacks(const struct liveness *liveness, const struct liveness_sight *sight)
{
    if (!sight->joined)
        return "muster-link is not there";
    if (!sight->connected)
        return sight->offline;
    if (!sight->welcomed)
        return "the fleet has not answered on this connection";
    return liveness->stalled_ms >= liveness->patience_ms / 2 ? "what was sent is not receipted"
                                                             : NULL;
}

bool liveness_tell(const struct liveness *liveness, const struct liveness_sight *sight, char *why,
                   size_t size)
{
    char stalled[64] = "";
    if (liveness->stalled_ms > 0)
        (void)snprintf(stalled, sizeof stalled, ", no progress for %" PRId64 " s",
                       liveness->stalled_ms / 1000);
    if (sight->fault != NULL) {
        (void)snprintf(why, size, "records cannot be stored: %s", sight->fault);
        return false;
    }
    const char *lacks = what_lacks(liveness, sight);
    if (lacks == NULL) {
        (void)snprintf(why, size, "records are stored and delivered, %" PRIu64 " on their way",
                       sight->waiting);
        return true;
    }
    (void)snprintf(why, size, "%s; %" PRIu64 " records wait%s", lacks, sight->waiting, stalled);
    return false;
}
