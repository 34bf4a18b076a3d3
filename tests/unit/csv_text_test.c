/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/csv_text.h"

#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

struct seen {
    char text[512];
    size_t length;
};

static bool note(void *ctx, size_t line, const char *const *cells, size_t count, struct err *err)
{
    struct seen *seen = ctx;
    (void)err;
    seen->length +=
        (size_t)snprintf(seen->text + seen->length, sizeof seen->text - seen->length, "%zu:", line);
    for (size_t i = 0; i < count; i++)
        seen->length += (size_t)snprintf(seen->text + seen->length,
                                         sizeof seen->text - seen->length, "<%s>", cells[i]);
    return true;
}

static void assert_rows(const char *text, const char *expected)
{
    struct seen seen = {0};
    struct err err = {0};
    if (!csv_read(bytes_of(text, strlen(text)), note, &seen, &err))
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(seen.text, expected);
}

static void rows_are_read_with_their_lines(void **state)
{
    (void)state;
    assert_rows("", "");
    assert_rows("a,b\r\nc,\r\n", "1:<a><b>2:<c><>");
    assert_rows("a,b\nc,d", "1:<a><b>2:<c><d>");
    assert_rows("\xef\xbb\xbfid\n商户\n", "1:<id>2:<商户>");
    assert_rows("a\n\n\nb\n", "1:<a>4:<b>");
    assert_rows("a , b\n", "1:<a><b>");
    assert_rows("\"a \"\"b\"\", c\",\" d \"\n", "1:<a \"b\", c>< d >");
    assert_rows("\"two\nlines\",x\nnext\n", "1:<two\nlines><x>3:<next>");
    assert_rows("\"\"\n", "1:<>");
}

static void what_is_no_csv_is_told_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *told;
    } rows[] = {
        {"a\nb\"c\n", "line 2: a quote"},
        {"a\n\"b\"c\n", "line 2: a quote"},
        {"a\n\"b\nc\n", "line 2: the last cell's quotes"},
        {"a\n\nb\n\xff\n", "line 4: a cell is not UTF-8, or holds a NUL: save the file as UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct seen seen = {0};
        struct err err = {0};
        if (csv_read(bytes_of(rows[i].text, strlen(rows[i].text)), note, &seen, &err))
            fail_msg("\"%s\" was taken", rows[i].text);
        assert_int_equal(err.code, ERR_INVALID);
        if (strstr(err.text, rows[i].told) == NULL)
            fail_msg("\"%s\": %s", rows[i].text, err.text);
    }
    struct err err = {0};
    struct seen seen = {0};
    assert_false(csv_read(bytes_of("a\0b", 3), note, &seen, &err));
    char commas[CSV_CELLS_MAX + 1];
    memset(commas, ',', sizeof commas);
    assert_false(csv_read(bytes_of(commas, sizeof commas), note, &seen, &err));
    assert_true(csv_read(bytes_of(commas, sizeof commas - 2), note, &seen, &err));
}

static bool refuse(void *ctx, size_t line, const char *const *cells, size_t count, struct err *err)
{
    (void)cells;
    (void)count;
    *(size_t *)ctx += 1;
    return line < 2 || err_set(err, ERR_NOT_FOUND, "enough");
}

static void who_wants_no_more_gets_no_more(void **state)
{
    (void)state;
    size_t rows = 0;
    struct err err = {0};
    assert_false(csv_read(bytes_of("a\nb\nc\nd\n", 8), refuse, &rows, &err));
    assert_int_equal(rows, 2);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* A mark that a cell begins with is the cell's, wherever that stands. */
static void a_mark_in_a_cell_stays(void **state)
{
    (void)state;
    const char *const cells[] = {"\xef\xbb\xbfx"};
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    csv_write_row(out, cells, 1);
    assert_int_equal(fclose(out), 0);
    assert_rows(text, "1:<\xef\xbb\xbfx>");
    free(text);
}

static void what_is_written_reads_the_same(void **state)
{
    (void)state;
    const char *const cells[] = {"plain", "",          "a,b",       "say \"no\"", "two\r\nlines",
                                 " lead", "trailing ", "商户 一号", "=1+1",       "a;b"};
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    csv_write_row(out, cells, 10);
    csv_write_row(out, &cells[1], 1);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "plain,,\"a,b\",\"say \"\"no\"\"\",\"two\r\nlines\",\" lead\","
                              "\"trailing \",商户 一号,=1+1,a;b\r\n\"\"\r\n");
    assert_rows(text, "1:<plain><><a,b><say \"no\"><two\r\nlines>< lead><trailing ><商户 "
                      "一号><=1+1><a;b>3:<>");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_with_their_lines),
        cmocka_unit_test(what_is_no_csv_is_told_where),
        cmocka_unit_test(who_wants_no_more_gets_no_more),
        cmocka_unit_test(a_mark_in_a_cell_stays),
        cmocka_unit_test(what_is_written_reads_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
