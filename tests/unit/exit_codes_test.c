/* SPDX-License-Identifier: Apache-2.0 */
#include "base/exit_codes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void each_error_has_its_exit_code(void **state)
{
    (void)state;
    static const int expected[] = {
        [ERR_NONE] = 0,      [ERR_INVALID] = 3,   [ERR_REFUSED] = 3, [ERR_CONFLICT] = 3,
        [ERR_NOT_FOUND] = 7, [ERR_FULL] = 6,      [ERR_TIMEOUT] = 5, [ERR_UNAVAILABLE] = 4,
        [ERR_IO] = 6,        [ERR_NO_MEMORY] = 6,
    };
    for (int code = ERR_NONE; code <= ERR_NO_MEMORY; code++)
        assert_int_equal(exit_code_of(&(struct err){.code = (enum err_code)code}), expected[code]);
}

static void numbers_are_unique_and_below_126(void **state)
{
    (void)state;
    static const int numbers[] = {
#define EXIT_CODE(name, number, meaning) number,
#include "base/exit_codes.def"
#undef EXIT_CODE
    };
    size_t count = sizeof numbers / sizeof numbers[0];
    for (size_t i = 0; i < count; i++) {
        assert_in_range(numbers[i], 0, 125); /* a shell uses the ones above itself */
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(numbers[i], numbers[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_has_its_exit_code),
        cmocka_unit_test(numbers_are_unique_and_below_126),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
