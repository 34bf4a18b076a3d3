/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_keys.h"
#include "tests/unit/testing.h"

static bool has(const struct spool_keys *keys, uint64_t hash, int64_t id)
{
    uint32_t cursor = 0;
    int64_t found = 0;
    while (spool_keys_next(keys, hash, &cursor, &found)) {
        if (found == id)
            return true;
    }
    return false;
}

static void test_the_newest_stay(void **state)
{
    (void)state;
    struct spool_keys keys;
    assert_true(spool_keys_init(&keys, 10, 5, NULL));
    for (int64_t id = 1; id <= 200; id++) {
        spool_keys_add(&keys, (uint64_t)id % 7, id); /* many under one hash */
        if (id % 5 == 0)
            spool_keys_trim(&keys);
    }
    for (int64_t id = 1; id <= 200; id++)
        assert_int_equal(has(&keys, (uint64_t)id % 7, id), id > 190);
    spool_keys_done(&keys);
}

static void test_a_failed_commit_takes_its_keys_back_and_no_others(void **state)
{
    (void)state;
    struct spool_keys keys;
    assert_true(spool_keys_init(&keys, 4, 3, NULL));
    for (int64_t id = 1; id <= 4; id++)
        spool_keys_add(&keys, (uint64_t)id, id);
    for (int round = 0; round < 10; round++) {
        for (int64_t id = 5; id <= 7; id++)
            spool_keys_add(&keys, (uint64_t)id, id);
        spool_keys_undo(&keys, 3);
    }
    for (int64_t id = 1; id <= 7; id++)
        assert_int_equal(has(&keys, (uint64_t)id, id), id <= 4);
    spool_keys_done(&keys);
}

static void test_reading_in_backwards_stops_at_the_window(void **state)
{
    (void)state;
    struct spool_keys keys;
    assert_true(spool_keys_init(&keys, 3, 2, NULL));
    assert_true(spool_keys_add_older(&keys, 1, 30));
    assert_true(spool_keys_add_older(&keys, 1, 20));
    assert_true(spool_keys_add_older(&keys, 2, 10));
    assert_false(spool_keys_add_older(&keys, 2, 5));
    uint32_t cursor = 0;
    int64_t id = 0;
    assert_true(spool_keys_next(&keys, 1, &cursor, &id));
    assert_int_equal(id, 30);
    spool_keys_add(&keys, 1, 40);
    spool_keys_trim(&keys);
    assert_false(has(&keys, 2, 10));
    assert_true(has(&keys, 1, 20));
    assert_true(has(&keys, 1, 40));
    spool_keys_done(&keys);
}

static void test_hashes_tell_keys_apart(void **state)
{
    (void)state;
    struct spool_keys keys;
    assert_true(spool_keys_init(&keys, 1, 1, NULL));
    static const uint8_t zeros[32] = {0};
    for (size_t a = 1; a <= sizeof zeros; a++) {
        for (size_t b = 1; b < a; b++)
            assert_true(spool_keys_hash(&keys, bytes_of(zeros, a)) !=
                        spool_keys_hash(&keys, bytes_of(zeros, b)));
    }
    spool_keys_done(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_stay),
        cmocka_unit_test(test_a_failed_commit_takes_its_keys_back_and_no_others),
        cmocka_unit_test(test_reading_in_backwards_stops_at_the_window),
        cmocka_unit_test(test_hashes_tell_keys_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
