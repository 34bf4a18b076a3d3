/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/wilson.h"

#include "tests/unit/testing.h"

#include <math.h>

static void near(double value, double expected)
{
    if (fabs(value - expected) > 0.00005)
        fail_msg("%f, not %f", value, expected);
}

/* R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3. */
static void published_intervals_come_out(void **state)
{
    static const struct {
        int64_t hits, tries;
        double low, high;
    } known[] = {{81, 263, 0.2553, 0.3662},
                 {15, 148, 0.0624, 0.1605},
                 {0, 20, 0, 0.1611},
                 {1, 29, 0.0061, 0.1718}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct wilson interval = wilson_95(known[i].hits, known[i].tries);
        near(interval.low, known[i].low);
        near(interval.high, known[i].high);
    }
}

static void of_none_anything_may_be_true(void **state)
{
    (void)state;
    near(wilson_95(0, 0).low, 0);
    near(wilson_95(0, 0).high, 1);
}

static void all_and_none_are_within(void **state)
{
    (void)state;
    for (int64_t tries = 1; tries < 3000000000; tries = tries * 3 + 1) {
        assert_true(wilson_95(0, tries).low == 0);
        assert_true(wilson_95(tries, tries).high == 1);
        assert_true(wilson_95(0, tries).high < 1 && wilson_95(tries, tries).low > 0);
    }
}

static void what_overlaps_says_nothing(void **state)
{
    (void)state;
    assert_int_equal(wilson_beside(wilson_95(2, 10), wilson_95(100, 10000)), WILSON_MORE);
    assert_int_equal(wilson_beside(wilson_95(1, 10), wilson_95(100, 1000)), WILSON_UNSURE);
    assert_int_equal(wilson_beside(wilson_95(1, 10000), wilson_95(100, 1000)), WILSON_LESS);
    assert_int_equal(wilson_beside(wilson_95(0, 0), wilson_95(1, 1000)), WILSON_UNSURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_intervals_come_out),
        cmocka_unit_test(of_none_anything_may_be_true),
        cmocka_unit_test(all_and_none_are_within),
        cmocka_unit_test(what_overlaps_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
