/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/row_set.h"

#include "tests/unit/testing.h"

static void what_is_added_comes_out_in_order(void **state)
{
    (void)state;
    static const int64_t rows[] = {20000, 1, 63, 64, 65, 128, 1, 20000};
    static const int64_t sorted[] = {1, 63, 64, 65, 128, 20000};
    struct row_set set = {0};
    assert_int_equal(row_set_first(&set), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(row_set_add(&set, rows[i], NULL));
    for (size_t i = 0; i < sizeof sorted / sizeof *sorted; i++) {
        assert_int_equal(set.count, 6 - i);
        assert_int_equal(row_set_first(&set), sorted[i]);
        row_set_remove(&set, sorted[i]);
        row_set_remove(&set, sorted[i]);
    }
    assert_int_equal(set.count, 0);
    assert_int_equal(row_set_first(&set), 0);
    row_set_done(&set);
}

static void what_was_cleared_may_come_again(void **state)
{
    (void)state;
    struct row_set set = {0};
    row_set_clear(&set);
    assert_true(row_set_add(&set, 7, NULL));
    row_set_clear(&set);
    assert_int_equal(row_set_first(&set), 0);
    assert_true(row_set_add(&set, 9, NULL));
    assert_int_equal(row_set_first(&set), 9);
    assert_int_equal(set.count, 1);
    row_set_done(&set);
}

static void no_row_costs_more_than_a_table_has(void **state)
{
    (void)state;
    struct row_set set = {0};
    struct err err = {0};
    static const int64_t wrong[] = {0, -1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(row_set_add(&set, wrong[i], &err));
        assert_int_equal(err.code, ERR_INVALID);
        row_set_remove(&set, wrong[i]);
    }
    assert_int_equal(set.word_count, 0);
    row_set_done(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_comes_out_in_order),
        cmocka_unit_test(what_was_cleared_may_come_again),
        cmocka_unit_test(no_row_costs_more_than_a_table_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
