/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/room.h"

static const uint64_t least_max_bytes = UINT64_C(1) << 20;

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t beyond(uint64_t bytes, uint64_t kept)
{
    return bytes > kept ? bytes - kept : 0;
}

struct room room_of(const struct disk *disk, uint64_t spool_bytes, uint64_t spool_quota_bytes)
{
    /* A spool that has its share still turns its pages over. */
    uint64_t least = smaller(least_max_bytes, disk->bytes / 16);
    uint64_t reserve = beyond(smaller(spool_quota_bytes, disk->bytes / 2), spool_bytes);
    if (reserve < least)
        reserve = least;
    uint64_t left = beyond(disk->free_bytes, reserve);
    uint64_t half = beyond(disk->free_bytes, least) / 2;
    return (struct room){.registry_bytes = left > half ? left : half,
                         .results_short = disk->free_bytes < least};
}
