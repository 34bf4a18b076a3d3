/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_ROLLUPS_H
#define STORAGE_ROLLUPS_H

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

#endif
