/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_ROLLUP_SUMS_H
#define STORAGE_ROLLUP_SUMS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What a transaction adds to the rollups, summed up in memory: many results fall into one row of a
 * sum, which is then written once. Pure.
 */
enum { ROLLUP_OWN_MAX = 4, ROLLUP_CODE_BYTES = 4, ROLLUP_TEXT_BYTES = 24, ROLLUPS_MAX = 16 };

/* One row of one rollup. Unused parts are zero: keys are compared as bytes. */
struct rollup_key {
    int64_t bucket;
    int64_t own[ROLLUP_OWN_MAX]; /* its own columns, as far as they are numbers */
    uint32_t rollup;
    uint32_t type, outcome, currency;
    uint32_t in_service;
    uint32_t text_length; /* of its own column that is none */
    uint32_t code_length;
    char code[ROLLUP_CODE_BYTES];
    char text[ROLLUP_TEXT_BYTES];
};

struct rollup_sum {
    struct rollup_key key;
    int64_t results, amount_minor; /* may be less than nothing */
    int64_t row;                   /* that it goes to, where rows have numbers; 0: not known yet */
};

struct rollup_sums { /* all zero: empty */
    struct rollup_sum *list;
    size_t count, room;
    uint32_t *slots;   /* place in the list + 1, by hash; 0: free */
    size_t slot_count; /* a power of two */
    uint64_t seed;     /* another one in each program */
    /* Of each rollup the place in the list + 1 that was added to last, 0: none. Results of a batch
     * mostly fall into the row of the one before. */
    uint32_t newest[ROLLUPS_MAX];
};

/* Keys of foreign bytes do not fall together: `seed` is another one in each program. */
uint64_t rollup_key_hash(const struct rollup_key *key, uint64_t seed);

bool rollup_sums_add(struct rollup_sums *sums, const struct rollup_key *key, int64_t results,
                     int64_t amount_minor, struct err *err) MUSTER_CHECK;
/* Puts the list in the order of the tables, without what adds nothing. Nothing may be added before
 * the next clear. */
void rollup_sums_sort(struct rollup_sums *sums);
void rollup_sums_clear(struct rollup_sums *sums); /* keeps the memory */
void rollup_sums_done(struct rollup_sums *sums);

#endif
