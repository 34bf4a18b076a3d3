/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/topics.h"

#include "tests/unit/testing.h"

#include <string.h>

#define HEX64 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"

static const struct {
    const char *text;
    enum topic_kind kind;
} valid[] = {
    {"muster/v1/up/t-01/batch", TOPIC_UP_BATCH},
    {"muster/v1/up/t-01/hello", TOPIC_UP_HELLO},
    {"muster/v1/up/t-01/online", TOPIC_UP_ONLINE},
    {"muster/v1/down/abcdefghijklmnopqrstuvwxyz012345/manifest", TOPIC_DOWN_MANIFEST},
    {"muster/v1/down/-/receipt", TOPIC_DOWN_RECEIPT},
    {"muster/v1/down/0/welcome", TOPIC_DOWN_WELCOME},
    {"muster/v1/blob/" HEX64, TOPIC_BLOB},
    {"muster/v1/trust/18446744073709551615", TOPIC_TRUST},
    {"muster/v1/trust/1", TOPIC_TRUST},
};

static void what_is_parsed_is_written_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++) {
        struct topic topic;
        char text[TOPIC_CHARS];
        assert_true(topic_parse(valid[i].text, &topic, NULL));
        assert_int_equal(topic.kind, valid[i].kind);
        topic_format(&topic, text);
        assert_string_equal(text, valid[i].text);
    }
}

static void parts_are_taken_apart(void **state)
{
    (void)state;
    struct topic topic;
    assert_true(topic_parse("muster/v1/up/t-01/batch", &topic, NULL));
    assert_string_equal(topic.device, "t-01");
    assert_true(topic_parse("muster/v1/blob/" HEX64, &topic, NULL));
    assert_int_equal(topic.sha256[1], 1);
    assert_int_equal(topic.sha256[31], 0xff);
    assert_true(topic_parse("muster/v1/trust/7", &topic, NULL));
    assert_int_equal(topic.version, 7);
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "muster",
        "muster/v1/",
        "muster/v2/up/t/batch",
        "Muster/v1/up/t/batch",
        "muster/v1/up/t/batch/",
        "muster/v1/up/t/batch/x",
        "muster/v1/up//batch",
        "muster/v1/up/t",
        "muster/v1/up/t/",
        "muster/v1/up/t/manifest",
        "muster/v1/down/t/batch",
        "muster/v1/up/T/batch",
        "muster/v1/up/a.b/batch",
        "muster/v1/up/+/batch",
        "muster/v1/up/#",
        "muster/v1/up/a b/batch",
        "muster/v1/up/abcdefghijklmnopqrstuvwxyz0123456/batch",
        "muster/v1/blob/",
        ("muster/v1/blob/" HEX64 "0"),
        "muster/v1/blob/000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1EFF",
        "muster/v1/blob/zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff",
        "muster/v1/trust/",
        "muster/v1/trust/01",
        "muster/v1/trust/-1",
        "muster/v1/trust/+1",
        "muster/v1/trust/ 1",
        "muster/v1/trust/1x",
        "muster/v1/trust/18446744073709551616",
        ("muster/v1/up/"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaa/batch"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct topic topic = {.version = 42};
        struct err err = {0};
        if (topic_parse(bad[i], &topic, &err))
            fail_msg("%s was accepted", bad[i]);
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(topic.version, 42);
    }
}

static void helpers_write_the_same(void **state)
{
    (void)state;
    char text[TOPIC_CHARS];
    uint8_t digest[32];
    topic_device(TOPIC_DOWN_RECEIPT, "t-01", text);
    assert_string_equal(text, "muster/v1/down/t-01/receipt");
    assert_true(hex_decode(HEX64, 64, digest, sizeof digest));
    topic_blob(digest, text);
    assert_string_equal(text, "muster/v1/blob/" HEX64);
}

static void names_have_one_form(void **state)
{
    (void)state;
    assert_true(device_id_valid("t-01"));
    assert_false(device_id_valid(""));
    assert_false(device_id_valid("t/01"));
    assert_false(device_id_valid("abcdefghijklmnopqrstuvwxyz0123456"));
    assert_true(document_name_valid("aid-table.v1_2"));
    assert_true(document_name_valid("0"));
    assert_true(document_name_valid("abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl"));
    static const char *const bad[] = {
        "",    ".hidden", "-x",       "a..b",
        "a/b", "A",       "a b",      "a\n",
        "..",  "_a",      "\xc3\xa9", "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklm"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (document_name_valid(bad[i]))
            fail_msg("%s was accepted", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_parsed_is_written_the_same),
        cmocka_unit_test(parts_are_taken_apart),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(helpers_write_the_same),
        cmocka_unit_test(names_have_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
