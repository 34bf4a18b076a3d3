/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of actions as a damaged disk or another hand may leave it, its hash put right: what
 * is read is bounded, kept again it is the same, and nothing in it begins again. */
#include "agent/actions_journal.h"
#include "proto/action.h"
#include "proto/seal.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void try_entries(struct actions *actions)
{
    static const uint8_t boot[ACTIONS_BOOT_BYTES] = {1};
    const struct actions_moment moment = {.stale = "", .earliest_ms = 1, .latest_ms = 1};
    (void)actions_restart(actions, boot);
    HOLDS(actions->count <= ACTIONS_KEPT);
    for (size_t i = 0; i < actions->count; i++) {
        struct action action = {.kind = MUSTER__ACTION_KIND__ACTION_REBOOT};
        memcpy(action.id, actions->entries[i].id, sizeof action.id);
        HOLDS(action_id_valid(action.id));
        HOLDS(action_is_over((int)actions->entries[i].step));
        HOLDS(actions_judge(actions, &action, &moment).verdict == ACTIONS_OVER);
        HOLDS(!actions_mark(actions, &action, MUSTER__ACTION_STEP__ACTION_STEP_STARTED, boot, "",
                            NULL));
    }
    struct action another = {.id = "one-more", .since_version = UINT64_MAX};
    if (actions_find(actions, another.id) == NULL)
        HOLDS(actions_mark(actions, &another, MUSTER__ACTION_STEP__ACTION_STEP_STARTED, boot, "",
                           NULL));
    HOLDS(actions->count > 0 && actions->count <= ACTIONS_KEPT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct actions actions = {0};
    struct buf file = {0};
    struct err err = {0};
    uint8_t digest[32];
    HOLDS(size < 32 || !actions_journal_take(bytes_of(data, size), &actions, NULL) ||
          actions.count <= ACTIONS_KEPT);
    actions_done(&actions);
    sha256(bytes_of(data, size), digest);
    HOLDS(buf_append(&file, digest, sizeof digest, NULL) && buf_append(&file, data, size, NULL));
    if (actions_journal_take(buf_bytes(&file), &actions, &err))
        try_entries(&actions);
    else
        HOLDS(err.code != ERR_NONE && err.text[0] && actions.entries == NULL);
    actions_done(&actions);
    buf_done(&file);
    return 0;
}
