/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_ROLLUPS_H
#define STORAGE_ROLLUPS_H

#include "storage/rollup_sums.h"

/* For the fleetdb files that write and read the sums of rollups.def. */

/* What a rollup may have as a column of its own. */
enum rollup_column {
    ROLLUP_NONE,
    ROLLUP_ACQUIRER,
    ROLLUP_SCHEME,
    ROLLUP_ENTRY,
    ROLLUP_STANDING,
    ROLLUP_CARRIED,
    ROLLUP_SOFTWARE,
    ROLLUP_ISSUER,     /* text */
    ROLLUP_GENERATION, /* bytes */
};

enum rollup_id {
#define ROLLUP(id, ...) ROLLUP_##id,
#include "storage/rollups.def"
#undef ROLLUP
    ROLLUPS,
};

enum rollup_stored { ROLLUP_KEYED, ROLLUP_WIDE };

struct rollup {
    const char *name, *table;
    int64_t bucket_ms;
    enum rollup_stored stored;
    enum rollup_column own[ROLLUP_OWN_MAX];
};
extern const struct rollup rollups[ROLLUPS];

/* The row of a keyed one: its bucket, and the number of what it is of. In SQL: */
#define ROLLUP_BUCKET_BITS "30"
static const int64_t rollup_numbers_max = INT64_C(1) << 30;

/* Where buckets r.bucket from :from until before :to are, of one that is so stored. */
#define ROLLUP_BETWEEN_KEYED                                                                       \
    "r.id >= :from << " ROLLUP_BUCKET_BITS " AND r.id < :to << " ROLLUP_BUCKET_BITS
#define ROLLUP_BETWEEN_WIDE "r.bucket >= :from AND r.bucket < :to"

#endif
