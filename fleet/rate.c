/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/rate.h"

enum { ONE_MILLI = 1000 };

static struct rate_bucket *bucket_of(struct rate *rate, int64_t key, int64_t now_ms)
{
    struct rate_bucket *oldest = &rate->buckets[0];
    for (size_t i = 0; i < RATE_KEYS; i++) {
        struct rate_bucket *bucket = &rate->buckets[i];
        if (bucket->key == key)
            return bucket;
        if (bucket->key == 0 || (oldest->key != 0 && bucket->used_ms < oldest->used_ms))
            oldest = bucket;
    }
    *oldest =
        (struct rate_bucket){.key = key, .used_ms = now_ms, .level_milli = rate->burst * ONE_MILLI};
    return oldest;
}

bool rate_take(struct rate *rate, int64_t key, int64_t now_ms, int64_t *ret_wait_ms)
{
    struct rate_bucket *bucket = bucket_of(rate, key, now_ms);
    const int64_t full = rate->burst * ONE_MILLI;
    const int64_t passed_ms = now_ms > bucket->used_ms ? now_ms - bucket->used_ms : 0;
    /* After so long it is full whatever was in it; further the product might overflow. */
    if (passed_ms >= full / rate->per_second + 1)
        bucket->level_milli = full;
    else
        bucket->level_milli += passed_ms * rate->per_second;
    if (bucket->level_milli > full)
        bucket->level_milli = full;
    bucket->used_ms = now_ms;
    if (bucket->level_milli >= ONE_MILLI) {
        bucket->level_milli -= ONE_MILLI;
        return true;
    }
    *ret_wait_ms = (ONE_MILLI - bucket->level_milli + rate->per_second - 1) / rate->per_second;
    return false;
}
