/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void times_are_written_in_utc(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1795351139123, "2026-11-22T12:38:59.123Z"},
        {2147483648000, "2038-01-19T03:14:08.000Z"}, /* past a 4-byte time_t */
        {4107542399999, "2100-02-28T23:59:59.999Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"}, /* 2100 has no leap day */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32];
        clock_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
    char text[32];
    clock_format(INT64_MAX, text);
    assert_int_equal(text[strlen(text) - 1], 'Z');
    clock_format(INT64_MIN, text);
    assert_int_equal(text[strlen(text) - 1], 'Z');
}

static void boot_clock_never_goes_back(void **state)
{
    (void)state;
    int64_t before = clock_boot_ms(&clock_real);
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_boot_ms(&clock_real);
        assert_true(now >= before);
        before = now;
    }
    assert_true(clock_wall_ms(&clock_real) > 1700000000000);
}

static void boot_id_is_the_same_twice(void **state)
{
    (void)state;
    uint8_t a[16] = {0}, b[16] = {0}, zero[16] = {0};
    struct err err;
    assert_true(clock_boot_id(a, &err));
    assert_true(clock_boot_id(b, &err));
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, zero, sizeof a);
}

static void random_values_differ(void **state)
{
    (void)state;
    assert_true(random_u64() != random_u64());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_in_utc),
        cmocka_unit_test(boot_clock_never_goes_back),
        cmocka_unit_test(boot_id_is_the_same_twice),
        cmocka_unit_test(random_values_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
