/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/mixed.h"

#include "tests/unit/random_rows.h"
#include "tests/unit/testing.h"

static void hours_mix_minutes(void **state)
{
    (void)state;
    struct mixed mixed = {0};
    assert_true(mixed_put(&mixed, 24, 23)); /* the last that is taken comes first */
    assert_true(mixed_put(&mixed, 60, 59));
    assert_int_equal(mixed.length, 2);
    assert_int_equal(mixed.bytes[0] | mixed.bytes[1] << 8, 24 * 60 - 1);
    assert_int_equal(mixed_take(&mixed, 60), 59);
    assert_int_equal(mixed_take(&mixed, 24), 23);
    assert_int_equal(mixed.length, 0);
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    struct dice dice = {.state = 20260101};
    for (size_t round = 0; round < 2000; round++) {
        uint64_t divisors[24], remainders[24];
        size_t count = 1 + dice_below(&dice, 24);
        struct mixed mixed = {0};
        for (size_t i = 0; i < count; i++) {
            divisors[i] = 1 + dice_below(&dice, MIXED_DIVISOR_MAX);
            divisors[i] = dice_below(&dice, 3) == 0 ? MIXED_DIVISOR_MAX : divisors[i];
            remainders[i] =
                dice_below(&dice, 3) == 0 ? divisors[i] - 1 : dice_below(&dice, divisors[i]);
        }
        for (size_t i = count; i-- > 0;)
            assert_true(mixed_put(&mixed, divisors[i], remainders[i]));
        for (size_t i = 0; i < count; i++)
            assert_int_equal(mixed_take(&mixed, divisors[i]), remainders[i]);
        assert_int_equal(mixed.length, 0);
    }
}

static void there_is_an_end_to_it(void **state)
{
    (void)state;
    struct mixed mixed = {0};
    for (size_t i = 0; i < MIXED_BYTES / 4; i++)
        assert_true(mixed_put(&mixed, MIXED_DIVISOR_MAX, MIXED_DIVISOR_MAX - 1));
    assert_int_equal(mixed.length, MIXED_BYTES);
    assert_false(mixed_put(&mixed, 2, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hours_mix_minutes),
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(there_is_an_end_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
