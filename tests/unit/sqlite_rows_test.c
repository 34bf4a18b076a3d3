/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/sqlite_rows.h"
#include "tests/unit/testing.h"

#include <string.h>

/* Three rows of a number, a word and nothing. */
static size_t count(void *ctx)
{
    return *(size_t *)ctx;
}

static void value(void *ctx, size_t row, int column, sqlite3_context *ret)
{
    (void)ctx;
    static const char *const words[] = {"one", "two", "three"};
    if (column == 0)
        sqlite3_result_int64(ret, (sqlite3_int64)row + 1);
    else if (column == 1)
        sqlite3_result_text(ret, words[row], -1, SQLITE_STATIC);
}

static size_t rows_there;
static const struct sqlite_rows rows = {"come", "number, word, none", count, value, &rows_there};

static sqlite3 *open_with_rows(void)
{
    sqlite3 *db = NULL;
    struct err err = {0};
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    if (!sqlite_rows_add(db, &rows, &err))
        fail_msg("%s", err.text);
    rows_there = 3;
    return db;
}

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void answers(sqlite3 *db, const char *sql, const char *expected)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal(sqlite3_column_text(statement, 0), expected);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

static void statements_read_the_rows_that_are_there_now(void **state)
{
    (void)state;
    sqlite3 *db = open_with_rows();
    run(db, "CREATE TABLE kept (number PRIMARY KEY, word, none, times DEFAULT 1)");
    static const char add[] = "INSERT INTO kept (number, word, none) SELECT number, word, none"
                              " FROM come WHERE true ON CONFLICT DO UPDATE SET times = times + 1";
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, add, -1, &statement, NULL), SQLITE_OK);
    for (size_t i = 0; i <= 3; i++) {
        rows_there = i;
        assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
        assert_int_equal(sqlite3_reset(statement), SQLITE_OK);
    }
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    answers(db, "SELECT group_concat(number || word || times || typeof(none)) FROM kept",
            "1one3null,2two2null,3three1null");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* What stands in a file may be of somebody else. */
static void no_view_reads_them_and_nobody_writes_them(void **state)
{
    (void)state;
    sqlite3 *db = open_with_rows();
    run(db, "CREATE VIEW seen AS SELECT * FROM come");
    assert_int_equal(sqlite3_exec(db, "SELECT * FROM seen", NULL, NULL, NULL), SQLITE_ERROR);
    assert_non_null(strstr(sqlite3_errmsg(db), "unsafe use"));
    assert_int_equal(sqlite3_exec(db, "DELETE FROM come", NULL, NULL, NULL), SQLITE_ERROR);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_read_the_rows_that_are_there_now),
        cmocka_unit_test(no_view_reads_them_and_nobody_writes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
