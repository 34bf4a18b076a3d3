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
    owed_hurry(table, second);
    assert_ptr_equal(owed_first(table), second);
    owed_remove(table, second);
    assert_ptr_equal(owed_first(table), first);
    owed_remove(table, first);
    assert_null(owed_first(table));
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
        TEST(a_device_has_one_entry),       TEST(who_is_in_a_hurry_goes_first),
        TEST(the_newest_streams_are_kept),  TEST(refused_batches_are_named_once),
        TEST(manifests_are_bounded_in_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
