/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/tablediff.h"

#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static struct bytes text(const char *value)
{
    return bytes_of(value, strlen(value));
}

/* Compares, and writes what it found as one line a row: "+a|", "-a|", "~a>b|". */
static void told(enum tablediff_form form, const char *key, const char *before, const char *after,
                 const char *expected)
{
    struct tablediff diff;
    struct err err = {0};
    char out[512] = "";
    if (!tablediff_make(form, key, text(before), text(after), &diff, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < diff.count; i++) {
        const struct tablediff_row *row = &diff.rows[i];
        int section = (int)row->section.length;
        size_t at = strlen(out);
        (void)snprintf(out + at, sizeof out - at, "%c%.*s%s%.*s%s%.*s|", "+-~"[row->what], section,
                       section > 0 ? (const char *)row->section.data : "", section > 0 ? ":" : "",
                       (int)row->before.length, (const char *)row->before.data,
                       row->what == TABLEDIFF_CHANGED ? ">" : "", (int)row->after.length,
                       (const char *)row->after.data);
    }
    assert_string_equal(out, expected);
    assert_int_equal(diff.count, diff.added + diff.removed + diff.changed);
    tablediff_done(&diff);
}

static void table(const char *key, const char *before, const char *after, const char *expected)
{
    told(TABLEDIFF_TABLE, key, before, after, expected);
}

static void test_rows_are_told_by_their_key(void **state)
{
    (void)state;
    table(NULL, "k\tv\n1\ta\n2\tb\n3\tc\n", "k\tv\n3\tc\n2\tB\n4\td\n", "-1\ta|~2\tb>2\tB|+4\td|");
    table(NULL, "k\tv\n1\ta\n", "k\tv\n1\ta\n", "");
    table(NULL, "k\tv\n1\ta", "k\tv\n1\ta\n", ""); /* the last line's end is no row */
    table(NULL, "", "k\tv\n1\ta\n", "+1\ta|");
    table(NULL, "k\tv\n1\ta\n", "k\tv\n", "-1\ta|");
    table(NULL, "k\r\n1\r\n", "k\n1\n", "");
}

static void test_the_key_is_a_column_by_its_name(void **state)
{
    struct tablediff diff;
    struct err err = {0};
    (void)state;
    table("name", "id\tname\n1\ta\n", "id\tname\n2\ta\n", "~1\ta>2\ta|");
    table("id", "id\tname\n1\ta\n", "id\tname\n2\ta\n", "-1\ta|+2\ta|");
    /* The column may have moved. */
    table("name", "id\tname\n1\ta\n", "name\tid\na\t1\n", "~1\ta>a\t1|");
    assert_false(
        tablediff_make(TABLEDIFF_TABLE, "iin", text("id\n1\n"), text("id\n1\n"), &diff, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "no column iin"));
}

static void test_rows_of_one_key_are_taken_in_order(void **state)
{
    (void)state;
    table(NULL, "k\tv\n1\ta\n1\tb\n", "k\tv\n1\ta\n1\tb\n1\tc\n", "+1\tc|");
    table(NULL, "k\tv\n1\ta\n1\tb\n", "k\tv\n1\tb\n", "~1\ta>1\tb|-1\tb|");
    table(NULL, "k\n1\n10\n", "k\n10\n1\n", "");    /* a shorter key is another one */
    table("v", "k\tv\n1\n", "k\tv\n1\n2\n", "+2|"); /* a row without the column */
}

static void test_order_alone_is_told(void **state)
{
    struct tablediff diff;
    (void)state;
    assert_true(
        tablediff_make(TABLEDIFF_TABLE, NULL, text("k\n1\n2\n"), text("k\n2\n1\n"), &diff, NULL));
    assert_true(diff.count == 0 && diff.same == 2 && diff.reordered);
    tablediff_done(&diff);
    assert_true(tablediff_make(TABLEDIFF_TABLE, NULL, text("k\n1\n"), text("k\n1\n"), &diff, NULL));
    assert_true(diff.count == 0 && diff.same == 1 && !diff.reordered);
    tablediff_done(&diff);
    assert_true(
        tablediff_make(TABLEDIFF_TABLE, NULL, text("k\n1\n"), text("key\n1\n"), &diff, NULL));
    assert_false(bytes_equal(diff.header_before, diff.header_after) || diff.reordered);
    tablediff_done(&diff);
}

static void test_settings_are_told_by_section_and_name(void **state)
{
    (void)state;
    told(TABLEDIFF_SETTINGS, NULL, "; old\na = 0\n[one]\na = 1\nb=2\n[two]\na = 1\n",
         "# new\na = 0\n[two]\na = 1\nc = 3\n[one]\n  a = 9\n",
         "~one:a = 1>a = 9|-one:b=2|+two:c = 3|");
    told(TABLEDIFF_SETTINGS, NULL, "[broken\nword\n", "word\n", "-[broken|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_told_by_their_key),
        cmocka_unit_test(test_the_key_is_a_column_by_its_name),
        cmocka_unit_test(test_rows_of_one_key_are_taken_in_order),
        cmocka_unit_test(test_order_alone_is_told),
        cmocka_unit_test(test_settings_are_told_by_section_and_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
