/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_RANDOM_ROWS_H
#define TESTS_UNIT_RANDOM_ROWS_H

#include "proto/batch.h"

/* Numbers that are the same on every machine for the same seed (xorshift64*). */
struct dice {
    uint64_t state; /* the seed, not 0 */
};
uint64_t dice_next(struct dice *dice);
/* 0 .. below - 1 */
uint64_t dice_below(struct dice *dice, uint64_t below);

/* `count` rows of a lane in which each field is, over the rows, absent, constant, sparse, rising
 * or wild, so that every way a column can travel comes up. They live in `arena`. */
void random_rows(struct dice *dice, Muster__Lane lane, size_t count, struct arena *arena,
                 struct lane_rows *ret_rows);

/* Whether both hold the same records: compared as packed messages. */
bool same_rows(const struct lane_rows *a, const struct lane_rows *b);

#endif
