/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/testing.h"

#include "agent/apart.h"

#include <string.h>

enum { SEQS = 400 };

static void assert_disjoint(const struct apart *apart)
{
    assert_in_range(apart->count, 0, APART_RANGES);
    for (size_t i = 0; i < apart->count; i++) {
        const struct apart_range *a = &apart->ranges[i];
        assert_true(a->first <= a->last && a->first <= a->next && a->next <= a->last + 1);
        assert_true(a->piece > 0);
        for (size_t k = 0; k < i; k++) {
            const struct apart_range *b = &apart->ranges[k];
            assert_true(a->incarnation != b->incarnation || a->lane != b->lane ||
                        a->last < b->first || b->last < a->first);
        }
    }
}

static uint64_t below(unsigned *seed, uint64_t bound)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 8) % bound;
}

/* Whatever is added, sent and receipted: nothing that was added and not settled is forgotten, and a
 * piece never grows. */
static void test_random_ranges_against_a_plain_list(void **state)
{
    (void)state;
    for (unsigned round = 1; round <= 300; round++) {
        static uint64_t piece[3][SEQS + 2]; /* 0: not apart */
        struct apart apart = {0};
        unsigned seed = round;
        memset(piece, 0, sizeof piece);
        for (int step = 0; step < 120; step++) {
            int lane = 1 + (int)below(&seed, 2);
            uint64_t first = 1 + below(&seed, SEQS - 20);
            uint64_t last = first + below(&seed, 20);
            uint64_t size = 1 + below(&seed, 9);
            switch (below(&seed, 8)) {
            case 0:
                first = below(&seed, 40);
                apart_settled(&apart, 7, lane, first, SEQS);
                for (uint64_t seq = 0; seq < first; seq++)
                    piece[lane][seq] = 0;
                break;
            case 1:
                apart_moved(&apart, 7, lane, first, last + 1, true);
                break;
            default:
                apart_add(&apart, 7, lane, first, last, size);
                for (uint64_t seq = first; seq <= last; seq++)
                    if (piece[lane][seq] == 0 || size < piece[lane][seq])
                        piece[lane][seq] = size;
            }
            assert_disjoint(&apart);
        }
        for (int lane = 1; lane <= 2; lane++) {
            for (uint64_t seq = 1; seq <= SEQS; seq++) {
                const struct apart_range *range = apart_at(&apart, 7, lane, seq);
                if (piece[lane][seq] > 0)
                    assert_true(range != NULL && range->piece <= piece[lane][seq]);
            }
        }
    }
}

static void test_with_more_streams_than_room_the_newest_stay(void **state)
{
    (void)state;
    struct apart apart = {0};
    for (uint64_t i = 1; i <= 3 * APART_RANGES; i++)
        apart_add(&apart, i, 1, 5, 9, 2);
    assert_disjoint(&apart);
    assert_non_null(apart_at(&apart, 3 * APART_RANGES, 1, 7));
    assert_true(apart_above(&apart, 3 * APART_RANGES, 1, 1) == 5);
    assert_true(apart_above(&apart, 3 * APART_RANGES, 1, 5) == UINT64_MAX);
}

static void test_what_need_not_be_sent_leaves(void **state)
{
    (void)state;
    struct apart apart = {0};
    size_t waiting = 0;
    apart_add(&apart, 7, 1, 5, 9, 2);
    apart_moved(&apart, 7, 1, 5, 8, false);
    assert_null(apart_at(&apart, 7, 1, 7));
    assert_non_null(apart_at(&apart, 7, 1, 8));
    assert_false(apart_outstanding(&apart));
    apart_moved(&apart, 7, 1, 8, 10, true);
    assert_true(apart_outstanding(&apart));
    assert_int_equal(apart_overdue(&apart, &waiting), 0);
    assert_int_equal(waiting, 1);
    assert_int_equal(apart_overdue(&apart, &waiting), 1); /* its receipt did not come */
    apart_moved(&apart, 7, 1, 8, 12, false);
    assert_int_equal(apart.count, 0);
}

static void test_what_was_never_given_is_left_out(void **state)
{
    (void)state;
    struct apart apart = {0};
    apart_add(&apart, 7, 1, 5, UINT64_MAX - 1, 2);
    apart_add(&apart, 7, 2, 90, 95, 2);
    apart_settled(&apart, 7, 1, 1, 20);
    apart_settled(&apart, 7, 2, 1, 20);
    assert_non_null(apart_at(&apart, 7, 1, 20));
    assert_null(apart_at(&apart, 7, 1, 21));
    assert_null(apart_at(&apart, 7, 2, 90));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_ranges_against_a_plain_list),
        cmocka_unit_test(test_with_more_streams_than_room_the_newest_stay),
        cmocka_unit_test(test_what_need_not_be_sent_leaves),
        cmocka_unit_test(test_what_was_never_given_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
