/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/curve.h"

#include "tests/unit/testing.h"

#include <math.h>

enum { HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS, TILLS = 20000 };

static bool near(double value, double expected, double part)
{
    return fabs(value - expected) <= part * expected;
}

static void test_every_day_has_one_day_of_a_tills_own_time(void **state)
{
    (void)state;
    for (unsigned trade = 0; trade < TRADES; trade++) {
        assert_true(near(curve_days((enum curve_trade)trade, 0, DAY_MS), 1, 1e-9));
        assert_true(
            near(curve_days((enum curve_trade)trade, 12345678, 12345678 + 3 * DAY_MS), 3, 1e-9));
    }
}

static void test_the_peaks_are_those_of_the_world(void **state)
{
    (void)state;
    double noon = curve_days(TRADE_RETAIL, 12 * HOUR_MS, 13 * HOUR_MS);
    double evening = curve_days(TRADE_RETAIL, 19 * HOUR_MS, 20 * HOUR_MS);
    assert_true(near(evening, 2 * noon, 1e-9));
    assert_true(curve_days(TRADE_RETAIL, 21 * HOUR_MS, (24 + 9) * HOUR_MS) == 0);
    double meals = curve_days(TRADE_RESTAURANT, 12 * HOUR_MS, 14 * HOUR_MS) +
                   curve_days(TRADE_RESTAURANT, 18 * HOUR_MS, 20 * HOUR_MS);
    assert_true(near(meals, 0.5, 1e-9));
}

/* Also over the hours in which it is closed. */
static void test_later_is_the_inverse_of_days(void **state)
{
    (void)state;
    struct rng rng = rng_of(7);
    for (unsigned i = 0; i < 2000; i++) {
        enum curve_trade trade = (enum curve_trade)rng_below(&rng, TRADES);
        int64_t from_ms = (int64_t)rng_below(&rng, 3 * DAY_MS);
        double days = 1e-4 + 4 * rng_unit(&rng);
        int64_t then_ms = curve_later(trade, from_ms, days);
        assert_true(fabs(curve_days(trade, from_ms, then_ms) - days) < 1e-6);
    }
}

static void test_a_fleet_has_the_shares_and_the_traffic_of_the_world(void **state)
{
    (void)state;
    struct rng rng = rng_of(11);
    double count[TRADES] = {0}, a_day[TRADES] = {0};
    for (unsigned i = 0; i < TILLS; i++) {
        struct curve_till till = curve_draw(&rng);
        count[till.trade]++;
        a_day[till.trade] += till.a_day;
    }
    for (unsigned trade = 0; trade < TRADES; trade++)
        assert_true(near(count[trade], TILLS * curve_lane((enum curve_trade)trade)->share, 0.1));
    assert_true(near(a_day[TRADE_IDLE] / count[TRADE_IDLE], 1.5, 0.1));
    assert_true(near(a_day[TRADE_SHOP] / count[TRADE_SHOP], 8 * exp(0.5), 0.1));
    assert_true(near(a_day[TRADE_RESTAURANT] / count[TRADE_RESTAURANT], 80, 0.05));
    assert_true(near(a_day[TRADE_RETAIL] / count[TRADE_RETAIL], 275, 0.05));
}

/* From the first moment on as many as later: nobody waits for a fleet to warm up. */
static void test_as_many_results_come_as_are_expected(void **state)
{
    (void)state;
    const struct curve_till till = {.trade = TRADE_RETAIL, .a_day = 2};
    struct rng rng = rng_of(13);
    unsigned early = 0, all = 0;
    for (unsigned i = 0; i < TILLS; i++) {
        double at = curve_gap(&till, true, &rng);
        for (; at < 1; at += curve_gap(&till, false, &rng)) {
            early += at < 0.1;
            all++;
        }
    }
    assert_true(near(all, 2.0 * TILLS, 0.05));
    assert_true(near(early, 0.2 * TILLS, 0.1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_day_has_one_day_of_a_tills_own_time),
        cmocka_unit_test(test_the_peaks_are_those_of_the_world),
        cmocka_unit_test(test_later_is_the_inverse_of_days),
        cmocka_unit_test(test_a_fleet_has_the_shares_and_the_traffic_of_the_world),
        cmocka_unit_test(test_as_many_results_come_as_are_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
