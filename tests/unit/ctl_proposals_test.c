/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_proposals.h"

#include "tests/unit/testing.h"

#include <stdint.h>

static void says(int64_t found, int64_t wanted, int64_t first, const char *expected)
{
    char text[CTL_ROWS_BYTES];
    json_t *difference = json_pack("{s:{s:I, s:I, s:I}}", "rows", "only_found", (json_int_t)found,
                                   "only_wanted", (json_int_t)wanted, "first", (json_int_t)first);
    ctl_rows_text(difference, text);
    assert_string_equal(text, expected);
    json_decref(difference);
}

static void rows_in_words(void **state)
{
    (void)state;
    says(3, 1, 2, "3 only there, 1 only wanted, from line 2");
    says(0, 1, 9, "0 only there, 1 only wanted, from line 9");
    says(0, 0, 4, "the same, in another order from line 4");
    says(0, 0, 0, "the same, other ends of lines");
}

/* The numbers come from a terminal, which may be anybody's. */
static void numbers_beyond_all_sums(void **state)
{
    (void)state;
    says(INT64_MAX, 1, 2, "9223372036854775807 only there, 1 only wanted, from line 2");
    says(INT64_MAX, INT64_MAX, INT64_MAX,
         "9223372036854775807 only there, 9223372036854775807 only wanted, from line "
         "9223372036854775807");
}

static void rows_that_nobody_compared(void **state)
{
    char text[CTL_ROWS_BYTES];
    json_t *difference = json_pack("{s:n}", "rows");
    (void)state;
    ctl_rows_text(difference, text);
    assert_string_equal(text, "not compared");
    json_decref(difference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_in_words),
        cmocka_unit_test(numbers_beyond_all_sums),
        cmocka_unit_test(rows_that_nobody_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
