/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "storage/fleetdb_account.h"
#include "storage/fleetdb_blobs.h"
#include "storage/fleetdb_rollups.h"
#include "storage/fleetdb_runs.h"
#include "storage/fleetdb_spans.h"
#include "storage/fleetdb_standing.h"
#include "tests/unit/testing.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const char *const fleetdb_migrations[];

/* A database as musterd left it before records were accounted for, with data in it. */
static const char before_the_account[] =
    "INSERT INTO region (id, name) VALUES (3, 'south');"
    "INSERT INTO merchant (id, code, name) VALUES (4, 'm1', 'M');"
    "INSERT INTO store (id, merchant, code, name, region) VALUES (5, 4, 's1', 'S', 3);"
    "INSERT INTO device (id, name, serial, model, life_cycle, store, enrolled_ms, updated_ms)"
    " VALUES (1, 't1', 's', 'm', 'suspended', 5, 70, 0), (2, 't2', 's2', 'm', 'spare', NULL, 80, "
    "0);"
    "INSERT INTO stream (id, device, incarnation, lane, cumulative, last_seq, first_ms, updated_ms)"
    " VALUES (1, 1, 5, 1, 5, 0, 0, 0)," /* how many it gave was not said */
    " (2, 1, 5, 2, 4, 10, 0, 0), (3, 1, -6, 1, 7, 7, 0, 0), (4, 1, -6, 3, 0, 0, 0, 0);"
    "INSERT INTO stream_range (stream, first, last) VALUES (1, 7, 9), (1, 11, 11), (2, 6, 6);"
    "INSERT INTO conflict (device, incarnation, lane, seq, held_digest, sent_digest, first_ms,"
    " last_ms) VALUES (1, 5, 1, 3, 1, 2, 0, 0), (1, -6, 1, 4, 1, 2, 0, 0);"
    "INSERT INTO blob (id, sha256, content, stored_ms) VALUES (7, zeroblob(32), x'abcd', 5),"
    " (8, randomblob(32), x'ef', 6);"
    "INSERT INTO document (id, name, version, kind, epoch, length, sha256, minimum_version, header,"
    " published_ms) VALUES (3, 'bins', 1, 1, 1, 2, zeroblob(32), 0, x'00', 0);"
    "INSERT INTO encoding (document, blob, coding) VALUES (3, 7, 1);"
    "INSERT INTO assignment (device, name, document, mode, assigned_ms)"
    " VALUES (1, 'bins', 3, 2, 0);"
    "INSERT INTO manifest (device, version, issued_ms, envelope) VALUES (1, 1, 0, x'00');";

/* Results 1 to 5, 7 to 9 and 11 of a stream, with nothing in them but a code and an amount. */
static void add_results(sqlite3 *raw)
{
    static const char make[] =
        "SELECT 'INSERT INTO result (id, device, incarnation, seq, at_ms, terminal, code,"
        " amount_minor, outcome, ' || group_concat(name) || ') WITH RECURSIVE n (i) AS (VALUES (1)"
        " UNION ALL SELECT i + 1 FROM n WHERE i < 11) SELECT i, 1, 5, i, i * 1800000, 1, ''57'', "
        "100,"
        " 2, ' || group_concat(CASE type WHEN 'TEXT' THEN '''''' WHEN 'BLOB' THEN 'x'''''"
        " ELSE '0' END) || ' FROM n WHERE i NOT IN (6, 10)' FROM pragma_table_info('result')"
        " WHERE name NOT IN ('id', 'device', 'incarnation', 'seq', 'at_ms', 'terminal', 'code',"
        "  'amount_minor', 'outcome')";
    sqlite3_stmt *statement = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_prepare_v2(raw, make, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    if (sqlite3_exec(raw, (const char *)sqlite3_column_text(statement, 0), NULL, NULL, &why) !=
        SQLITE_OK)
        fail_msg("%s", why);
    (void)sqlite3_finalize(statement);
}

struct older {
    char dir[64], path[96], said[96];
    struct fleetdb *db;
};

/* What it says goes to the file `said`. */
static void open_it(const char *path, const char *said, struct fleetdb **ret_db)
{
    int log = open(said, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int before = dup(STDERR_FILENO);
    assert_true(log >= 0 && before >= 0 && dup2(log, STDERR_FILENO) >= 0);
    bool done = fleetdb_open(path, ret_db, NULL);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    (void)close(log);
    (void)close(before);
    assert_true(done);
}

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
    add_results(raw);
    assert_int_equal(sqlite3_close(raw), SQLITE_OK);
    (void)snprintf(older->said, sizeof older->said, "%s/said", older->dir);
    open_it(older->path, older->said, &older->db);
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

static void its_content_and_who_wants_it_are_kept(void **state)
{
    struct older *older = *state;
    struct fleetdb_blob_sums sums;
    struct buf content = {0};
    uint8_t wanted[32], next[32];
    const uint8_t before[32] = {0};
    bool found;
    assert_true(fleetdb_blob_sums(older->db, &sums, NULL));
    assert_int_equal(sums.blobs, 2);
    assert_int_equal(sums.bytes, 3);
    assert_int_equal(sums.retained, 1);
    memset(wanted, 0, sizeof wanted);
    assert_true(fleetdb_blob_get(older->db, wanted, &content, NULL));
    assert_int_equal(content.length, 2);
    assert_memory_equal(content.data, "\xab\xcd", 2);
    buf_done(&content);
    assert_true(fleetdb_blob_in_list(older->db, wanted, wanted, &found, NULL));
    assert_true(found);
    assert_true(fleetdb_blob_retained(older->db, wanted, NULL));
    assert_true(fleetdb_blob_withdrawn(older->db, wanted, &found, NULL));
    assert_true(found); /* a manifest names it */
    assert_true(fleetdb_wanted_blob_next(older->db, before, next, &found, NULL));
    assert_false(found); /* after itself comes nothing: the other one nobody wants */
}

static void its_devices_stand_where_they_stood(void **state)
{
    struct older *older = *state;
    struct fleetdb_stand standing;
    assert_true(fleetdb_standing_at(older->db, 1, 90, &standing, NULL));
    assert_int_equal(standing.store, 5);
    assert_int_equal(standing.merchant, 4);
    assert_int_equal(standing.region, 3);
    assert_int_equal(standing.life, FLEETDB_SUSPENDED);
    assert_int_equal(standing.from_ms, 70);
    assert_int_equal(standing.to_ms, INT64_MAX);
    assert_true(fleetdb_standing_at(older->db, 2, 90, &standing, NULL));
    assert_int_equal(standing.store, 0);
    assert_int_equal(standing.life, FLEETDB_SPARE);
}

static void its_results_are_summed_up(void **state)
{
    struct older *older = *state;
    sqlite3 *raw = NULL;
    sqlite3_stmt *statement = NULL;
    char text[120] = "";
    uint64_t wrong = 0;
    assert_true(fleetdb_rollups_check(older->db, &wrong, text, sizeof text, NULL));
    assert_int_equal(wrong, 0);
    assert_true(fleetdb_spans_check(older->db, &wrong, NULL));
    assert_int_equal(wrong, 0);
    assert_int_equal(sqlite3_open(older->path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(raw,
                                        "SELECT sum(results), count(*), sum(amount_minor),"
                                        " min(standing), max(carried), min(software) > 0"
                                        " FROM rollup_device_hour WHERE in_service = 0",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    static const int64_t expected[] = {9, 6, 900, 1, 0, 1};
    for (int i = 0; i < (int)(sizeof expected / sizeof *expected); i++)
        assert_int_equal(sqlite3_column_int64(statement, i), expected[i]);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(raw);
}

/* Found again by their runs, and by nothing else. */
static void its_results_are_in_runs(void **state)
{
    struct older *older = *state;
    struct fleetdb_account lanes[FLEETDB_LANES];
    bool held = false;
    int64_t row = 0;
    for (uint64_t seq = 1; seq <= 12; seq++) {
        const struct fleetdb_run_id id = {1, 5, seq};
        assert_true(fleetdb_run_look(older->db, &id, &held, &row, NULL));
        assert_int_equal(held, seq != 6 && seq != 10 && seq != 12);
        assert_true(!held || row == (int64_t)seq);
    }
    assert_true(fleetdb_account_of(older->db, 1, true, lanes, NULL));
    assert_int_equal(lanes[0].committed, 9); /* and the rows of incarnation -6 are not there */
    assert_int_equal(lanes[0].unaccounted, 7);
}

static void its_file_is_sound(void **state)
{
    struct older *older = *state;
    sqlite3 *raw = NULL;
    sqlite3_stmt *check = NULL;
    assert_int_equal(sqlite3_open(older->path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(raw, "PRAGMA integrity_check", -1, &check, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(check), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(check, 0), "ok");
    (void)sqlite3_finalize(check);
    (void)sqlite3_close(raw);
}

/* It may take long, and nobody is to think that it hangs. */
static void it_is_told_before_it_is_made_over(void **state)
{
    struct older *older = *state;
    struct buf said = {0};
    struct fleetdb *new = NULL;
    char path[128];
    assert_true(file_read(older->said, 1 << 20, &said, NULL) && buf_append(&said, "", 1, NULL));
    const char *runs = strstr((const char *)said.data, "migration 0021");
    assert_non_null(runs);
    assert_non_null(strstr(runs, "begins"));
    assert_null(strstr((const char *)said.data, "migration 0002"));
    buf_done(&said);
    (void)snprintf(path, sizeof path, "%s/new.db", older->dir);
    open_it(path, older->said, &new);
    fleetdb_close(new);
    assert_true(file_read(older->said, 1 << 20, &said, NULL));
    assert_int_equal(said.length, 0);
    buf_done(&said);
}

/* Found again by their time. */
static void its_results_are_in_spans(void **state)
{
    struct older *older = *state;
    sqlite3 *raw = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(older->path, &raw), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(raw,
                           "SELECT count(*), count(DISTINCT r.id), count(DISTINCT p.bucket)"
                           " FROM result_span p JOIN result r ON r.id BETWEEN p.first_row"
                           " AND p.last_row AND r.at_ms / 900000 = p.bucket",
                           -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sqlite3_column_int64(statement, i), 9);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(raw);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, older_open, older_close)
    const struct CMUnitTest tests[] = {
        TEST(its_records_are_accounted_for),
        TEST(its_first_hello_closes_what_is_complete),
        TEST(its_content_and_who_wants_it_are_kept),
        TEST(its_results_are_summed_up),
        TEST(its_devices_stand_where_they_stood),
        TEST(its_results_are_in_runs),
        TEST(its_results_are_in_spans),
        TEST(its_file_is_sound),
        TEST(it_is_told_before_it_is_made_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
