/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_RECEIPTS_WORLD_H
#define TESTS_UNIT_RECEIPTS_WORLD_H

#include "agent/receipts.h"
#include "tests/unit/temp_spool.h"

/* A real spool, and a trust root with real keys for receipt and director. */
struct receipts_world {
    struct temp_spool temp;
    struct sign_key *root, *receipt, *director;
    struct trust *trust;
};

void receipts_world_open(struct receipts_world *world);
void receipts_world_close(struct receipts_world *world);

/* The envelope of a Receipt as `context`'s, signed by `key`; the caller calls buf_done. */
struct buf receipts_sealed(const Muster__Receipt *receipt, const char *domain, const char *context,
                           const struct sign_key *key);

#endif
