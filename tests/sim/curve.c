/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/curve.h"

#include "tests/world/results.h"

#include <math.h>

static const int64_t hour_ms = 3600000;
static const double day_ms = 24 * 3600000.0;

/* Flat from 9 to 18, twice as busy from 18 to 21, closed otherwise; restaurants have half of their
 * day at 12 to 14 and 18 to 20, and the rest from 10 to 22. */
#define FLAT (24.0 / 15)
#define PEAK (24.0 * 0.5 / 4)
#define BETWEEN (24.0 * 0.5 / 8)
#define RETAIL_HOURS                                                                               \
    {                                                                                              \
        0, 0, 0, 0, 0, 0, 0, 0, 0, FLAT, FLAT, FLAT, FLAT, FLAT, FLAT, FLAT, FLAT, FLAT, 2 * FLAT, \
            2 * FLAT, 2 * FLAT, 0, 0, 0                                                            \
    }
static const struct curve_lane lanes[TRADES] = {
    [TRADE_IDLE] = {"idle", 0.30, RETAIL_HOURS},
    [TRADE_SHOP] = {"shop", 0.50, RETAIL_HOURS},
    [TRADE_RESTAURANT] = {"restaurant", 0.15, {0,    0,    0,       0,       0,       0,
                                               0,    0,    0,       0,       BETWEEN, BETWEEN,
                                               PEAK, PEAK, BETWEEN, BETWEEN, BETWEEN, BETWEEN,
                                               PEAK, PEAK, BETWEEN, BETWEEN, 0,       0}},
    [TRADE_RETAIL] = {"retail", 0.05, RETAIL_HOURS},
};

const struct curve_lane *curve_lane(enum curve_trade trade)
{
    return &lanes[trade];
}

static double between(struct rng *rng, double low, double high)
{
    return low + (high - low) * rng_unit(rng);
}

struct curve_till curve_draw(struct rng *rng)
{
    double shares[TRADES];
    for (size_t i = 0; i < TRADES; i++)
        shares[i] = lanes[i].share;
    enum curve_trade trade = (enum curve_trade)rng_pick(rng, shares, TRADES);
    double a_day = trade == TRADE_IDLE         ? between(rng, 0, 3)
                   : trade == TRADE_SHOP       ? rng_lognormal(rng, log(8), 1)
                   : trade == TRADE_RESTAURANT ? between(rng, 40, 120)
                                               : between(rng, 150, 400);
    return (struct curve_till){.trade = trade, .a_day = a_day};
}

static double speed_at(enum curve_trade trade, int64_t at_ms)
{
    return lanes[trade].hours[at_ms / hour_ms % 24];
}

double curve_days(enum curve_trade trade, int64_t from_ms, int64_t to_ms)
{
    double days = 0;
    while (from_ms < to_ms) {
        int64_t end_ms = from_ms - from_ms % hour_ms + hour_ms;
        end_ms = end_ms < to_ms ? end_ms : to_ms;
        days += (double)(end_ms - from_ms) * speed_at(trade, from_ms) / day_ms;
        from_ms = end_ms;
    }
    return days;
}

int64_t curve_later(enum curve_trade trade, int64_t from_ms, double days)
{
    double whole = floor(days), left_ms = (days - whole) * day_ms;
    from_ms += (int64_t)(whole * day_ms);
    for (;;) {
        double speed = speed_at(trade, from_ms);
        int64_t hour_left_ms = hour_ms - from_ms % hour_ms;
        if (speed > 0 && left_ms <= (double)hour_left_ms * speed)
            return from_ms + (int64_t)(left_ms / speed);
        left_ms -= (double)hour_left_ms * speed;
        from_ms += hour_left_ms;
    }
}

double curve_gap(const struct curve_till *till, bool first, struct rng *rng)
{
    const double sigma = results_gap.sigma;
    double mu = -log(till->a_day) - sigma * sigma / 2; /* of the mean 1 / a_day */
    return first ? rng_unit(rng) * rng_lognormal(rng, mu + sigma * sigma, sigma)
                 : rng_lognormal(rng, mu, sigma);
}
