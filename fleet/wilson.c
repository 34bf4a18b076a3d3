/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/wilson.h"

#include <math.h>

static const double z = 1.959963984540054; /* of 97.5 % of the normal distribution */

static double within(double share)
{
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

struct wilson wilson_95(int64_t hits, int64_t tries)
{
    if (tries <= 0)
        return (struct wilson){0, 1};
    double n = (double)tries, share = within((double)hits / n);
    double middle = (share + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n));
    /* Rounding must not take a share that is none, or all, out of its own interval. */
    return (struct wilson){.low = hits <= 0 ? 0 : within(middle - half),
                           .high = hits >= tries ? 1 : within(middle + half)};
}

enum wilson_verdict wilson_beside(struct wilson one, struct wilson other)
{
    if (one.low > other.high)
        return WILSON_MORE;
    return one.high < other.low ? WILSON_LESS : WILSON_UNSURE;
}
