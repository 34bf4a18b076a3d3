/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/action.h"

#include "base/utf8.h"
#include "proto/action.h"
#include "proto/refusal.h"

#include <stdio.h>
#include <string.h>

static bool is_listed(const struct action_list *list, const char *id)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->actions[i].id, id) == 0)
            return true;
    return false;
}

bool action_list_read(const Muster__Manifest *manifest, struct action_list *ret_list,
                      struct err *err)
{
    struct action_list list = {0};
    if (manifest->n_actions > LIMIT_MANIFEST_ACTIONS)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
                      "%zu actions, at most %d are allowed", manifest->n_actions,
                      LIMIT_MANIFEST_ACTIONS);
    for (size_t i = 0; i < manifest->n_actions; i++) {
        const Muster__Action *from = manifest->actions[i];
        struct action *action = &list.actions[i];
        if (!action_id_valid(from->id))
            return refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID,
                          "action %zu: its id is none", i + 1);
        if (is_listed(&list, from->id))
            return refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID,
                          "action %zu: %s is there twice", i + 1, from->id);
        *action = (struct action){.kind = from->kind,
                                  .expires_ms = from->expires_ms,
                                  .limit_bytes = from->limit_bytes,
                                  .since_epoch = from->since_epoch,
                                  .since_version = from->since_version};
        memcpy(action->id, from->id, strlen(from->id) + 1);
        action->has_digest = from->generation_digest.len == sizeof action->digest;
        if (action->has_digest)
            memcpy(action->digest, from->generation_digest.data, sizeof action->digest);
        (void)snprintf(action->note, sizeof action->note, "%s", from->note);
        utf8_clean(action->note); /* which was cut, perhaps inside a letter */
        list.count = i + 1;
    }
    *ret_list = list;
    return true;
}
