/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_proposals.h"

#include "fleet/ctl.h"
#include "tests/unit/testing.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void says(int64_t found, int64_t wanted, int64_t first, const char *expected)
{
    char text[CTL_ROWS_BYTES];
    json_t *difference = json_pack("{s:{s:I, s:I, s:I}}", "rows", "only_found", (json_int_t)found,
                                   "only_wanted", (json_int_t)wanted, "first", (json_int_t)first);
    ctl_rows_text(difference, text);
    assert_string_equal(text, expected);
    json_decref(difference);
}

static void rows_in_words(void **state)
{
    (void)state;
    says(3, 1, 2, "3 only there, 1 only wanted, from line 2");
    says(0, 1, 9, "0 only there, 1 only wanted, from line 9");
    says(0, 0, 4, "the same, in another order from line 4");
    says(0, 0, 0, "the same, other ends of lines");
}

/* The numbers come from a terminal, which may be anybody's. */
static void numbers_beyond_all_sums(void **state)
{
    (void)state;
    says(INT64_MAX, 1, 2, "9223372036854775807 only there, 1 only wanted, from line 2");
    says(INT64_MAX, INT64_MAX, INT64_MAX,
         "9223372036854775807 only there, 9223372036854775807 only wanted, from line "
         "9223372036854775807");
}

static void rows_that_nobody_compared(void **state)
{
    char text[CTL_ROWS_BYTES];
    json_t *difference = json_pack("{s:n}", "rows");
    (void)state;
    ctl_rows_text(difference, text);
    assert_string_equal(text, "not compared");
    json_decref(difference);
}

/* As `describe device` shows one item's difference; the caller frees it. */
static char *shown(const char *what, int64_t found, int64_t wanted)
{
    char *text = NULL;
    size_t length;
    struct ctl ctl = {.out = open_memstream(&text, &length)};
    json_t *device =
        json_pack("{s:[{s:s, s:I, s:I, s:s, s:s, s:{s:s, s:b, s:I, s:I, s:n}}]}", "items", "name",
                  "bins", "wanted_version", (json_int_t)7, "found_version", (json_int_t)0,
                  "held_sha256", "", "wanted_sha256", "5f2a", "difference", "what", what, "owned",
                  1, "found_bytes", (json_int_t)found, "wanted_bytes", (json_int_t)wanted, "rows");
    assert_non_null(device);
    assert_true(ctl_describe_differences(&ctl, device));
    assert_int_equal(fclose(ctl.out), 0);
    json_decref(device);
    return text;
}

static void assert_shown(const char *what, int64_t found, int64_t wanted, const char *expected)
{
    char *text = shown(what, found, wanted);
    if (strstr(text, expected) == NULL)
        fail_msg("no \"%s\" in %s", expected, text);
    free(text);
}

static void what_is_there(void **state)
{
    (void)state;
    assert_shown("content", 90, 100, "90 bytes");
    assert_shown("content", 0, 100, "0 bytes"); /* an empty file is one */
    assert_shown("damaged", 0, 100, "damaged");
    char *text = shown("content", 0, 0);
    assert_non_null(strstr(text, "sealed, version 7"));
    assert_null(strstr(text, "bytes"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_in_words),
        cmocka_unit_test(numbers_beyond_all_sums),
        cmocka_unit_test(rows_that_nobody_compared),
        cmocka_unit_test(what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
