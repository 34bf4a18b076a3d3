/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/owed.h"

#include "proto/limits.h"
#include "tests/unit/testing.h"

#include <stdlib.h>

static int setup(void **state)
{
    struct owed_table *table = calloc(1, sizeof *table);
    assert_non_null(table);
    owed_init(table);
    *state = table;
    return 0;
}

static int teardown(void **state)
{
    owed_done(*state);
    free(*state);
    return 0;
}

static void a_device_has_one_entry(void **state)
{
    struct owed_table *table = *state;
    struct owed *first = owed_get(table, 5, "five");
    /* Same bucket, another device. */
    struct owed *other = owed_get(table, 5 + OWED_BUCKETS, "other");
    assert_ptr_equal(owed_get(table, 5, "five"), first);
    assert_ptr_not_equal(other, first);
    owed_remove(table, first);
    assert_ptr_equal(owed_get(table, 5 + OWED_BUCKETS, "other"), other);
    assert_ptr_equal(owed_first(table), other);
}

static void who_is_in_a_hurry_goes_first(void **state)
{
    struct owed_table *table = *state;
    struct owed *first = owed_get(table, 1, "one"), *second = owed_get(table, 2, "two");
    assert_ptr_equal(owed_first(table), first);
    owed_due(table, second, 1000);
    assert_ptr_equal(owed_first(table), second);
    owed_remove(table, second);
    assert_ptr_equal(owed_first(table), first);
    owed_remove(table, first);
    assert_null(owed_first(table));
}

/* Thousands of devices, each with a pace of its own, some called forward, some done early. */
static void all_go_in_the_order_in_which_they_are_due(void **state)
{
    struct owed_table *table = *state;
    enum { DEVICES = 3000 };
    uint64_t random = 88172645463325252u;
    for (int64_t i = 1; i <= DEVICES; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        struct owed *owed = owed_get(table, i, "till");
        owed_due(table, owed, (int64_t)(random % 500));
        if (i % 3 == 0)
            owed_due(table, owed_get(table, i / 2, "till"), (int64_t)(random % 900));
        if (i % 7 == 0)
            owed_remove(table, owed_get(table, i - 1, "till"));
    }
    int64_t due_ms = -1;
    uint64_t order = 0;
    size_t left = 0;
    for (struct owed *owed; (owed = owed_first(table)) != NULL; left++) {
        assert_true(owed->due_ms > due_ms || (owed->due_ms == due_ms && owed->order > order));
        due_ms = owed->due_ms;
        order = owed->order;
        owed_remove(table, owed);
    }
    assert_true(left > DEVICES * 5 / 7 && left <= DEVICES);
    assert_int_equal(table->count, 0);
}

static void add(struct owed *owed, uint64_t incarnation, bool again)
{
    const struct owed_stream stream = {.incarnation = incarnation, .lane = 1, .again = again};
    owed_add_stream(owed, &stream);
}

static void the_newest_streams_are_kept(void **state)
{
    struct owed *owed = owed_get(*state, 1, "one");
    add(owed, 1, false);
    add(owed, 1, false);
    assert_int_equal(owed->stream_count, 1);
    for (uint64_t i = 2; i <= OWED_STREAMS_MAX + 1; i++)
        add(owed, i, false);
    assert_int_equal(owed->stream_count, OWED_STREAMS_MAX);
    assert_int_equal(owed->streams[0].incarnation, 2);
    assert_int_equal(owed->streams[OWED_STREAMS_MAX - 1].incarnation, OWED_STREAMS_MAX + 1);
    /* What was asked for again stays asked for. */
    add(owed, 9, true);
    add(owed, 9, false);
    assert_int_equal(owed->stream_count, OWED_STREAMS_MAX);
    assert_int_equal(owed->streams[7].incarnation, 9);
    assert_true(owed->streams[7].again);
}

static void refused_batches_are_named_once(void **state)
{
    struct owed *owed = owed_get(*state, 1, "one");
    uint8_t digest[OWED_DIGEST_BYTES] = {0};
    for (unsigned i = 0; i < 3 * LIMIT_UNDECODABLE; i++) {
        digest[0] = (uint8_t)(i / 2);
        owed_add_undecodable(owed, digest);
    }
    assert_int_equal(owed->undecodable_count, LIMIT_UNDECODABLE);
    for (int i = 0; i < LIMIT_UNDECODABLE; i++)
        assert_int_equal(owed->undecodable[i][0], i);
}

static void manifests_are_bounded_in_all(void **state)
{
    struct owed_table *table = *state;
    struct owed *one = owed_get(table, 1, "one"), *two = owed_get(table, 2, "two");
    const struct bytes large = bytes_of("0123456789", 10);
    assert_true(owed_set_manifest(table, one, large, 15));
    assert_false(owed_set_manifest(table, two, large, 15));
    assert_int_equal(two->manifest.length, 0);
    assert_true(owed_set_manifest(table, one, large, 15)); /* replaced, not added */
    owed_remove(table, one);
    assert_true(owed_set_manifest(table, two, large, 15));
    assert_true(owed_set_manifest(table, two, bytes_of("", 0), 15));
    assert_int_equal(table->manifest_bytes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_device_has_one_entry),
        TEST(who_is_in_a_hurry_goes_first),
        TEST(all_go_in_the_order_in_which_they_are_due),
        TEST(the_newest_streams_are_kept),
        TEST(refused_batches_are_named_once),
        TEST(manifests_are_bounded_in_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
