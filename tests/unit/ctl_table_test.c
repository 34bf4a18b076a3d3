/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_table.h"

#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

static char *printed(struct ctl_table *table)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_true(ctl_table_print(table, out, "nothing"));
    assert_int_equal(fclose(out), 0);
    return text;
}

static void columns_line_up(void **state)
{
    (void)state;
    struct ctl_table *table = ctl_table_new("NAME|>COUNT|STORE");
    ctl_table_text(table, "a");
    ctl_table_count(table, 1234567);
    ctl_table_text(table, "x");
    ctl_table_text(table, "商户");
    ctl_table_count(table, 5);
    ctl_table_format(table, "%s-%d", "y", 2);
    char *text = printed(table);
    assert_string_equal(text, "NAME      COUNT  STORE\n"
                              "a     1,234,567  x\n"
                              "商户          5  y-2\n");
    free(text);
}

/* RFC 4180: what needs quotes has them, and a quote is doubled. */
static void programs_read_csv(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    struct ctl_table *table = ctl_table_new("NAME|>COUNT|SEEN|95 % BETWEEN");
    ctl_table_text(table, "a, \"b\"\n");
    ctl_table_count(table, -1234567);
    ctl_table_ago(table, 1790000000123, 1790000060000);
    ctl_table_format(table, "%d-%d", 1, 2);
    ctl_table_text(table, "商户");
    ctl_table_count(table, 0);
    ctl_table_ago(table, 0, 1790000060000);
    ctl_table_text(table, "");
    assert_true(ctl_table_csv(table, out));
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "NAME,COUNT,SEEN,95 % BETWEEN\r\n"
                              "\"a, \"\"b\"\"?\",-1234567,2026-09-21T14:13:20.123Z,1-2\r\n"
                              "商户,0,,\r\n");
    free(text);
}

static void foreign_text_is_no_formula(void **state)
{
    (void)state;
    static const char *const cells[][2] = {{"=HYPERLINK(\"//x\")", "\"'=HYPERLINK(\"\"//x\"\")\""},
                                           {"+1", "'+1"},
                                           {"-1+2", "'-1+2"},
                                           {"@SUM(A1)", "'@SUM(A1)"},
                                           {"a=b", "a=b"},
                                           {"-", ""}};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        char *text = NULL, wanted[80];
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        assert_non_null(out);
        struct ctl_table *table = ctl_table_new("A|B|C");
        ctl_table_text(table, cells[i][0]);
        ctl_table_number(table, "%.2f", -1.5);
        ctl_table_count(table, -7);
        assert_true(ctl_table_csv(table, out));
        assert_int_equal(fclose(out), 0);
        (void)snprintf(wanted, sizeof wanted, "A,B,C\r\n%s,-1.50,-7\r\n", cells[i][1]);
        assert_string_equal(text, wanted);
        free(text);
    }
}

static void foreign_text_cannot_command_the_terminal(void **state)
{
    (void)state;
    struct ctl_table *table = ctl_table_new("TEXT");
    ctl_table_text(table, "\033[2Jgone\n\xff\xc2\x9b\xe2\x80\xae");
    char *text = printed(table);
    assert_string_equal(text, "TEXT\n?[2Jgone????\n");
    free(text);
}

static void without_a_row_it_says_so(void **state)
{
    (void)state;
    char *text = printed(ctl_table_new("A|B"));
    assert_string_equal(text, "nothing\n");
    free(text);
}

static void counts_and_times_for_people(void **state)
{
    (void)state;
    static const struct {
        int64_t count;
        const char *text;
    } counts[] = {{0, "0"},
                  {999, "999"},
                  {1000, "1,000"},
                  {-1234, "-1,234"},
                  {INT64_MAX, "9,223,372,036,854,775,807"}};
    static const struct {
        int64_t age_ms;
        const char *text;
    } ages[] = {{0, "0s ago"},         {119000, "119s ago"},       {120000, "2m ago"},
                {7199000, "119m ago"}, {2 * 86400000LL, "2d ago"}, {-90000, "in 90s"}};
    const int64_t now_ms = 1800000000000;
    char text[CTL_TEXT_BYTES];
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        ctl_count_text(counts[i].count, text);
        assert_string_equal(text, counts[i].text);
    }
    for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
        ctl_ago_text(now_ms - ages[i].age_ms, now_ms, text);
        assert_string_equal(text, ages[i].text);
    }
    assert_int_equal(ctl_kilobytes(1535), 1);
    assert_int_equal(ctl_kilobytes(1536), 2);
    assert_int_equal(ctl_kilobytes(INT64_MAX), (INT64_C(1) << 53));
    ctl_ago_text(0, now_ms, text);
    assert_string_equal(text, "never");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_line_up),
        cmocka_unit_test(programs_read_csv),
        cmocka_unit_test(foreign_text_is_no_formula),
        cmocka_unit_test(foreign_text_cannot_command_the_terminal),
        cmocka_unit_test(without_a_row_it_says_so),
        cmocka_unit_test(counts_and_times_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
