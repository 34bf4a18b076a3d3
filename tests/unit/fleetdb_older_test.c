/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "storage/fleetdb_account.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

extern const char *const fleetdb_migrations[];

/* A database as musterd left it before records were accounted for, with data in it. */
static const char before_the_account[] =
    "INSERT INTO device (id, name, serial, model, enrolled_ms, updated_ms)"
    " VALUES (1, 't1', 's', 'm', 0, 0);"
    "INSERT INTO stream (id, device, incarnation, lane, cumulative, last_seq, first_ms, updated_ms)"
    " VALUES (1, 1, 5, 1, 5, 0, 0, 0)," /* how many it gave was not said */
    " (2, 1, 5, 2, 4, 10, 0, 0), (3, 1, -6, 1, 7, 7, 0, 0), (4, 1, -6, 3, 0, 0, 0, 0);"
    "INSERT INTO stream_range (stream, first, last) VALUES (1, 7, 9), (1, 11, 11), (2, 6, 6);"
    "INSERT INTO conflict (device, incarnation, lane, seq, held_digest, sent_digest, first_ms,"
    " last_ms) VALUES (1, 5, 1, 3, 1, 2, 0, 0), (1, -6, 1, 4, 1, 2, 0, 0);";

struct older {
    char dir[64], path[96];
    struct fleetdb *db;
};

static int older_open(void **state)
{
    struct older *older = calloc(1, sizeof *older);
    sqlite3 *raw = NULL;
    assert_non_null(older);
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(older->dir, sizeof older->dir, "%s/muster-older-XXXXXX",
                   temporary ? temporary : "/tmp");
    assert_non_null(mkdtemp(older->dir));
    (void)snprintf(older->path, sizeof older->path, "%s/fleet.db", older->dir);
    assert_int_equal(sqlite3_open(older->path, &raw), SQLITE_OK);
    const char *const steps[] = {fleetdb_migrations[0], fleetdb_migrations[1], before_the_account,
                                 "PRAGMA user_version=2; PRAGMA application_id=0x4d736644"};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        assert_int_equal(sqlite3_exec(raw, steps[i], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(raw), SQLITE_OK);
    assert_true(fleetdb_open(older->path, &older->db, NULL));
    *state = older;
    return 0;
}

static int older_close(void **state)
{
    struct older *older = *state;
    fleetdb_close(older->db);
    assert_true(file_remove_tree(older->dir, NULL));
    free(older);
    return 0;
}

static struct fleetdb_account account(struct older *older)
{
    struct fleetdb_account lanes[FLEETDB_LANES], sum = {0};
    assert_true(fleetdb_account_of(older->db, 1, false, lanes, NULL));
    for (int lane = 0; lane < FLEETDB_LANES; lane++)
        fleetdb_account_add(&sum, &lanes[lane]);
    return sum;
}

/* What was held is committed, holes and what was said beyond are the terminal's until it says
 * otherwise, and conflicts are still to be given up. */
static void its_records_are_accounted_for(void **state)
{
    struct older *older = *state;
    struct fleetdb_account sum = account(older);
    assert_int_equal(sum.submitted, 11 + 10 + 7);
    assert_int_equal(sum.committed, 9 + 5 + 7);
    assert_int_equal(sum.buffered, 2 + 5);
    assert_int_equal(sum.unaccounted, 0);
    assert_int_equal(sum.open, 3);
    assert_int_equal(sum.conflicts, 2);
    assert_int_equal(sum.refused, 2);
}

static void its_first_hello_closes_what_is_complete(void **state)
{
    struct older *older = *state;
    const struct fleetdb_hello hello = {.number = 1, .incarnation = 9};
    size_t closed = 0;
    assert_true(fleetdb_begin(older->db, NULL));
    assert_true(fleetdb_hello_write(older->db, 1, &hello, NULL));
    assert_true(fleetdb_close_incarnations(older->db, 1, &hello, 10, 1000, &closed, NULL));
    assert_true(fleetdb_commit(older->db, NULL));
    assert_int_equal(closed, 1);
    struct fleetdb_account sum = account(older);
    assert_int_equal(sum.submitted, 11 + 10 + 7);
    assert_int_equal(sum.committed, 9 + 5 + 7);
    assert_int_equal(sum.unaccounted, 2 + 5); /* that hello did not name them */
    assert_int_equal(sum.open, 2);
    assert_int_equal(sum.closed, 1);
    assert_int_equal(sum.refused, 1);
    fleetdb_close(older->db);
    assert_true(fleetdb_open(older->path, &older->db, NULL));
    assert_int_equal(account(older).closed, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, older_open, older_close)
    const struct CMUnitTest tests[] = {
        TEST(its_records_are_accounted_for),
        TEST(its_first_hello_closes_what_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
