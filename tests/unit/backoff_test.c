/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"
#include "tests/unit/testing.h"

static void ceiling_doubles_up_to_the_maximum(void **state)
{
    static const int64_t want[] = {1000, 2000, 4000, 8000, 10000, 10000};
    struct backoff backoff = {.first_ms = 1000, .max_ms = 10000};

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_int_equal(backoff_ceiling_ms(&backoff), want[i]);
        (void)backoff_next_ms(&backoff, 0);
    }
}

static void delay_spans_zero_to_the_ceiling(void **state)
{
    struct backoff backoff = {.first_ms = 1000, .max_ms = 60000};

    (void)state;
    assert_int_equal(backoff_next_ms(&backoff, 0), 0);
    assert_int_equal(backoff_next_ms(&backoff, 2000), 2000); /* the second ceiling itself */
    assert_int_equal(backoff_next_ms(&backoff, 4001), 0);    /* one beyond the third wraps */
}

static void delays_are_spread(void **state)
{
    uint64_t random = 88172645463325252ULL; /* a fixed xorshift sequence */
    int quarter[4] = {0};

    (void)state;
    for (int i = 0; i < 4000; i++) {
        struct backoff backoff = {.first_ms = 1000, .max_ms = 1000};
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        int64_t delay = backoff_next_ms(&backoff, random);
        assert_in_range(delay, 0, 1000);
        quarter[delay * 4 / 1001]++;
    }
    for (int i = 0; i < 4; i++) {
        assert_in_range(quarter[i], 850, 1150);
    }
}

static void years_of_failures_stay_at_the_maximum(void **state)
{
    struct backoff backoff = {.first_ms = 1, .max_ms = INT64_MAX / 2};

    (void)state;
    for (int i = 0; i < 200000; i++) {
        int64_t delay = backoff_next_ms(&backoff, UINT64_MAX);
        assert_true(delay >= 0 && delay <= backoff.max_ms);
    }
    assert_int_equal(backoff_ceiling_ms(&backoff), backoff.max_ms);
}

static void reset_starts_small_again(void **state)
{
    struct backoff backoff = {.first_ms = 500, .max_ms = 60000};

    (void)state;
    for (int i = 0; i < 5; i++) {
        (void)backoff_next_ms(&backoff, 7);
    }
    assert_int_equal(backoff_ceiling_ms(&backoff), 16000);
    backoff_reset(&backoff);
    assert_int_equal(backoff_ceiling_ms(&backoff), 500);
}

static void a_spread_wait_is_between_half_and_all(void **state)
{
    (void)state;
    assert_int_equal(backoff_spread_ms(60000, 0), 30000);
    assert_int_equal(backoff_spread_ms(60000, UINT64_MAX), 60000);
    assert_in_range(backoff_spread_ms(60000, UINT64_MAX / 2), 44000, 46000);
    assert_int_equal(backoff_spread_ms(1, UINT64_MAX), 1);
    assert_int_equal(backoff_spread_ms(86400000, UINT64_MAX), 86400000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ceiling_doubles_up_to_the_maximum),
        cmocka_unit_test(delay_spans_zero_to_the_ceiling),
        cmocka_unit_test(delays_are_spread),
        cmocka_unit_test(years_of_failures_stay_at_the_maximum),
        cmocka_unit_test(a_spread_wait_is_between_half_and_all),
        cmocka_unit_test(reset_starts_small_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
