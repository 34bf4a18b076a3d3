/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/key_block.h"

#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static bool check(const char *text)
{
    struct err err = {0};
    bool good = key_block_check(bytes_of(text, strlen(text)), &err);
    if (!good) {
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_not_equal(err.text[0], '\0');
    }
    return good;
}

/* Of the form of the examples in ANSI X9 TR-31:2018, annex A: TDES (version B), AES (D). */
#define TDES_B                                                                                     \
    "B0080P0TE00E0000"                                                                             \
    "94B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E"
#define AES_D                                                                                      \
    "D0112P0AE00E0000"                                                                             \
    "B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A4"   \
    "57DC34"

static void test_forms(void **state)
{
    (void)state;
    assert_true(check(TDES_B));
    assert_true(check(TDES_B "\n"));
    assert_true(check(TDES_B "\r\n"));
    assert_true(check(AES_D));
}

static void test_optional_blocks(void **state)
{
    (void)state;
    /* KS of 24 characters (a key serial number), then cipher text and MAC */
    assert_true(check("B0104B1TX00N0100KS1800604B120F9292800000"
                      "94B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E"));
    /* the same, its length in the long form: 00, four digits, 001E characters in all */
    assert_true(check("B0110B1TX00N0100KS0004001E00604B120F9292800000"
                      "94B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E"));
    assert_false(check("B0104B1TX00N0200KS1800604B120F9292800000"
                       "94B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E"));
    assert_false(check("B0104B1TX00N0100KSFF00604B120F9292800000"
                       "94B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E"));
    assert_false(check("B0104B1TX00N0100KS0300604B120F9292800000"
                       "94B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E"));
}

/* What somebody might take for a key block, and what must never pass for one. */
static void test_clear_keys(void **state)
{
    (void)state;
    assert_false(check(""));
    assert_false(check("0123456789ABCDEFFEDCBA9876543210"));
    assert_false(check("0123456789ABCDEFFEDCBA98765432100123456789ABCDEF\n"));
    assert_false(check("U0123456789ABCDEFFEDCBA9876543210"));
    assert_false(check("S0123456789ABCDEFFEDCBA9876543210"));
    /* a header with a key of 16 bytes behind it, and no MAC */
    assert_false(check("D0048P0AE00E00000123456789ABCDEFFEDCBA9876543210"));
    assert_false(check("B0032P0TE00E00000123456789ABCDEF"));
}

static void test_malformed(void **state)
{
    (void)state;
    char text[128];
    assert_false(check("X0080P0TE00E0000"
                       "94B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E"));
    /* each of these characters of the header says something else than it may */
    static const struct {
        size_t at;
        char other;
    } wrong[] = {{1, '1'},  {4, 'x'},  {5, 'p'},  {7, '-'},
                 {11, 'X'}, {12, 'A'}, {14, '7'}, {15, '1'}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        (void)snprintf(text, sizeof text, "%s", TDES_B);
        text[wrong[i].at] = wrong[i].other;
        assert_false(check(text));
    }
    for (size_t length = 0; length < strlen(AES_D); length++) {
        (void)snprintf(text, sizeof text, "%.*s", (int)length, AES_D);
        assert_false(check(text));
    }
    (void)snprintf(text, sizeof text, "%s", TDES_B);
    text[40] = 'g';
    assert_false(check(text));
    text[40] = '\t';
    assert_false(check(text));
    assert_false(key_block_check(bytes_of(TDES_B "\n\n", strlen(TDES_B) + 2), NULL));
    assert_false(key_block_check(bytes_of(TDES_B "\0", strlen(TDES_B) + 1), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_optional_blocks),
        cmocka_unit_test(test_clear_keys),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
