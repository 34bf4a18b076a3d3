/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/testing.h"

#include "agent/txn.h"

#include <string.h>

/* 4111 1111 1111 1111: the published Visa test number, not an account. */
#define TEST_NUMBER "4111111111111111"

static const struct txn_guard guard = {.key = "a key made for this test"};

static ProtobufCBinaryData binary(const void *data, size_t length)
{
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)(uintptr_t)data};
}

static Muster__TxnResult good_result(void)
{
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    txn.idempotency_key = binary("key-0001", 8);
    txn.outcome = MUSTER__OUTCOME__OUTCOME_DECLINED;
    txn.code = (char *)(uintptr_t) "57";
    txn.code_source = MUSTER__CODE_SOURCE__CODE_SOURCE_HOST;
    txn.stan = 123456;
    txn.currency = 156;
    txn.rrn = (char *)(uintptr_t) "632612123456";
    return txn;
}

static void refused_for(const Muster__TxnResult *txn, const char *field)
{
    struct err err = {0};
    assert_false(txn_check(txn, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.text, field));
}

static void test_a_good_result_passes(void **state)
{
    (void)state;
    struct err err = {0};
    Muster__TxnResult txn = good_result();
    assert_true(txn_check(&txn, &err));
}

static void test_each_field_is_held_to_its_shape(void **state)
{
    (void)state;
    Muster__TxnResult txn;
    static const uint8_t zeros[64];
#define REFUSED(field, value)                                                                      \
    do {                                                                                           \
        txn = good_result();                                                                       \
        txn.field = (value);                                                                       \
        refused_for(&txn, #field);                                                                 \
    } while (0)
    REFUSED(idempotency_key, binary(NULL, 0));
    REFUSED(idempotency_key, binary(zeros, 33));
    REFUSED(outcome, MUSTER__OUTCOME__OUTCOME_UNKNOWN);
    REFUSED(outcome, (Muster__Outcome)99);
    REFUSED(entry_mode, (Muster__EntryMode)-1);
    REFUSED(stan, 1000000);
    REFUSED(batch_number, 1000000);
    REFUSED(currency, 1000);
    REFUSED(host_hint, 10);
    REFUSED(amount_minor, UINT64_C(1000000000000));
    REFUSED(rrn, (char *)(uintptr_t) "1234567890123");
    REFUSED(rrn, (char *)(uintptr_t) "12 34");
    REFUSED(auth_code, (char *)(uintptr_t) "1234567");
    REFUSED(code, (char *)(uintptr_t) "12345");
    REFUSED(code, (char *)(uintptr_t) "5\n");
    REFUSED(issuer_bucket, (char *)(uintptr_t) "abcdefghijklmnopqrstuvwxy");
    REFUSED(card_token, binary(zeros, 7));
    REFUSED(card_token, binary(zeros, 9));
    REFUSED(aid, binary(zeros, 4));
    REFUSED(aid, binary(zeros, 17));
    REFUSED(tvr, binary(zeros, 4));
    REFUSED(tsi, binary(zeros, 3));
    REFUSED(cvm_result, binary(zeros, 2));
    REFUSED(capk_rid, binary(zeros, 6));
    REFUSED(signal_dbm, 101);
    REFUSED(wall_ms, -1);
#undef REFUSED
}

static void test_text_that_spells_a_card_is_masked_not_refused(void **state)
{
    (void)state;
    struct err err = {0};
    char bucket[] = "x " TEST_NUMBER;
    Muster__TxnResult txn = good_result();
    txn.issuer_bucket = bucket;
    assert_true(txn_check(&txn, &err));
    txn_guard(&guard, &txn);
    assert_string_equal(bucket, "x ****************");
    assert_true(txn.masked);
}

static void test_bytes_that_spell_a_card_are_replaced(void **state)
{
    (void)state;
    char key[] = TEST_NUMBER;
    char again[] = TEST_NUMBER;
    char other[] = "key-17";
    uint8_t bcd[8] = {0x41, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11};
    Muster__TxnResult txn = good_result();
    txn.idempotency_key = binary(key, 16);
    txn.card_token = binary(bcd, 8);
    txn_guard(&guard, &txn);
    assert_true(txn.masked);
    assert_null(memmem(key, 16, "1111", 4));
    assert_memory_not_equal(bcd, "\x41\x11\x11\x11\x11\x11\x11\x11", 8);
    /* The same key still gives the same answer: a retry is known. */
    txn = good_result();
    txn.idempotency_key = binary(again, 16);
    txn_guard(&guard, &txn);
    assert_memory_equal(key, again, 16);
    txn = good_result();
    txn.idempotency_key = binary(other, 6);
    txn_guard(&guard, &txn);
    assert_false(txn.masked);
    assert_string_equal(other, "key-17");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_result_passes),
        cmocka_unit_test(test_each_field_is_held_to_its_shape),
        cmocka_unit_test(test_text_that_spells_a_card_is_masked_not_refused),
        cmocka_unit_test(test_bytes_that_spell_a_card_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
