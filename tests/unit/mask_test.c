/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The numbers that look like cards here are the payment schemes' published test numbers. */
static const struct {
    const char *text, *masked;
} rows[] = {
    {"", ""},
    {"4111111111111111", "****************"},
    {"pan=4111111111111111,", "pan=****************,"},
    {"4111 1111 1111 1111", "**** **** **** ****"},
    {"4111-1111-1111-1111 ok", "****-****-****-**** ok"},
    {"378282246310005", "***************"},
    {"6200000000000005", "****************"},
    {"id 12 4111 1111 1111 1111 35", "id 12 **** **** **** **** 35"},
    {"4111111111111111=2512", "****************=2512"},
    {"4111111111111111123", "****************123"},
    {"0004111111111111111", "000****************"},
    /* A longer run of digits is searched; the longest number found in it goes. */
    {"00004111111111111111250100", "0000*******************100"},
    /* Two in one run. */
    {"4111 1111 1111 1111 5555 5555 5555 4444", "**** **** **** **** **** **** **** ****"},
};

static const char *const untouched[] = {
    "4111111111111112",         /* fails Luhn */
    "1700000000000000",         /* no card begins with 1 */
    "411111111111",             /* 12 digits */
    "0000000000000000",         /* passes Luhn, begins with 0 */
    "4111  1111  1111  1111",   /* two spaces */
    "4111/1111/1111/1111",      /* another separator */
    "4111a1111b1111c1111",      /* digits apart */
    "2026-11-22 12:38:59.123Z", /* a time */
    "- - 4 1 - 1",
};

static void card_numbers_are_masked_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[64];
        strcpy(text, rows[i].text);
        bool masked = mask_card_numbers(text, strlen(text));
        assert_string_equal(text, rows[i].masked);
        assert_int_equal(masked, strcmp(rows[i].text, rows[i].masked) != 0);
    }
    for (size_t i = 0; i < sizeof untouched / sizeof untouched[0]; i++) {
        char text[64];
        strcpy(text, untouched[i]);
        assert_false(mask_card_numbers(text, strlen(text)));
        assert_string_equal(text, untouched[i]);
    }
}

static void stays_within_the_length(void **state)
{
    (void)state;
    char text[] = "41111111111111111234";
    assert_true(mask_card_numbers(text, 16));
    assert_string_equal(text, "****************1234");
    char *tight = malloc(16); /* not NUL-ended: a sanitizer sees a step too far */
    memcpy(tight, "4111 1111 1111 1", 16);
    assert_false(mask_card_numbers(tight, 16));
    free(tight);
}

static void a_megabyte_of_digits_takes_no_time(void **state)
{
    (void)state;
    size_t length = 1024 * 1024;
    char *text = malloc(length);
    memset(text, '4', length);
    assert_true(mask_card_numbers(text, length));
    assert_ptr_not_equal(memchr(text, '*', length), NULL);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(card_numbers_are_masked_and_nothing_else),
        cmocka_unit_test(stays_within_the_length),
        cmocka_unit_test(a_megabyte_of_digits_takes_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
