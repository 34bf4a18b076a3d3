/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rollups.h"

const struct rollup rollups[ROLLUPS] = {
#define ROLLUP(id, name, table, bucket_ms, stored, own, ...)                                       \
    {name, table, bucket_ms, ROLLUP_##stored, {__VA_ARGS__}},
#include "storage/rollups.def"
#undef ROLLUP
};
