/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/key_block.h"

#include "tests/unit/testing.h"
#include "tests/unit/tr31_invalid.h"

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

/* The header of the examples of ANSI X9 TR-31:2018, A.7. */
static void test_headers(void **state)
{
    (void)state;
    struct key_block_header header;
    assert_true(key_block_read(bytes_of(AES_D, strlen(AES_D)), &header, NULL));
    assert_int_equal(header.version, 'D');
    assert_string_equal(header.usage, "P0");
    assert_int_equal(header.algorithm, 'A');
    assert_int_equal(header.mode, 'E');
    assert_int_equal(header.exportability, 'E');
    assert_false(header.versioned);
    static const char derived[] = "C0096B0TX12S0100KS1800604B120F92928000"
                                  "00BFB9B689CB567E66FC3FEE5AD5F52161FC6545B9D60989015D02155C";
    assert_true(key_block_read(bytes_of(derived, strlen(derived)), &header, NULL));
    assert_int_equal(header.version, 'C');
    assert_string_equal(header.usage, "B0");
    assert_int_equal(header.algorithm, 'T');
    assert_int_equal(header.mode, 'X');
    assert_int_equal(header.exportability, 'S');
    assert_true(header.versioned);
    assert_int_equal(header.key_version, 12);
    assert_int_equal(header.body_at, 16 + 24);
    /* the length in the long form, of two digits */
    static const char longer[] = "B0092B1TX01N0100KS00020CABCD"
                                 "94B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E";
    assert_true(key_block_read(bytes_of(longer, strlen(longer)), &header, NULL));
    assert_int_equal(header.body_at, 16 + 12);
}

/* As they are published and, so that it is not for the length that they state, with the right one,
 * and with a wrapped key behind them. */
static void test_published_invalid_headers(void **state)
{
    (void)state;
    char text[256];
    for (size_t i = 0; i < 3 * (size_t)TR31_INVALID_HEADERS; i++) {
        int length = snprintf(text, sizeof text, "%s%s", tr31_invalid_headers[i / 3],
                              i % 3 == 2 ? &TDES_B[16] : "");
        if (i % 3 > 0 && length >= 16) {
            char digits[16];
            (void)snprintf(digits, sizeof digits, "%04d", length);
            memcpy(text + 1, digits, 4);
        }
        if (check(text))
            fail_msg("%s", text);
    }
}

static void test_key_versions(void **state)
{
    (void)state;
    static const char *const none[] = {"c1", "AB", "1A", "A1"};
    char text[128];
    struct key_block_header header;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        (void)snprintf(text, sizeof text, "%s", AES_D);
        memcpy(text + 9, none[i], 2);
        assert_false(key_block_read(bytes_of(text, strlen(text)), &header, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_optional_blocks),
        cmocka_unit_test(test_clear_keys),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_key_versions),
        cmocka_unit_test(test_published_invalid_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
