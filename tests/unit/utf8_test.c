/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include "tests/unit/testing.h"

#include <string.h>

static bool valid(const char *text)
{
    return utf8_valid(bytes_of(text, strlen(text)));
}

static void valid_and_not(void **state)
{
    (void)state;
    static const char *const good[] = {"", "a", "\xc2\x80", "商户", "\xf4\x8f\xbf\xbf", "\x7f"};
    static const char *const bad[] = {
        "\x80",             /* a continuation alone */
        "\xc0\xaf",         /* overlong '/' */
        "\xe0\x80\xaf",     /* overlong */
        "\xf0\x80\x80\xaf", /* overlong */
        "\xed\xa0\x80",     /* surrogate */
        "\xf4\x90\x80\x80", /* beyond U+10FFFF */
        "\xe5\x95",         /* cut off */
        "a\xff",
        "\xc3(",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(valid(bad[i]));
}

static void code_points_and_columns(void **state)
{
    (void)state;
    uint32_t code = 0;
    assert_int_equal(utf8_next(bytes_of("户x", 4), &code), 3);
    assert_int_equal(code, 0x6237);
    assert_int_equal(utf8_columns(code), 2);
    assert_int_equal(utf8_columns('x'), 1);
    assert_int_equal(utf8_columns(0xe9), 1);
    assert_int_equal(utf8_columns(0x301), 0);
    assert_int_equal(utf8_next(bytes_of("", 0), &code), 0);
}

static void cleaned_in_place(void **state)
{
    (void)state;
    char gbk[] = "\xc9\xcc\xbb\xa7 no", cut[] = "商户\xe5\x95", good[] = "商户 7", none[] = "";
    utf8_clean(gbk);
    assert_true(valid(gbk));
    assert_non_null(strstr(gbk, " no"));
    utf8_clean(cut);
    assert_string_equal(cut, "商户??");
    utf8_clean(good);
    assert_string_equal(good, "商户 7");
    utf8_clean(none);
    assert_string_equal(none, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_and_not),
        cmocka_unit_test(code_points_and_columns),
        cmocka_unit_test(cleaned_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
