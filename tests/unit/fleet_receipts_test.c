/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/receipts.h"

#include "tests/unit/random_rows.h"
#include "tests/unit/testing.h"

#include <string.h>

enum { SEQS = 600 };

/* What the stream says must be what the map says, in its shortest form. */
static void check(const struct fleetdb_stream *stream, const bool map[SEQS + 2])
{
    uint64_t seq = 1;
    while (map[seq])
        seq++;
    assert_int_equal(stream->cumulative, seq - 1);
    for (size_t i = 0; i < stream->range_count; i++) {
        while (!map[seq])
            seq++;
        assert_int_equal(stream->ranges[i].first, seq);
        while (map[seq])
            seq++;
        assert_int_equal(stream->ranges[i].last, seq - 1);
    }
    while (seq <= SEQS)
        assert_false(map[seq++]);
    for (seq = 0; seq <= SEQS; seq++)
        assert_int_equal(receipts_has(stream, seq), map[seq]);
}

static void any_order_gives_the_map(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct dice dice = {seed};
        bool map[SEQS + 2] = {false};
        struct fleetdb_stream stream = {0};
        uint64_t longest = 1 + seed % 30;
        for (int step = 0; step < 200; step++) {
            uint64_t first = 1 + dice_below(&dice, SEQS);
            uint64_t last = first + dice_below(&dice, longest);
            if (last > SEQS)
                last = SEQS;
            assert_true(receipts_add(&stream, first, last, NULL));
            memset(map + first, true, last - first + 1);
            check(&stream, map);
        }
    }
}

static void ranges_are_bounded(void **state)
{
    (void)state;
    struct fleetdb_stream stream = {0}, before;
    struct err err = {0};
    for (uint64_t i = 1; i <= FLEETDB_RANGES_MAX; i++)
        assert_true(receipts_add(&stream, 3 * i, 3 * i, NULL));
    assert_int_equal(stream.range_count, FLEETDB_RANGES_MAX);
    before = stream;
    assert_false(receipts_add(&stream, 9000, 9001, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_memory_equal(&before, &stream, sizeof before);
    /* What joins or fills still fits. */
    assert_true(receipts_add(&stream, 4, 5, NULL));
    assert_int_equal(stream.range_count, FLEETDB_RANGES_MAX - 1);
    assert_true(receipts_add(&stream, 1, 3 * FLEETDB_RANGES_MAX, NULL));
    assert_int_equal(stream.range_count, 0);
    assert_int_equal(stream.cumulative, 3 * FLEETDB_RANGES_MAX);
}

static void seqs_can_be_left_out(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct dice dice = {seed};
        bool map[SEQS + 2] = {false};
        struct fleetdb_stream stream = {0};
        assert_true(receipts_add(&stream, 1, SEQS, NULL));
        memset(map + 1, true, SEQS);
        for (int step = 0; step < 120; step++) {
            uint64_t seq = 1 + dice_below(&dice, SEQS);
            receipts_leave_out(&stream, seq);
            map[seq] = false;
            check(&stream, map);
        }
        uint64_t from = 1 + dice_below(&dice, SEQS);
        receipts_cut(&stream, from);
        memset(map + from, false, SEQS + 1 - from);
        check(&stream, map);
    }
    /* Full: what is left out may be too much, never too little. */
    struct fleetdb_stream stream = {0};
    for (uint64_t i = 1; i <= FLEETDB_RANGES_MAX; i++)
        assert_true(receipts_add(&stream, 10 * i, 10 * i + 5, NULL));
    receipts_leave_out(&stream, 13);
    assert_int_equal(stream.range_count, FLEETDB_RANGES_MAX);
    assert_true(receipts_has(&stream, 12) && receipts_has(&stream, 14));
    assert_false(receipts_has(&stream, 13));
    assert_false(receipts_has(&stream, 10 * FLEETDB_RANGES_MAX));
    receipts_leave_out(&stream, 10 * (FLEETDB_RANGES_MAX - 1) + 2);
    assert_false(receipts_has(&stream, 10 * (FLEETDB_RANGES_MAX - 1) + 3));
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct fleetdb_stream stream = {0};
    struct err err = {0};
    assert_false(receipts_add(&stream, 0, 3, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(receipts_add(&stream, 5, 4, NULL));
    assert_int_equal(stream.cumulative + stream.range_count, 0);
}

static void the_largest_numbers_fit(void **state)
{
    (void)state;
    struct fleetdb_stream stream = {0};
    assert_true(receipts_add(&stream, INT64_MAX, INT64_MAX, NULL));
    assert_true(receipts_add(&stream, 1, INT64_MAX - 1, NULL));
    assert_int_equal(stream.cumulative, INT64_MAX);
    assert_int_equal(stream.range_count, 0);
}

static void receipts_wait_for_company(void **state)
{
    (void)state;
    static const struct receipts_policy policy = {.coalesce_ms = 200, .batches = 3};
    struct receipts_wait wait = {0};
    assert_int_equal(receipts_due_ms(&wait, &policy, 5000), -1);
    receipts_owe(&wait, 1, 1000);
    assert_int_equal(receipts_due_ms(&wait, &policy, 1000), 200);
    receipts_owe(&wait, 1, 1150);
    assert_int_equal(receipts_due_ms(&wait, &policy, 1150), 50); /* counted from the first */
    assert_int_equal(receipts_due_ms(&wait, &policy, 1200), 0);
    receipts_owe(&wait, 1, 1160);
    assert_int_equal(receipts_due_ms(&wait, &policy, 1160), 0); /* enough of them */
}

static void a_device_that_pays_sets_the_pace(void **state)
{
    (void)state;
    static const struct receipts_policy policy = {.coalesce_ms = 200, .batches = 3};
    struct receipts_policy paced = receipts_paced(&policy, 3600, false);
    struct receipts_wait wait = {0};
    for (int i = 0; i < 50; i++)
        receipts_owe(&wait, 20, 1000 + i);
    assert_int_equal(receipts_due_ms(&wait, &paced, 2000), 3600 * 1000 - 1000);
    assert_int_equal(receipts_due_ms(&wait, &paced, 3601000), 0);
    /* A backlog does not stall at the end of what it may send ahead. */
    receipts_owe(&wait, RECEIPTS_PACED_RECORDS, 2000);
    assert_int_equal(receipts_due_ms(&wait, &paced, 2000), 0);
    /* A pace is no way to put the fleet off for ever. */
    paced = receipts_paced(&policy, UINT32_MAX, false);
    assert_int_equal(paced.coalesce_ms, RECEIPTS_PACE_MAX_S * INT64_C(1000));
    paced = receipts_paced(&policy, 3600, true);
    assert_int_equal(paced.coalesce_ms, 200);
    paced = receipts_paced(&policy, 0, false);
    assert_int_equal(paced.batches, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_gives_the_map),
        cmocka_unit_test(ranges_are_bounded),
        cmocka_unit_test(seqs_can_be_left_out),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(the_largest_numbers_fit),
        cmocka_unit_test(receipts_wait_for_company),
        cmocka_unit_test(a_device_that_pays_sets_the_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
