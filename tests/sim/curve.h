/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_CURVE_H
#define TESTS_SIM_CURVE_H

#include "tests/world/rng.h"

#include <stdbool.h>

/*
 * How busy the tills of a fleet are, and when: the lanes of WORLD.md. A till's own time runs fast
 * in busy hours and stands still when it is closed, as much in a day as the day has; times between
 * results are log-normal in it. So a till makes as many results a day as it is drawn to, and the
 * fleet's day has its peaks. Pure. Times are milliseconds since some midnight.
 */
enum curve_trade { TRADE_IDLE, TRADE_SHOP, TRADE_RESTAURANT, TRADE_RETAIL, TRADES };

struct curve_lane {
    const char *name;
    double share;     /* of the fleet */
    double hours[24]; /* how fast its own time runs; 1 on average over the day */
};
const struct curve_lane *curve_lane(enum curve_trade trade);

struct curve_till {
    enum curve_trade trade;
    double a_day; /* results, on average */
};
struct curve_till curve_draw(struct rng *rng);

/* Days of its own time between two moments. */
double curve_days(enum curve_trade trade, int64_t from_ms, int64_t to_ms);
/* When so many days of its own time have passed since then. */
int64_t curve_later(enum curve_trade trade, int64_t from_ms, double days);

/* To the next result, in days of its own time; `first`: from a moment in the middle of nowhere,
 * which long gaps hold more of (the stationary renewal process). */
double curve_gap(const struct curve_till *till, bool first, struct rng *rng);

#endif
