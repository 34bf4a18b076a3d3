/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ACTION_H
#define AGENT_ACTION_H

#include "base/err.h"
#include "proto/desired.pb-c.h"
#include "proto/limits.h"

#include <stdint.h>

/* One action of a manifest. */
struct action {
    char id[LIMIT_ACTION_ID_CHARS + 1];
    Muster__ActionKind kind; /* perhaps one that is not known here */
    int64_t expires_ms;      /* fleet time; 0: never */
    uint64_t limit_bytes;
    uint64_t since_epoch, since_version; /* of the first manifest that named it; 0: not said */
    char note[LIMIT_ACTION_NOTE_BYTES + 1];
    bool has_digest; /* apply: of the generation that it is about */
    uint8_t digest[32];
};

struct action_list {
    size_t count;
    struct action actions[LIMIT_MANIFEST_ACTIONS];
};

/* All that the manifest has, or none: more than fit, an id that is none, or one twice, is refused
 * with its reason. */
bool action_list_read(const Muster__Manifest *manifest, struct action_list *ret_list,
                      struct err *err) MUSTER_CHECK;

#endif
