/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/rate.h"

#include "tests/unit/testing.h"

static void a_burst_and_then_its_pace(void **state)
{
    struct rate rate = {.per_second = 10, .burst = 3};
    int64_t wait_ms = 0;
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(rate_take(&rate, 1, 1000, &wait_ms));
    assert_false(rate_take(&rate, 1, 1000, &wait_ms));
    assert_int_equal(wait_ms, 100);
    assert_false(rate_take(&rate, 1, 1099, &wait_ms));
    assert_int_equal(wait_ms, 1);
    assert_true(rate_take(&rate, 1, 1100, &wait_ms));
    assert_false(rate_take(&rate, 1, 1100, &wait_ms));
}

/* Over a long time nobody gets more than his pace and one burst. */
static void the_pace_holds(void **state)
{
    struct rate rate = {.per_second = 7, .burst = 20};
    int64_t wait_ms = 0, taken = 0;
    (void)state;
    for (int64_t now_ms = 0; now_ms < 100000; now_ms += 3)
        taken += rate_take(&rate, 5, now_ms, &wait_ms);
    assert_true(taken <= 20 + 700);
    assert_true(taken >= 700);
}

static void one_takes_nothing_from_another(void **state)
{
    struct rate rate = {.per_second = 1, .burst = 1};
    int64_t wait_ms = 0;
    (void)state;
    assert_true(rate_take(&rate, 1, 0, &wait_ms));
    assert_false(rate_take(&rate, 1, 0, &wait_ms));
    assert_true(rate_take(&rate, 2, 0, &wait_ms));
    assert_true(rate_take(&rate, INT64_MAX, 0, &wait_ms));
}

static void silence_saves_up_a_burst_and_no_more(void **state)
{
    struct rate rate = {.per_second = 100000, .burst = 400000};
    int64_t wait_ms = 0, taken = 0;
    (void)state;
    assert_true(rate_take(&rate, 1, 0, &wait_ms));
    while (rate_take(&rate, 1, INT64_MAX / 2, &wait_ms))
        taken++;
    assert_int_equal(taken, 400000);
    assert_false(rate_take(&rate, 1, 5, &wait_ms)); /* a clock that goes back gives nothing */
}

/* Who comes when all are taken gets that of whom nobody has heard for the longest. */
static void there_is_room_for_so_many(void **state)
{
    struct rate rate = {.per_second = 1, .burst = 1};
    int64_t wait_ms = 0;
    (void)state;
    for (int64_t key = 1; key <= RATE_KEYS; key++)
        assert_true(rate_take(&rate, key, key, &wait_ms));
    assert_true(rate_take(&rate, RATE_KEYS + 1, RATE_KEYS + 1, &wait_ms));
    assert_false(rate_take(&rate, RATE_KEYS, RATE_KEYS + 1, &wait_ms));
    assert_false(rate_take(&rate, 2, RATE_KEYS + 1, &wait_ms));
    assert_true(rate_take(&rate, 1, RATE_KEYS + 1, &wait_ms)); /* his was given away */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_and_then_its_pace),
        cmocka_unit_test(the_pace_holds),
        cmocka_unit_test(one_takes_nothing_from_another),
        cmocka_unit_test(silence_saves_up_a_burst_and_no_more),
        cmocka_unit_test(there_is_room_for_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
