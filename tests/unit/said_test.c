/* SPDX-License-Identifier: Apache-2.0 */
#include "base/said.h"

#include "tests/unit/testing.h"

#include <string.h>

static void assert_line(const char *output, const char *line)
{
    char said[16];
    said_line(output, said, sizeof said);
    assert_string_equal(said, line);
}

static void test_first_line(void **state)
{
    (void)state;
    assert_line("no such issuer\n", "no such issuer");
    assert_line("\r\n \n  busy \t\r\nand more\n", "busy");
    assert_line("", "");
    assert_line(" \n\n", "");
}

static void test_fit_for_a_screen(void **state)
{
    (void)state;
    assert_line("a\tb\033[2Jc\x7f d", "a b [2Jc  d");
    assert_line("bad \311\314", "bad ??");
    assert_line("123456789012345678", "123456789012345");
    assert_line("\xe5\x95\x86\xe6\x88\xb7\xe7\xbb\x88\xe7\xab\xaf\xe5\x8f\xb7\xe4\xb8\x8d",
                "\xe5\x95\x86\xe6\x88\xb7\xe7\xbb\x88\xe7\xab\xaf\xe5\x8f\xb7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_line),
        cmocka_unit_test(test_fit_for_a_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
