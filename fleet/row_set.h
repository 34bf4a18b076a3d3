/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_ROW_SET_H
#define FLEET_ROW_SET_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* A set of row numbers from 1, which a table gives out densely: one bit for each, up to the highest
 * that was ever added. Zero-initialised is empty. */
struct row_set {
    uint64_t *words;
    size_t word_count;
    size_t count; /* of its members */
};

bool row_set_add(struct row_set *set, int64_t row, struct err *err) MUSTER_CHECK;
void row_set_remove(struct row_set *set, int64_t row);
void row_set_clear(struct row_set *set);
/* The lowest member; 0: it is empty. */
int64_t row_set_first(const struct row_set *set);
void row_set_done(struct row_set *set);

#endif
