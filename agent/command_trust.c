/* SPDX-License-Identifier: Apache-2.0 */
/* Of a status: which root is in force, whether what is held is proved fresh, what was refused. */
#include "agent/command.h"

#include "proto/refusal.h"

#include <inttypes.h>

enum { PROVED_CHARS = 64 };

json_t *command_trust_json(const Muster__AgentStatus *status)
{
    char reason[REFUSAL_NAME_CHARS];
    refusal_name(status->last_refusal, reason);
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:s, s:s}", "root_version",
        (json_int_t)status->root_version, "epoch", (json_int_t)status->epoch, "fresh_ms",
        (json_int_t)status->fresh_ms, "fresh_age_ms", (json_int_t)status->fresh_age_ms,
        "fleet_manifest", (json_int_t)status->fleet_manifest, "stale", status->stale, "refused",
        (json_int_t)status->state_refused, "welcomes_unasked", (json_int_t)status->welcomes_unasked,
        "last_refusal", reason, "last_refused", status->last_refused);
}

/* When it was proved, by the fleet's clock, and how long ago that is: this terminal's may be wrong.
 */
static void proved_text(const Muster__AgentStatus *status, char out[PROVED_CHARS])
{
    char when[32];
    int64_t age_s = status->fresh_age_ms / 1000;
    command_time(status->fresh_ms, when);
    (void)snprintf(out, PROVED_CHARS, "%" PRId64 " %s ago (%s)",
                   age_s < 120    ? age_s
                   : age_s < 7200 ? age_s / 60
                                  : age_s / 3600,
                   age_s < 120    ? "s"
                   : age_s < 7200 ? "min"
                                  : "h",
                   when);
}

void command_print_trust(const Muster__AgentStatus *status)
{
    char when[PROVED_CHARS], reason[REFUSAL_NAME_CHARS];
    if (status->root_version == 0) /* an agent that does not say */
        return;
    (void)printf("trust      root %" PRIu64 ", epoch %" PRIu64 "; ", status->root_version,
                 status->epoch);
    proved_text(status, when);
    if (status->stale[0] == '\0')
        (void)printf("what is held is what the fleet wants, proved %s\n", when);
    else
        (void)printf("stale: %s%s%s\n", command_plain(status->stale),
                     status->fresh_ms > 0 ? "; last proved " : "",
                     status->fresh_ms > 0 ? when : "");
    if (status->state_refused == 0)
        return;
    refusal_name(status->last_refusal, reason);
    (void)printf("refused    %" PRIu64
                 " manifests, roots, blobs and welcomes since the start; last "
                 "(%s): %s\n",
                 status->state_refused, reason, command_plain(status->last_refused));
}
