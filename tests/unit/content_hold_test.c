/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/content_hold.h"
#include "tests/unit/testing.h"

static const int64_t minute_ms = 60000, hour_ms = INT64_C(3600000);

static void test_doubles_to_an_hour(void **state)
{
    (void)state;
    struct content_hold hold = {.first_ms = minute_ms};
    int64_t now_ms = 1000, expected_ms = minute_ms;
    assert_int_equal(content_hold_left_ms(&hold, now_ms), 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(content_hold_broken(&hold, now_ms, 0), expected_ms);
        assert_int_equal(content_hold_left_ms(&hold, now_ms), expected_ms);
        now_ms += expected_ms;
        assert_int_equal(content_hold_left_ms(&hold, now_ms - 1), 1);
        assert_int_equal(content_hold_left_ms(&hold, now_ms), 0);
        expected_ms = 2 * expected_ms < hour_ms ? 2 * expected_ms : hour_ms;
    }
}

static void test_terminals_come_back_apart(void **state)
{
    (void)state;
    struct content_hold one = {.first_ms = minute_ms}, other = one;
    assert_int_equal(content_hold_broken(&one, 0, 0), minute_ms);
    assert_int_equal(content_hold_broken(&other, 0, (uint64_t)minute_ms / 4), minute_ms * 5 / 4);
}

static void test_content_that_came_ends_it(void **state)
{
    (void)state;
    struct content_hold hold = {.first_ms = minute_ms};
    (void)content_hold_broken(&hold, 0, 0);
    (void)content_hold_broken(&hold, minute_ms, 0);
    content_hold_came(&hold);
    assert_int_equal(content_hold_left_ms(&hold, minute_ms), 0);
    assert_int_equal(content_hold_broken(&hold, minute_ms, 0), minute_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_to_an_hour),
        cmocka_unit_test(test_terminals_come_back_apart),
        cmocka_unit_test(test_content_that_came_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
