/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_WILSON_H
#define FLEET_WILSON_H

#include <stdint.h>

/* How far a share that was seen may be from the true one: Wilson's score interval (E. B. Wilson,
 * 1927), 95 %, which says something sensible of few and of none. Pure. */
struct wilson {
    double low, high; /* 0..1 */
};
/* `hits` of `tries`; of no tries anything may be true. */
struct wilson wilson_95(int64_t hits, int64_t tries);

/* What two shares say beside each other. */
enum wilson_verdict {
    WILSON_UNSURE, /* the intervals overlap: not enough evidence */
    WILSON_MORE,
    WILSON_LESS,
};
enum wilson_verdict wilson_beside(struct wilson one, struct wilson other);

#endif
