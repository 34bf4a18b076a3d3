/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "storage/sqlite.h"
#include "tests/unit/testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const migrations[] = {
    "CREATE TABLE item (name TEXT PRIMARY KEY, value INTEGER)",
    "ALTER TABLE item ADD COLUMN note BLOB",
    "INSERT INTO item (name) VALUES ('half'); CREATE TABLE item (x)",
};
static const char *const migration_names[] = {"0001_item.sql", "0002_note.sql", "0003_bad.sql"};

enum { PUT, GET, COUNT, PUT_LONG, GET_NOTE };
static const char *const queries[] = {
    [PUT] = "INSERT INTO item (name, value) VALUES (:name, :value)",
    [GET] = "SELECT value FROM item WHERE name = :name",
    [COUNT] = "SELECT count(*) FROM item",
    [PUT_LONG] =
        "INSERT INTO item (name, value) SELECT 'one', 1 WHERE 1 IN (1000001, 1000002, 1000003,"
        " 1000004, 1000005, 1000006, 1000007, 1000008, 1000009, 1000010, 1000011, 1000012,"
        " 1000013, 1000014, 1000015, 1000016, 1000017, 1000018, 1000019, 1000020, 1000021,"
        " 1000022, 1000023, 1000024, 1000025, 1000026, 1000027, 1000028, 1000029, 1000030,"
        " 1000031, 1000032, 1000033, 1000034, 1000035, 1000036, 1000037, 1000038, 1)",
    [GET_NOTE] = "SELECT note FROM item",
};

struct fixture {
    char dir[64];
    char path[96];
    struct sqlite_settings settings;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->dir, "/tmp/muster-sqlite-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    snprintf(fixture->path, sizeof fixture->path, "%s/a.db", fixture->dir);
    fixture->settings = (struct sqlite_settings){
        .path = fixture->path,
        .what = "test store",
        .application_id = 77,
        .page_bytes = 1024,
        .exclusive = true,
        .migrations = migrations,
        .migration_names = migration_names,
        .migration_count = 2,
        .queries = queries,
        .query_count = 4,
    };
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    bool removed = file_remove_tree(fixture->dir, NULL);
    free(fixture);
    return removed ? 0 : -1;
}

static struct sqlite *opened(const struct fixture *fixture)
{
    struct sqlite *db = NULL;
    struct err err = {0};
    if (!sqlite_open(&fixture->settings, &db, &err))
        fail_msg("%s", err.text);
    return db;
}

static bool put(struct sqlite *db, const char *name, int64_t value, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(db, PUT);
    sqlite_bind_text(query, ":name", name);
    sqlite_bind_int(query, ":value", value);
    return sqlite_run(db, query, err);
}

static int64_t get(struct sqlite *db, const char *name)
{
    int64_t value = 0;
    sqlite3_stmt *query = sqlite_query(db, GET);
    sqlite_bind_text(query, ":name", name);
    assert_true(sqlite_value(db, query, -1, &value, NULL));
    return value;
}

static void test_pragmas_hold(void **state)
{
    struct sqlite *db = opened(*state);
    int64_t value = 0;
    assert_true(sqlite_pragma(db, &value, NULL, "PRAGMA page_size"));
    assert_int_equal(value, 1024);
    assert_true(sqlite_pragma(db, &value, NULL, "PRAGMA synchronous"));
    assert_int_equal(value, 2);
    assert_true(sqlite_pragma(db, &value, NULL, "PRAGMA automatic_index"));
    assert_int_equal(value, 0);
    sqlite_close(db);
}

static void test_rows_survive_reopening(void **state)
{
    struct sqlite *db = opened(*state);
    assert_true(put(db, "a", INT64_MIN, NULL));
    sqlite_close(db);
    db = opened(*state);
    assert_int_equal(get(db, "a"), INT64_MIN);
    assert_int_equal(get(db, "b"), -1);
    sqlite_close(db);
}

static void test_rollback_takes_back(void **state)
{
    struct sqlite *db = opened(*state);
    assert_true(sqlite_begin(db, NULL));
    assert_true(put(db, "a", 1, NULL));
    sqlite_rollback(db);
    assert_int_equal(get(db, "a"), -1);
    sqlite_rollback(db);
    assert_true(sqlite_begin(db, NULL));
    assert_true(put(db, "a", 2, NULL));
    assert_true(sqlite_commit(db, NULL));
    assert_int_equal(get(db, "a"), 2);
    sqlite_close(db);
}

static void test_a_constraint_is_a_conflict_that_names_the_file(void **state)
{
    const struct fixture *fixture = *state;
    struct sqlite *db = opened(fixture);
    struct err err = {0};
    assert_true(put(db, "a", 1, &err));
    assert_false(put(db, "a", 2, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, fixture->path));
    assert_non_null(strstr(err.text, "UNIQUE"));
    assert_int_equal(get(db, "a"), 1);
    sqlite_close(db);
}

static void test_a_full_database_is_full(void **state)
{
    struct sqlite *db = opened(*state);
    struct err err = {0};
    int64_t pages = 0;
    assert_true(sqlite_pragma(db, &pages, NULL, "PRAGMA max_page_count=20"));
    char name[32];
    int held = 0;
    for (; held < 10000; held++) {
        snprintf(name, sizeof name, "a name of some length %d", held);
        if (!put(db, name, held, &err))
            break;
    }
    assert_in_range(held, 10, 9999);
    assert_int_equal(err.code, ERR_FULL);
    int64_t count = 0;
    assert_true(sqlite_value(db, sqlite_query(db, COUNT), 0, &count, NULL));
    assert_int_equal(count, held);
    sqlite_close(db);
}

static void test_an_older_schema_is_brought_up_to_date(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.migration_count = 1;
    struct sqlite *db = opened(fixture);
    assert_true(put(db, "kept", 5, NULL));
    sqlite_close(db);
    fixture->settings.migration_count = 2;
    fixture->settings.query_count = 5; /* the last needs the new column */
    db = opened(fixture);
    assert_int_equal(get(db, "kept"), 5);
    sqlite_close(db);
}

static void test_a_newer_schema_is_refused_untouched(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    struct sqlite *db = opened(fixture);
    sqlite_close(db);
    struct buf before = {0}, after = {0};
    assert_true(file_read(fixture->path, 1 << 20, &before, NULL));
    fixture->settings.migration_count = 1;
    assert_false(sqlite_open(&fixture->settings, &db, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_non_null(strstr(err.text, "schema 2"));
    assert_true(file_read(fixture->path, 1 << 20, &after, NULL));
    assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
    buf_done(&before);
    buf_done(&after);
}

static void test_a_failing_migration_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    struct sqlite *db = NULL;
    fixture->settings.migration_count = 3;
    assert_false(sqlite_open(&fixture->settings, &db, &err));
    assert_non_null(strstr(err.text, "0003_bad.sql"));
    fixture->settings.migration_count = 2;
    db = opened(fixture);
    assert_int_equal(get(db, "half"), -1);
    sqlite_close(db);
}

/* What the call says of itself on stderr, in `ret_said`. */
static struct sqlite *opened_and_heard(const struct fixture *fixture, struct buf *ret_said)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/said", fixture->dir);
    const int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const int before = dup(STDERR_FILENO);
    assert_true(log >= 0 && before >= 0 && dup2(log, STDERR_FILENO) >= 0);
    struct sqlite *db = opened(fixture);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    (void)close(log);
    (void)close(before);
    assert_true(file_read(path, 1 << 20, ret_said, NULL) && buf_append(ret_said, "", 1, NULL));
    return db;
}

static void test_a_long_migration_says_that_it_goes_on(void **state)
{
    static const char *const more[] = {
        "CREATE TABLE item (name TEXT PRIMARY KEY, value INTEGER)",
        "INSERT INTO item WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 100000) SELECT i, i FROM n",
    };
    struct fixture *fixture = *state;
    struct buf said = {0};
    fixture->settings.migrations = more;
    fixture->settings.migration_count = 1;
    fixture->settings.tell_every_ms = 1;
    sqlite_close(opened(fixture));
    fixture->settings.migration_count = 2;
    sqlite_close(opened_and_heard(fixture, &said));
    const char *begins = strstr((const char *)said.data, "migration 0002_note.sql begins");
    assert_non_null(begins);
    const char *on = strstr(begins, "a.db: migration 0002_note.sql goes on, 0 s so far");
    assert_non_null(on);
    assert_non_null(strstr(on + 1, "goes on")); /* more than once */
    buf_done(&said);
}

static void test_another_programs_file_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    struct sqlite *db = opened(fixture);
    sqlite_close(db);
    fixture->settings.application_id = 78;
    assert_false(sqlite_open(&fixture->settings, &db, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
}

static void test_no_database_at_all_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    struct sqlite *db = NULL;
    static const char text[] = "this is not a database, but it is long enough to be looked at: "
                               "SQLite reads a hundred bytes before it says no to a file......";
    assert_true(file_write(fixture->path, bytes_of(text, sizeof text), 0600, NULL));
    assert_false(sqlite_open(&fixture->settings, &db, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, fixture->path));
    fixture->settings.path = "/nonexistent/a.db";
    assert_false(sqlite_open(&fixture->settings, &db, &err));
    assert_non_null(strstr(err.text, "No such file"));
}

static void test_a_second_process_is_kept_out(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite *db = opened(fixture);
    assert_true(put(db, "a", 1, NULL));
    pid_t child = fork();
    if (child == 0) {
        struct sqlite *second = NULL;
        struct err err = {0};
        bool in = sqlite_open(&fixture->settings, &second, &err);
        _exit(in ? 1 : err.code == ERR_UNAVAILABLE ? 0 : 2);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sqlite_close(db);
}

static void test_a_long_statement_does_not_hide_why(void **state)
{
    struct sqlite *db = opened(*state);
    struct err err = {0};
    assert_true(put(db, "one", 1, &err));
    assert_true(strlen(queries[PUT_LONG]) > sizeof err.text - 80);
    assert_false(sqlite_run(db, sqlite_query(db, PUT_LONG), &err));
    assert_non_null(strstr(err.text, "UNIQUE constraint failed: item.name"));
    assert_non_null(strstr(err.text, "INSERT INTO item"));
    sqlite_close(db);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pragmas_hold),
        TEST(test_rows_survive_reopening),
        TEST(test_rollback_takes_back),
        TEST(test_a_constraint_is_a_conflict_that_names_the_file),
        TEST(test_a_long_statement_does_not_hide_why),
        TEST(test_a_full_database_is_full),
        TEST(test_an_older_schema_is_brought_up_to_date),
        TEST(test_a_newer_schema_is_refused_untouched),
        TEST(test_a_failing_migration_leaves_nothing),
        TEST(test_a_long_migration_says_that_it_goes_on),
        TEST(test_another_programs_file_is_refused),
        TEST(test_no_database_at_all_is_an_error),
        TEST(test_a_second_process_is_kept_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
