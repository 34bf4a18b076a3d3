/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_lost.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct spool_lost *lost, const struct spool_acked *acked, uint64_t first,
                uint64_t last, enum spool_loss why)
{
    assert_true(spool_lost_add(lost, acked, first, last, why, NULL));
}

static void expect(const struct spool_lost *lost, const char *expected)
{
    char text[256] = "";
    for (size_t i = 0; i < lost->count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d-%d:%d ",
                 (int)lost->ranges[i].first, (int)lost->ranges[i].last, (int)lost->ranges[i].why);
    assert_string_equal(text, expected);
}

static void test_neighbours_join_and_reasons_stay(void **state)
{
    (void)state;
    struct spool_lost lost = {0};
    const struct spool_acked none = {0};
    add(&lost, &none, 5, 6, SPOOL_LOST_AGE);
    add(&lost, &none, 9, 9, SPOOL_LOST_QUOTA);
    add(&lost, &none, 1, 2, SPOOL_LOST_AGE);
    expect(&lost, "1-2:2 5-6:2 9-9:1 ");
    add(&lost, &none, 2, 10, SPOOL_LOST_QUOTA);
    expect(&lost, "1-2:2 3-4:1 5-6:2 7-10:1 ");
    add(&lost, &none, 1, 10, SPOOL_LOST_UNKNOWN);
    expect(&lost, "1-2:2 3-4:1 5-6:2 7-10:1 ");
    assert_int_equal(spool_lost_next_in(&lost, 11), UINT64_MAX);
    assert_int_equal(spool_lost_next_in(&lost, 0), 1);
    assert_int_equal(spool_lost_at(&lost, 4)->first, 3);
    assert_null(spool_lost_at(&lost, 11));
    spool_lost_done(&lost);
    add(&lost, &none, 1, 1, SPOOL_LOST_AGE);
    add(&lost, &none, 3, 3, SPOOL_LOST_AGE);
    add(&lost, &none, 2, 2, SPOOL_LOST_AGE);
    expect(&lost, "1-3:2 ");
    spool_lost_done(&lost);
}

static void test_what_is_receipted_stays_out(void **state)
{
    (void)state;
    struct spool_lost lost = {0};
    struct spool_acked acked = {0};
    assert_true(spool_acked_add(&acked, 3, 4, 7, NULL));
    assert_true(spool_acked_add(&acked, 8, 9, 0, NULL));
    add(&lost, &acked, 1, 9, SPOOL_LOST_DAMAGED);
    expect(&lost, "1-2:3 5-7:3 ");
    add(&lost, &acked, 3, 4, SPOOL_LOST_DAMAGED);
    expect(&lost, "1-2:3 5-7:3 ");
    assert_int_equal(spool_lost_open(&lost, &acked), 5);
    assert_true(spool_acked_add(&acked, 1, 6, 0, NULL));
    assert_int_equal(spool_lost_open(&lost, &acked), 1);
    assert_true(spool_lost_settle(&lost, &acked, NULL));
    expect(&lost, "7-7:3 ");
    assert_true(spool_acked_add(&acked, 7, 7, 5, NULL));
    assert_true(spool_lost_settle(&lost, &acked, NULL));
    expect(&lost, "7-7:3 "); /* its grace is not over */
    spool_lost_done(&lost);
    spool_acked_done(&acked);
}

enum { SEQS = 60 };

/* Against one reason for each seq. */
static void test_any_order_gives_what_an_array_gives(void **state)
{
    (void)state;
    unsigned random = 20261122;
    for (int round = 0; round < 300; round++) {
        struct spool_lost lost = {0};
        struct spool_acked acked = {0};
        int reasons[SEQS + 1] = {0};
        bool in[SEQS + 1] = {0};
        for (int i = 0; i < 12; i++) {
            uint64_t first = 1 + (uint64_t)rand_r(&random) % SEQS;
            uint64_t last = first + (uint64_t)rand_r(&random) % (SEQS - first + 1);
            int why = rand_r(&random) % SPOOL_LOSSES;
            if (why == SPOOL_HELD)
                assert_true(spool_acked_add(&acked, first, last, 5, NULL));
            else
                add(&lost, &acked, first, last, (enum spool_loss)why);
            for (uint64_t seq = first; seq <= last; seq++) {
                in[seq] = in[seq] || why == SPOOL_HELD;
                if (!in[seq] && reasons[seq] == 0)
                    reasons[seq] = why;
            }
        }
        uint64_t open = 0;
        for (uint64_t seq = 1; seq <= SEQS; seq++) {
            const struct spool_lost_range *range = spool_lost_at(&lost, seq);
            assert_int_equal(range != NULL ? (int)range->why : 0, reasons[seq]);
            open += reasons[seq] != 0 && !in[seq];
        }
        assert_int_equal(spool_lost_open(&lost, &acked), open);
        for (size_t i = 1; i < lost.count; i++)
            assert_true(lost.ranges[i].first > lost.ranges[i - 1].last + 1 ||
                        lost.ranges[i].why != lost.ranges[i - 1].why);
        spool_lost_done(&lost);
        spool_acked_done(&acked);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neighbours_join_and_reasons_stay),
        cmocka_unit_test(test_what_is_receipted_stays_out),
        cmocka_unit_test(test_any_order_gives_what_an_array_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
