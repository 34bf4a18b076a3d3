/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_RATE_H
#define FLEET_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How often each of many may ask: a bucket of `burst` for each key, refilled with `per_second`.
 * Pure: the caller brings the time (since boot). Bounded: beyond RATE_KEYS the bucket that was used
 * least lately is given to the newcomer.
 */
enum { RATE_KEYS = 256 };
struct rate_bucket {
    int64_t key; /* 0: free */
    int64_t used_ms;
    int64_t level_milli;
};
struct rate {
    int64_t per_second, burst; /* both > 0 */
    struct rate_bucket buckets[RATE_KEYS];
};

/* `key` > 0. False: not now, but after `*ret_wait_ms`. */
bool rate_take(struct rate *rate, int64_t key, int64_t now_ms, int64_t *ret_wait_ms);

#endif
