/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ROWDIFF_H
#define AGENT_ROWDIFF_H

#include "base/buf.h"
#include "proto/limits.h"

/*
 * How two tables differ, as numbers that can be told of any content: no byte of a row leaves. Rows
 * are whole lines, whatever they end with, and each counts as often as it is there. Pure.
 */
enum { ROWDIFF_BYTES = 4 * 1024 * 1024, ROWDIFF_ROWS = LIMIT_COMPARED_ROWS }; /* of each */

struct rowdiff {
    uint64_t only_found, only_wanted;
    uint64_t first; /* the first line that is another, the header is line 1; 0: none is */
};

/* ERR_INVALID: one of them has more than that. The bytes need be no table at all. */
bool rowdiff_make(struct bytes found, struct bytes wanted, struct rowdiff *ret_diff,
                  struct err *err) MUSTER_CHECK;

#endif
