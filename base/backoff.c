/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"

int64_t backoff_ceiling_ms(const struct backoff *backoff)
{
    int64_t ceiling = backoff->first_ms;

    /* Doubling stops at half of the maximum, so it cannot overflow. */
    for (unsigned i = 0; i < backoff->failures; i++) {
        if (ceiling >= backoff->max_ms / 2) {
            return backoff->max_ms;
        }
        ceiling *= 2;
    }
    return ceiling < backoff->max_ms ? ceiling : backoff->max_ms;
}

int64_t backoff_next_ms(struct backoff *backoff, uint64_t random)
{
    int64_t ceiling = backoff_ceiling_ms(backoff);

    if (backoff->failures < UINT16_MAX) {
        backoff->failures++;
    }
    /* The bias of % is below 1e-8 for any delay under a day. */
    return (int64_t)(random % ((uint64_t)ceiling + 1));
}

int64_t backoff_spread_ms(int64_t wait_ms, uint64_t random)
{
    int64_t half = wait_ms / 2;
    return wait_ms - half + half * (int64_t)(random >> 32) / UINT32_MAX;
}

void backoff_reset(struct backoff *backoff)
{
    backoff->failures = 0;
}
