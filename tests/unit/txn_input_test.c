/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/txn_input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool read_json(struct txn_input *input, const char *line, struct err *err)
{
    return txn_input_json(input, line, strlen(line), err);
}

static void a_json_line_sets_typed_fields(void **state)
{
    (void)state;
    struct txn_input input;
    struct err err;
    assert_true(
        read_json(&input,
                  "{\"idempotency_key\":\"sale-1\",\"outcome\":\"declined\",\"code\":\"57\","
                  "\"entry_mode\":\"contactless\",\"amount_minor\":999999999999,"
                  "\"signal_dbm\":-85,\"aid\":\"A000000333010101\",\"network\":\"4g\","
                  "\"table_miss\":true,\"key_missing\":false,\"rrn\":null}",
                  &err));
    const struct muster_txn *txn = &input.txn;
    assert_int_equal(txn->idempotency_key.length, 6);
    assert_memory_equal(txn->idempotency_key.data, "sale-1", 6);
    assert_int_equal(txn->outcome, MUSTER_OUTCOME_DECLINED);
    assert_string_equal(txn->code, "57");
    assert_int_equal(txn->entry_mode, MUSTER_ENTRY_CONTACTLESS);
    assert_true(txn->amount_minor == 999999999999);
    assert_int_equal(txn->signal_dbm, -85);
    assert_int_equal(txn->aid.length, 8);
    assert_memory_equal(txn->aid.data, "\xA0\x00\x00\x03\x33\x01\x01\x01", 8);
    assert_int_equal(txn->network, MUSTER_NETWORK_4G);
    assert_true(txn->table_miss);
    assert_false(txn->key_missing);
    assert_null(txn->rrn);
    assert_true(read_json(&input, "{}", &err)); /* nothing is left over */
    assert_false(txn->table_miss);
    assert_null(txn->code);
}

static void wrong_lines_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"", "not JSON"},
        {"[]", "JSON object"},
        {"7", "not JSON"},
        {"{\"outcome\":\"declined\"", "not JSON"},
        {"{\"outcome\":\"declined\"} x", "not JSON"},
        {"{\"stan\":1,\"stan\":2}", "not JSON"},
        {"{\"pan\":\"x\"}", "unknown field pan"},
        {"{\"generation\":\"0011223344556677\"}", "unknown field generation"},
        {"{\"outcome\":\"lost\"}", "outcome = lost: expected one of unknown, approved"},
        {"{\"outcome\":2}", "outcome: expected a string"},
        {"{\"stan\":\"1\"}", "stan: expected a whole number"},
        {"{\"stan\":1.0}", "stan: expected a whole number"},
        {"{\"stan\":1000000}", "stan = 1000000: expected 0 to 999999"},
        {"{\"stan\":4294967297}", "stan = 4294967297: expected 0 to 999999"},
        {"{\"stan\":-1}", "stan = -1: expected 0 to 999999"},
        {"{\"signal_dbm\":-301}", "signal_dbm = -301: expected -300 to 100"},
        {"{\"code\":\"12345\"}", "code has 5 bytes: expected at most 4"},
        {"{\"code\":57}", "code: expected a string"},
        {"{\"code\":\"5\\u00007\"}", "not JSON"},
        {"{\"aid\":\"A0000003\"}", "aid: expected 5 to 16 bytes in hex"},
        {"{\"aid\":\"A00000033301010\"}", "aid: expected 5 to 16 bytes in hex"},
        {"{\"aid\":\"A0000003330101ZZ\"}", "aid: expected 5 to 16 bytes in hex"},
        {"{\"idempotency_key\":\"\"}", "idempotency_key has 0 bytes"},
        {"{\"idempotency_key\":\"123456789012345678901234567890123\"}",
         "idempotency_key has 33 bytes"},
        {"{\"online_pin\":\"yes\"}", "online_pin: expected true or false"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct txn_input input;
        struct err err = {0};
        assert_false(read_json(&input, rows[i].line, &err));
        assert_int_equal(err.code, ERR_INVALID);
        if (strstr(err.text, rows[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, rows[i].says);
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    char line[15000];
    memset(line, '[', sizeof line);
    struct txn_input input;
    struct err err = {0};
    assert_false(txn_input_json(&input, line, sizeof line, &err));
}

static const struct txn_field *field_of(const char *flag)
{
    const struct txn_field *field = txn_fields;
    while (field->name != NULL && strcmp(field->flag, flag) != 0)
        field++;
    assert_non_null(field->name);
    return field;
}

static void flags_take_text(void **state)
{
    (void)state;
    struct txn_input input;
    struct err err = {0};
    txn_input_clear(&input);
    assert_true(txn_input_text(&input, field_of("fallback"), "no-common-aid", &err));
    assert_int_equal(input.txn.fallback, MUSTER_FALLBACK_NO_COMMON_AID);
    assert_true(txn_input_text(&input, field_of("entry"), "CHIP", &err));
    assert_int_equal(input.txn.entry_mode, MUSTER_ENTRY_CHIP);
    assert_true(txn_input_text(&input, field_of("wall-ms"), "9223372036854775807", &err));
    assert_true(input.txn.wall_ms == INT64_MAX);
    assert_true(txn_input_text(&input, field_of("online-pin"), "", &err));
    assert_true(input.txn.online_pin);
    static const char *const wrong[] = {"", "-", "1x", " 1", "0x1", "99999999999999999999", "+1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(txn_input_text(&input, field_of("boot-ms"), wrong[i], &err));
}

/* The longest value of every field at once has its place in the store. */
static void all_fields_fit_together(void **state)
{
    (void)state;
    struct txn_input input;
    struct err err = {0};
    char longest[65];
    txn_input_clear(&input);
    for (const struct txn_field *field = txn_fields; field->name != NULL; field++) {
        if (field->kind != TXN_FIELD_TEXT && field->kind != TXN_FIELD_KEY &&
            field->kind != TXN_FIELD_BYTES)
            continue;
        size_t digits = (size_t)field->max * (field->kind == TXN_FIELD_BYTES ? 2 : 1);
        memset(longest, '1', digits);
        longest[digits] = '\0';
        assert_true(txn_input_text(&input, field, longest, &err));
    }
}

/* A command line may give the same flag again and again. */
static void what_does_not_fit_any_more_is_refused(void **state)
{
    (void)state;
    struct txn_input input;
    struct err err = {0};
    bool taken = true;
    int times = 0;
    txn_input_clear(&input);
    for (; taken && times < TXN_INPUT_STORE_BYTES; times++)
        taken = txn_input_text(&input, field_of("rrn"), "123456789012", &err);
    assert_false(taken);
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.text, "rrn"));
    assert_string_equal(input.txn.rrn, "123456789012");
    assert_false(txn_input_text(&input, field_of("aid"), "a000000333010101a000000333010101", &err));
}

static void no_flag_is_there_twice(void **state)
{
    (void)state;
    static const char *const taken[] = {"help", "output", "socket", "deadline", "json"};
    for (const struct txn_field *a = txn_fields; a->name != NULL; a++) {
        for (const struct txn_field *b = txn_fields; b != a; b++)
            assert_string_not_equal(a->flag, b->flag);
        for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
            assert_string_not_equal(a->flag, taken[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_line_sets_typed_fields),
        cmocka_unit_test(wrong_lines_say_why),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(flags_take_text),
        cmocka_unit_test(all_fields_fit_together),
        cmocka_unit_test(no_flag_is_there_twice),
        cmocka_unit_test(what_does_not_fit_any_more_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
