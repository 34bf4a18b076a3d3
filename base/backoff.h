/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <stdint.h>

/*
 * Exponential back-off with full jitter: the n-th delay is uniform between 0 and the smaller of
 * max_ms and first_ms * 2^n, so that many clients that lost the same server come back spread out.
 * Pure: the caller brings the randomness and owns the timer.
 */
struct backoff {
    int64_t first_ms, max_ms; /* both > 0 */
    unsigned failures;        /* since the last reset */
};

/* The upper bound of the next delay. */
int64_t backoff_ceiling_ms(const struct backoff *backoff);
/* Counts a failure and gives the delay; `random` is 64 uniform bits. */
int64_t backoff_next_ms(struct backoff *backoff, uint64_t random);
/* For a wait that must not be short: uniform between half of it and all of it. */
int64_t backoff_spread_ms(int64_t wait_ms, uint64_t random);
/* After proven success only: a server that accepts and hangs up must not reset it. */
void backoff_reset(struct backoff *backoff);

#endif
