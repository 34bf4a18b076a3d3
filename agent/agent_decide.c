/* SPDX-License-Identifier: Apache-2.0 */
/* What waits by itself, and what a person puts in force all the same: just that at which he has
 * looked. */
#include "agent/agent_parts.h"

#include <string.h>

bool agent_list_placings(const struct agent *agent, struct arena *arena,
                         Muster__Placing ***ret_list, size_t *ret_count, struct err *err)
{
    size_t count = 0;
    Muster__Placing *package = NULL;
    Muster__Placing **list = arena_alloc(arena, (KEYS_SLOTS + 1) * sizeof *list);
    if (list == NULL ||
        (agent->keyring != NULL && !keyring_placings(agent->keyring, arena, list, &count)) ||
        (agent->installer != NULL && !installer_placing(agent->installer, arena, &package)))
        return err_set(err, ERR_NO_MEMORY, "no memory for what waits");
    if (package != NULL)
        list[count++] = package;
    *ret_list = list;
    *ret_count = count;
    return true;
}

static bool waits(const struct agent *agent, const ProtobufCBinaryData *digest)
{
    return digest->len == 32 &&
           ((agent->keyring != NULL && keyring_waits(agent->keyring, digest->data)) ||
            (agent->installer != NULL && installer_waits(agent->installer, digest->data)));
}

/* All of it waits still, or nothing is done. */
static bool all_wait(const struct agent *agent, const struct agent_seen *seen, struct err *err)
{
    for (size_t i = 0; i < seen->placing_count; i++)
        if (!waits(agent, &seen->placing[i]))
            return err_set(err, ERR_CONFLICT,
                           "what waits is another key or package since: see `muster plan`, and "
                           "decide again");
    return true;
}

bool agent_decide(struct agent *agent, const struct agent_seen *seen, const char *who,
                  struct err *err)
{
    if (!all_wait(agent, seen, err))
        return false;
    if ((seen->generation.length > 0 || seen->placing_count == 0) &&
        !registrar_decide(agent->registrar, &seen->generation, who, err))
        return false;
    for (size_t i = 0; i < seen->placing_count; i++) {
        const uint8_t *digest = seen->placing[i].data;
        if (agent->keyring == NULL || !keyring_decide(agent->keyring, digest, who))
            (void)(agent->installer != NULL && installer_decide(agent->installer, digest, who));
    }
    return true;
}
