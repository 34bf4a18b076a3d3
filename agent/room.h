/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ROOM_H
#define AGENT_ROOM_H

#include "base/disk.h"

#include <stdbool.h>

/*
 * How a disk that is short of room is shared: results come first. What the spool may still grow by
 * stays free, its quota or half of a small disk; yet half of what is free may always be taken, so
 * that a small change reaches a terminal whose disk others have filled. Pure.
 */
struct room {
    uint64_t registry_bytes; /* that the registry may take now */
    bool results_short;      /* results have hardly any left: what can be fetched again is to go */
};

struct room room_of(const struct disk *disk, uint64_t spool_bytes, uint64_t spool_quota_bytes);

#endif
