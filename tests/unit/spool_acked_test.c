/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_acked.h"
#include "tests/unit/testing.h"

#include <stdlib.h>

enum { SEQS = 120 };

static void add(struct spool_acked *acked, uint64_t first, uint64_t last, int64_t at_ms)
{
    assert_true(spool_acked_add(acked, first, last, at_ms, NULL));
}

static void test_ranges_fill_the_gaps_and_keep_their_times(void **state)
{
    (void)state;
    struct spool_acked acked = {0};
    add(&acked, 10, 20, 1);
    add(&acked, 30, 40, 2);
    add(&acked, 5, 35, 3);
    assert_int_equal(acked.count, 4); /* 5-9 and 21-29 are new, the others as they were */
    assert_int_equal(acked.ranges[0].first, 5);
    assert_int_equal(acked.ranges[0].last, 9);
    assert_int_equal(acked.ranges[0].at_ms, 3);
    assert_int_equal(acked.ranges[1].at_ms, 1);
    assert_int_equal(acked.ranges[2].first, 21);
    assert_int_equal(acked.ranges[3].at_ms, 2);
    assert_int_equal(spool_acked_total(&acked), 36);
    assert_int_equal(spool_acked_next_out(&acked, 1), 1);
    assert_int_equal(spool_acked_next_out(&acked, 7), 41);
    assert_int_equal(spool_acked_next_in(&acked, 1), 5);
    assert_int_equal(spool_acked_next_in(&acked, 33), 33);
    assert_true(spool_acked_next_in(&acked, 41) == UINT64_MAX);
    spool_acked_settle(&acked, 2);
    assert_int_equal(acked.ranges[1].at_ms, 0);
    assert_int_equal(acked.ranges[2].at_ms, 3);
    spool_acked_settle(&acked, 3);
    assert_int_equal(acked.count, 1);
    spool_acked_done(&acked);
}

/* Against a plain array: what is in, and since when. */
static void test_any_order_gives_the_union(void **state)
{
    (void)state;
    srand(20260101);
    for (int round = 0; round < 300; round++) {
        struct spool_acked acked = {0}, read = {0};
        int64_t since[SEQS + 2] = {0};
        for (int step = 1; step <= 12; step++) {
            uint64_t first = 1 + (uint64_t)rand() % SEQS;
            uint64_t last = first + (uint64_t)rand() % (SEQS - first + 1);
            add(&acked, first, last, step);
            for (uint64_t seq = first; seq <= last; seq++)
                since[seq] = since[seq] == 0 ? step : since[seq];
        }
        struct buf bytes = {0};
        assert_true(spool_acked_encode(&acked, &bytes, NULL));
        assert_true(spool_acked_decode(buf_bytes(&bytes), &read, NULL));
        assert_int_equal(read.count, acked.count);
        uint64_t total = 0;
        for (size_t i = 0; i < read.count; i++) {
            for (uint64_t seq = read.ranges[i].first; seq <= read.ranges[i].last; seq++, total++)
                assert_int_equal(since[seq], read.ranges[i].at_ms);
        }
        for (uint64_t seq = 1; seq <= SEQS; seq++)
            total -= since[seq] != 0 ? 1 : 0;
        assert_int_equal(total, 0);
        buf_done(&bytes);
        spool_acked_done(&read);
        spool_acked_done(&acked);
    }
}

static void test_too_many_gaps_are_left_for_later(void **state)
{
    (void)state;
    struct spool_acked acked = {0};
    for (uint64_t i = 1; i <= 2 * SPOOL_ACKED_MAX; i++)
        add(&acked, 3 * i, 3 * i, (int64_t)i);
    assert_int_equal(acked.count, SPOOL_ACKED_MAX);
    assert_int_equal(spool_acked_next_in(&acked, 1), 3);
    add(&acked, 1, 3 * SPOOL_ACKED_MAX - 1, 9999);
    assert_int_equal(spool_acked_next_out(&acked, 1), 3 * SPOOL_ACKED_MAX + 1);
    assert_in_range(acked.count, 1, SPOOL_ACKED_MAX);
    spool_acked_done(&acked);
}

static void test_a_damaged_list_is_refused(void **state)
{
    (void)state;
    static const uint8_t cut[] = {1, 2};
    static const uint8_t overlapping[] = {5, 2, 1, 0, 2, 1};
    static const uint8_t endless[] = {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1};
    struct spool_acked acked = {0};
    assert_false(spool_acked_decode(bytes_of(cut, sizeof cut), &acked, NULL));
    assert_false(spool_acked_decode(bytes_of(overlapping, sizeof overlapping), &acked, NULL));
    assert_false(spool_acked_decode(bytes_of(endless, sizeof endless), &acked, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_fill_the_gaps_and_keep_their_times),
        cmocka_unit_test(test_any_order_gives_the_union),
        cmocka_unit_test(test_too_many_gaps_are_left_for_later),
        cmocka_unit_test(test_a_damaged_list_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
