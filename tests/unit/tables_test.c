/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/tables.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <string.h>

#define HEADER "prefix\tissuer\tscheme\troute\tsince\n"

static struct bytes text_of(const char *text)
{
    return bytes_of(text, strlen(text));
}

static void test_longest_prefix_wins(void **state)
{
    (void)state;
    struct ranges ranges;
    struct err err = {0};
    assert_true(
        ranges_parse(text_of(HEADER "622848\tabc\t1\t1\t2\n62\tother\t1\t2\t1\n"), &ranges, &err));
    assert_int_equal(ranges.version, 2);
    assert_string_equal(ranges_longest(&ranges, "622848")->issuer, "abc");
    assert_string_equal(ranges_longest(&ranges, "62284899")->issuer, "abc");
    assert_string_equal(ranges_longest(&ranges, "622849")->issuer, "other");
    assert_null(ranges_longest(&ranges, "4"));
    assert_null(ranges_exact(&ranges, "6228"));
    ranges_done(&ranges);
}

static void test_wrong_rows_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", "line 1"},
        {"prefix\tissuer\n", "line 1"},
        {HEADER "62\tabc\t1\t1\n", "line 2: 4 columns"},
        {HEADER "62\tabc\t1\t1\t1\t1\n", "line 2: 6 columns"},
        {HEADER "62\tabc\t1\t1\t1\n6x\tabc\t1\t1\t1\n", "line 3: prefix"},
        {HEADER "123456789012\tabc\t1\t1\t1\n", "line 2: prefix"},
        {HEADER "62\t\t1\t1\t1\n", "line 2: issuer"},
        {HEADER "62\tabc\t7\t1\t1\n", "line 2: scheme"},
        {HEADER "62\tabc\t1\t0\t1\n", "line 2: scheme, route"},
        {HEADER "62\tabc\t1\t1\t99999999999\n", "line 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ranges ranges = {0};
        struct err err = {0};
        assert_false(ranges_parse(text_of(cases[i].text), &ranges, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.text, cases[i].expected));
        assert_null(ranges.rows);
    }
}

static void test_ca_key_with_a_changed_digit_is_not_sound(void **state)
{
    (void)state;
    struct buf text = {0};
    struct ca_keys keys;
    struct err err = {0};
    assert_true(file_read(MUSTER_CA_KEYS_TABLE, 1024 * 1024, &text, &err));
    assert_true(ca_keys_parse(buf_bytes(&text), &keys, &err));
    assert_int_equal(keys.count, 30);
    for (size_t i = 0; i < keys.count; i++)
        assert_true(keys.rows[i].sound);
    ca_keys_done(&keys);

    uint8_t *digit = text.data + 120; /* inside the first row's modulus */
    *digit = *digit == 'A' ? 'B' : 'A';
    assert_true(ca_keys_parse(buf_bytes(&text), &keys, &err));
    assert_false(keys.rows[0].sound);
    assert_true(keys.rows[1].sound);
    ca_keys_done(&keys);
    buf_done(&text);
}

static void test_partial_aid_selects(void **state)
{
    (void)state;
    struct aids aids;
    struct err err = {0};
    static const uint8_t longer[] = {0xa0, 0, 0, 0, 3, 0x10, 0x10, 0x02},
                         other[] = {0xa0, 0, 0, 0, 4};
    assert_true(
        aids_parse(text_of("aid\tscheme\tapplication\nA0000000031010\t2\tVisa\n"), &aids, &err));
    assert_true(aids_have(&aids, bytes_of(longer, 7)));
    assert_true(aids_have(&aids, bytes_of(longer, sizeof longer)));
    assert_false(aids_have(&aids, bytes_of(longer, 6)));
    assert_false(aids_have(&aids, bytes_of(other, sizeof other)));
    aids_done(&aids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_longest_prefix_wins),
        cmocka_unit_test(test_wrong_rows_are_named),
        cmocka_unit_test(test_ca_key_with_a_changed_digit_is_not_sound),
        cmocka_unit_test(test_partial_aid_selects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
