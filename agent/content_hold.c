/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/content_hold.h"

static const int64_t longest_ms = INT64_C(3600) * 1000;

int64_t content_hold_broken(struct content_hold *hold, int64_t now_ms, uint64_t random)
{
    int64_t wait_ms = hold->wait_ms == 0 ? hold->first_ms : 2 * hold->wait_ms;
    hold->wait_ms = wait_ms < longest_ms ? wait_ms : longest_ms;
    /* Many terminals have met the same message: they are not to meet it together again. */
    int64_t spread_ms = (int64_t)(random % ((uint64_t)hold->wait_ms / 4 + 1));
    hold->until_ms = now_ms + hold->wait_ms + spread_ms;
    return hold->wait_ms + spread_ms;
}

void content_hold_came(struct content_hold *hold)
{
    hold->wait_ms = 0;
    hold->until_ms = 0;
}

int64_t content_hold_left_ms(const struct content_hold *hold, int64_t now_ms)
{
    return hold->until_ms > now_ms ? hold->until_ms - now_ms : 0;
}
