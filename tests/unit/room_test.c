/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/room.h"
#include "tests/unit/testing.h"

#define MIB (UINT64_C(1) << 20)

static struct room room(uint64_t disk_mib, uint64_t free_bytes, uint64_t spool_mib,
                        uint64_t quota_mib)
{
    const struct disk disk = {.bytes = disk_mib * MIB, .free_bytes = free_bytes};
    return room_of(&disk, spool_mib * MIB, quota_mib * MIB);
}

static void test_results_keep_their_quota(void **state)
{
    (void)state;
    assert_int_equal(room(1000, 500 * MIB, 0, 64).registry_bytes, 436 * MIB);
    assert_int_equal(room(1000, 500 * MIB, 40, 64).registry_bytes, 476 * MIB);
    assert_int_equal(room(1000, 500 * MIB, 64, 64).registry_bytes, 499 * MIB);
    assert_int_equal(room(1000, 500 * MIB, 80, 64).registry_bytes, 499 * MIB); /* over it */
    assert_false(room(1000, 500 * MIB, 0, 64).results_short);
}

static void test_a_small_disk_is_halved(void **state)
{
    (void)state;
    assert_int_equal(room(100, 90 * MIB, 0, 64).registry_bytes, 89 * MIB / 2);
    assert_int_equal(room(100, 90 * MIB, 30, 64).registry_bytes, 70 * MIB);
}

/* Others have filled the disk: a small change comes all the same, and nothing is thrown away. */
static void test_half_of_what_is_free_may_be_taken(void **state)
{
    (void)state;
    struct room made = room(1000, 21 * MIB, 0, 64);
    assert_int_equal(made.registry_bytes, 10 * MIB);
    assert_false(made.results_short);
}

/* Also where the spool has all of its share, it must be able to write. */
static void test_the_last_bytes_are_for_results(void **state)
{
    (void)state;
    struct room made = room(1000, MIB - 1, 64, 64);
    assert_int_equal(made.registry_bytes, 0);
    assert_true(made.results_short);
    made = room(1000, MIB, 64, 64);
    assert_int_equal(made.registry_bytes, 0);
    assert_false(made.results_short);
    assert_true(room(8, MIB / 2 - 1, 4, 64).results_short); /* a sixteenth of a tiny one */
    assert_false(room(8, MIB / 2, 4, 64).results_short);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_keep_their_quota),
        cmocka_unit_test(test_a_small_disk_is_halved),
        cmocka_unit_test(test_half_of_what_is_free_may_be_taken),
        cmocka_unit_test(test_the_last_bytes_are_for_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
