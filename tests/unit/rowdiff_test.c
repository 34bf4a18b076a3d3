/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rowdiff.h"

#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

static struct bytes text(const char *from)
{
    return bytes_of(from, strlen(from));
}

static void assert_diff(const char *found, const char *wanted, uint64_t only_found,
                        uint64_t only_wanted, uint64_t first)
{
    struct rowdiff diff;
    struct err err = {0};
    if (!rowdiff_make(text(found), text(wanted), &diff, &err))
        fail_msg("%s", err.text);
    assert_int_equal(diff.only_found, only_found);
    assert_int_equal(diff.only_wanted, only_wanted);
    assert_int_equal(diff.first, first);
}

static void test_rows_are_counted_on_both_sides(void **state)
{
    (void)state;
    assert_diff("a\n1\n2\n", "a\n1\n2\n", 0, 0, 0);
    assert_diff("a\n1\n2\n", "a\n1\n3\n", 1, 1, 3);
    assert_diff("a\n1\n2\n", "a\n1\n", 1, 0, 3);
    assert_diff("", "a\n1\n2\n", 0, 3, 1);
    assert_diff("b\n2\n1\n", "a\n1\n2\n", 1, 1, 1);
    assert_diff("a\n1\n1\n1\n", "a\n1\n", 2, 0, 3); /* each as often as it is there */
    assert_diff("a\n2\n1\n", "a\n1\n2\n", 0, 0, 2); /* only their order */
    assert_diff("a\r\n1\r\n", "a\n1", 0, 0, 0);     /* only the ends of lines */
}

static void test_what_is_no_table_is_compared_as_well(void **state)
{
    static const uint8_t bytes[] = {'a', '\n', 0, 0xff, '\n', '\n', 'z'};
    struct rowdiff diff;
    (void)state;
    assert_true(rowdiff_make(bytes_of(bytes, sizeof bytes), text("a\n"), &diff, NULL));
    assert_int_equal(diff.only_found, 3);
    assert_int_equal(diff.only_wanted, 0);
    assert_int_equal(diff.first, 2);
}

static void test_it_has_bounds(void **state)
{
    struct rowdiff diff;
    struct err err = {0};
    char *lines = malloc(ROWDIFF_BYTES + 1);
    (void)state;
    assert_non_null(lines);
    memset(lines, '\n', ROWDIFF_BYTES + 1);
    assert_true(rowdiff_make(bytes_of(lines, ROWDIFF_ROWS), text("a\n"), &diff, &err));
    assert_int_equal(diff.only_found, ROWDIFF_ROWS);
    assert_false(rowdiff_make(bytes_of(lines, ROWDIFF_ROWS + 1), text("a\n"), &diff, &err));
    assert_false(rowdiff_make(text("a\n"), bytes_of(lines, ROWDIFF_ROWS + 1), &diff, &err));
    memset(lines, 'x', ROWDIFF_BYTES + 1);
    assert_true(rowdiff_make(bytes_of(lines, ROWDIFF_BYTES), text("a\n"), &diff, &err));
    assert_false(rowdiff_make(bytes_of(lines, ROWDIFF_BYTES + 1), text("a\n"), &diff, &err));
    assert_int_equal(err.code, ERR_INVALID);
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_counted_on_both_sides),
        cmocka_unit_test(test_what_is_no_table_is_compared_as_well),
        cmocka_unit_test(test_it_has_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
