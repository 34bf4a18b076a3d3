/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_ENTROPY_H
#define TESTS_WORLD_ENTROPY_H

#include "tests/world/results.h"

#include <stdio.h>

/*
 * How few bits a result can take: the entropy of what results_next draws, field by field, each
 * given the fields before it, computed from the distributions. Times are discretised at 1 ms by
 * the differential entropy of the log-normal. The idempotency key is left out.
 */
struct entropy_field {
    const char *name;
    double bits; /* a record */
    const char *why;
};

enum { ENTROPY_MAX_FIELDS = 40 };

/* Returns how many fields there are. */
size_t entropy_of_results(const struct results *results,
                          struct entropy_field ret_fields[ENTROPY_MAX_FIELDS]);
double entropy_sum(const struct entropy_field *fields, size_t count);
void entropy_print(const struct entropy_field *fields, size_t count, FILE *out);

#endif
