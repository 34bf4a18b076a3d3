/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/linger.h"

void linger_release(struct lingering *linger)
{
    linger->drained = linger->held = linger->urgent = false;
    linger->quiet_until_ms = 0;
}

static int64_t wait_of(const struct linger_policy *policy, enum haste haste)
{
    if (haste == HASTE_URGENT)
        return 0;
    return haste == HASTE_LINGERS ? policy->linger_ms : policy->alone_ms;
}

void linger_stored(struct lingering *linger, const struct linger_policy *policy, enum haste haste,
                   int64_t now_ms)
{
    int64_t until_ms = now_ms + wait_of(policy, haste);
    linger->urgent = linger->urgent || haste == HASTE_URGENT;
    if (linger->drained) {
        linger->drained = false;
        linger->held = true;
        linger->until_ms = until_ms;
    } else if (linger->held && until_ms < linger->until_ms) {
        linger->until_ms = until_ms;
    } /* else: what is there may go already, and takes this along */
}

bool linger_over(const struct lingering *linger, int64_t now_ms)
{
    return (!linger->held || now_ms >= linger->until_ms) && now_ms >= linger->quiet_until_ms;
}

void linger_drained(struct lingering *linger, const struct linger_policy *policy, int64_t now_ms)
{
    if (linger->urgent && !linger->drained) {
        linger->quiet_until_ms = now_ms + policy->quiet_ms;
        linger->urgent_flushes++;
    }
    linger->drained = true;
    linger->held = linger->urgent = false;
}

int64_t linger_deadline(const struct lingering *linger, int64_t now_ms)
{
    if (linger->drained || linger_over(linger, now_ms))
        return INT64_MAX;
    int64_t until_ms = linger->held ? linger->until_ms : 0;
    return until_ms > linger->quiet_until_ms ? until_ms : linger->quiet_until_ms;
}
