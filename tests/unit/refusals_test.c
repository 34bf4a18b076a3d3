/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/refusals.h"
#include "tests/unit/testing.h"

#include <string.h>

static const int64_t second_ms = 1000, hour_ms = INT64_C(3600) * 1000;

static bool add(struct refusals *refusals, Muster__Refusal reason, int64_t now_ms)
{
    struct err err;
    (void)refuse(&err, reason, ERR_REFUSED, "because of %d", (int)reason);
    return refusals_add(refusals, &err, now_ms);
}

static void test_each_reason_once(void **state)
{
    struct refusals refusals = {0};
    (void)state;
    assert_true(add(&refusals, MUSTER__REFUSAL__REFUSAL_MANIFEST_OLD, 0));
    assert_false(add(&refusals, MUSTER__REFUSAL__REFUSAL_MANIFEST_OLD, 1));
    assert_true(add(&refusals, MUSTER__REFUSAL__REFUSAL_SIGNATURE, 1));
    assert_int_equal(refusals.count, 3);
    assert_int_equal(refusals.last, MUSTER__REFUSAL__REFUSAL_SIGNATURE);
    assert_string_equal(refusals.why, "because of 3");
}

/* A broker that repeats an old manifest every second for a month. */
static void test_repeated_for_a_month(void **state)
{
    struct refusals refusals = {0};
    unsigned told = 0;
    (void)state;
    int64_t end_ms = 30 * 24 * hour_ms;
    for (int64_t now_ms = 0; now_ms < end_ms; now_ms += 10 * second_ms)
        told += add(&refusals, MUSTER__REFUSAL__REFUSAL_MANIFEST_OLD, now_ms);
    assert_in_range(told, 120, 140); /* four a day, and a dozen at first */
    assert_int_equal(refusals.count, 30 * 24 * 360);
}

static void test_quiet_again(void **state)
{
    struct refusals refusals = {0};
    (void)state;
    int64_t now_ms = 0;
    for (unsigned i = 0; i < 20; i++) {
        assert_true(add(&refusals, MUSTER__REFUSAL__REFUSAL_BLOB_HASH, now_ms));
        assert_false(add(&refusals, MUSTER__REFUSAL__REFUSAL_BLOB_HASH, now_ms + 1));
        now_ms += 6 * hour_ms;
    }
    now_ms += 24 * hour_ms;
    assert_true(add(&refusals, MUSTER__REFUSAL__REFUSAL_BLOB_HASH, now_ms));
    assert_false(add(&refusals, MUSTER__REFUSAL__REFUSAL_BLOB_HASH, now_ms + 9 * second_ms));
    assert_true(add(&refusals, MUSTER__REFUSAL__REFUSAL_BLOB_HASH, now_ms + 10 * second_ms));
}

static void test_no_refusal(void **state)
{
    struct refusals refusals = {0};
    struct err err;
    (void)state;
    (void)err_set(&err, ERR_NO_MEMORY, "no memory");
    assert_false(refusals_add(&refusals, &err, 0));
    assert_false(add(&refusals, MUSTER__REFUSAL__REFUSAL_WELCOME_NONCE, 0));
    assert_false(add(&refusals, MUSTER__REFUSAL__REFUSAL_BLOB_UNWANTED, 0));
    assert_false(add(&refusals, (Muster__Refusal)REFUSALS_REASONS, 0));
    assert_int_equal(refusals.count, 0);
    assert_int_equal(refusals.unasked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_reason_once),
        cmocka_unit_test(test_repeated_for_a_month),
        cmocka_unit_test(test_quiet_again),
        cmocka_unit_test(test_no_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
