/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_RETAIL_H
#define TESTS_WORLD_RETAIL_H

#include "tests/world/results.h"

/* The results of one retail lane over the real tables: what most figures are measured in. */
struct retail {
    struct ranges ranges;
    struct ca_keys ca_keys;
    struct results *results;
};

struct retail_settings {
    const char *routing; /* path of the BIN table */
    const char *ca_keys; /* path of the CA keys */
    uint64_t world_seed; /* as in struct deck_settings; 0: the same as `seed` */
    uint64_t seed;
    int64_t start_wall_ms; /* 0: 2026-01-01 UTC */
};

/* `retail` stays where it is as long as it is open, and is all zero before. */
bool retail_open(struct retail *retail, const struct retail_settings *settings,
                 struct err *err) MUSTER_CHECK;
/* Also after an opening that failed. */
void retail_close(struct retail *retail);

#endif
