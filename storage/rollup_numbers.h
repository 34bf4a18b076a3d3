/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_ROLLUP_NUMBERS_H
#define STORAGE_ROLLUP_NUMBERS_H

#include "storage/rollup_sums.h"

/*
 * The numbers of what sums are of (table rollup_key), as far as they are known in memory. Pure.
 */
struct rollup_number {
    struct rollup_key key; /* without bucket */
    int64_t id;
    int64_t hour; /* the last one that has sums of it, since 1970 */
};

struct rollup_numbers { /* all zero: empty */
    struct rollup_number *list;
    size_t count, room;
    uint32_t *slots;   /* place in the list + 1, by hash; 0: free */
    size_t slot_count; /* a power of two */
    uint64_t seed;
};

/* NULL: it is not known. Good until the next one is added. */
struct rollup_number *rollup_numbers_find(const struct rollup_numbers *numbers,
                                          const struct rollup_key *key);
/* One that is not known; ROLLUP_NUMBERS_MAX of them are forgotten first. */
enum { ROLLUP_NUMBERS_MAX = 65536 };
bool rollup_numbers_add(struct rollup_numbers *numbers, const struct rollup_number *number,
                        struct err *err) MUSTER_CHECK;
void rollup_numbers_forget(struct rollup_numbers *numbers); /* keeps the memory */
void rollup_numbers_done(struct rollup_numbers *numbers);

#endif
