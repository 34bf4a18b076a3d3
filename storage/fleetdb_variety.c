/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_rollups.h"

#include "base/clock.h"

#include <string.h>

enum { OUTCOMES_KNOWN = 5 };
static const int64_t hour_ms = 3600 * 1000;

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

/* Of no more than a word's beginning: what is longer is another one mostly. */
static uint64_t mix_bytes(uint64_t hash, struct bytes bytes)
{
    uint64_t words[ROLLUP_TEXT_BYTES / sizeof(uint64_t)] = {0};
    const size_t length = bytes.length < sizeof words ? bytes.length : sizeof words;
    if (length > 0)
        memcpy(words, bytes.data, length);
    for (size_t i = 0; i * sizeof *words < length; i++)
        hash = mix(hash, words[i]);
    return mix(hash, bytes.length);
}

/* All that sums tell results of one device apart by, but time and place. */
static uint32_t hash_of(uint64_t seed, const struct fleetdb_counted *counted)
{
    uint64_t hash = mix(seed, (uint64_t)counted->stamp.software);
    hash = mix(hash, (uint64_t)counted->acquirer << 32 | counted->scheme);
    hash = mix(hash, (uint64_t)counted->entry << 32 | counted->type);
    hash = mix(hash, (uint64_t)counted->outcome << 32 | counted->currency);
    hash = mix_bytes(mix_bytes(hash, counted->code), counted->issuer);
    return (uint32_t)(mix_bytes(hash, counted->generation) >> 32);
}

bool fleetdb_variety_look(struct fleetdb *db, int64_t device, int64_t received_ms,
                          struct fleetdb_counted *counted, struct err *err)
{
    bool beyond = false;
    if (db->variety_seed == 0)
        db->variety_seed = random_u64() | 1;
    if (!variety_look(&db->variety, device, received_ms / hour_ms,
                      hash_of(db->variety_seed, counted), &beyond, err))
        return false;
    if (beyond)
        counted->stamp.software = FLEETDB_BEYOND;
    db->folded += beyond;
    return true;
}

struct fleetdb_counted fleetdb_variety_fold(const struct fleetdb_counted *counted)
{
    return (struct fleetdb_counted){
        .at_ms = counted->at_ms,
        .stamp = counted->stamp,
        .outcome = counted->outcome <= OUTCOMES_KNOWN ? counted->outcome : 0,
        .code = bytes_of("?", 1),
        .issuer = bytes_of("?", 1),
    };
}
