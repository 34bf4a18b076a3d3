/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/samples.h"

#include "tests/unit/testing.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };

static Muster__Health sample(uint64_t boot_ms, int32_t signal, int32_t heat, uint64_t memory,
                             uint32_t load)
{
    Muster__Health health = MUSTER__HEALTH__INIT;
    health.boot_ms = boot_ms;
    health.signal_dbm = signal;
    health.temperature_mc = heat;
    health.memory_available_bytes = memory;
    health.load_permille = load;
    return health;
}

static void test_one_sample_says_nothing_more(void **state)
{
    (void)state;
    struct samples samples = {0};
    Muster__Health one = sample(5, -71, 40000, 1000, 200);
    samples_add(&samples, &one);
    samples_tell(&samples, &one);
    assert_int_equal(one.samples, 0);
    assert_int_equal(one.signal_min_dbm, 0);
    assert_int_equal(one.temperature_max_mc, 0);
    assert_int_equal(one.memory_min_bytes, 0);
    assert_int_equal(one.load_max_permille, 0);
}

static void test_the_worst_of_several_is_told_once(void **state)
{
    (void)state;
    struct samples samples = {0};
    Muster__Health all[] = {
        sample(1, 0, 0, 900, 100),
        sample(2, -110, 71000, 300, 4000),
        sample(3, -60, 50000, 800, 300),
    };
    for (size_t i = 0; i < 3; i++)
        samples_add(&samples, &all[i]);
    samples_tell(&samples, &all[2]);
    assert_int_equal(all[2].samples, 3);
    assert_int_equal(all[2].signal_dbm, -60);
    assert_int_equal(all[2].signal_min_dbm, -110);
    assert_int_equal(all[2].temperature_max_mc, 71000);
    assert_int_equal(all[2].memory_min_bytes, 300);
    assert_int_equal(all[2].load_max_permille, 4000);
    Muster__Health next = sample(4, -80, 40000, 700, 100);
    samples_add(&samples, &next);
    samples_tell(&samples, &next);
    assert_int_equal(next.samples, 0);
    assert_int_equal(next.memory_min_bytes, 0);
}

static void test_an_hour_is_four_quarters(void **state)
{
    (void)state;
    struct samples samples = {0};
    unsigned taken = 0;
    int64_t now_ms = 1000;
    assert_false(samples_due(&samples, now_ms, 15 * MINUTE, 0));
    for (bool due = false; !due; now_ms += 15 * MINUTE) {
        Muster__Health one = sample((uint64_t)now_ms, 0, 0, 0, 0);
        samples_add(&samples, &one);
        taken++;
        due = samples_due(&samples, now_ms, 15 * MINUTE, HOUR);
    }
    assert_int_equal(taken, 4);
    /* Each is a record where none may wait. */
    Muster__Health one = sample(1, 0, 0, 0, 0);
    samples = (struct samples){0};
    samples_add(&samples, &one);
    assert_true(samples_due(&samples, 1, 15 * MINUTE, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_sample_says_nothing_more),
        cmocka_unit_test(test_the_worst_of_several_is_told_once),
        cmocka_unit_test(test_an_hour_is_four_quarters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
