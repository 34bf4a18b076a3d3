/* SPDX-License-Identifier: Apache-2.0 */
/* What the outside oracle must notice. Six results of ten have arrived, been receipted and been
 * forgotten, four are still in the spool; then something is spoiled behind everybody's back. */
#include "base/file.h"
#include "proto/record.pb-c.h"
#include "storage/fleetdb.h"
#include "tests/oracle/log.h"
#include "tests/unit/spool_world.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err err = {0};                                                                      \
        if (!(call))                                                                               \
            fail_msg("%s", err.text);                                                              \
    } while (0)

static const char device[] = "p-100001";

struct world {
    void *spool_state;
    struct spool_world *spool; /* closed while the oracle looks */
    char fleet_path[96], log_path[96];
    uint64_t incarnation;
    struct oracle_log *log;
    struct oracle_report report;
    bool sums_stay; /* as the test made them */
};

static struct oracle_result result_of(unsigned n, char key[16])
{
    (void)snprintf(key, 16, "key-%u", n);
    return (struct oracle_result){
        .device = device, .key = text(key), .stan = n, .amount_minor = 100 * n, .code = "57"};
}

/* The terminal takes a result, whatever was submitted. */
static struct spool_record take(struct world *world, const struct oracle_result *result)
{
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    uint8_t body[128];
    txn.stan = result->stan;
    txn.amount_minor = result->amount_minor;
    txn.code = (char *)(uintptr_t)result->code;
    size_t length = muster__txn_result__pack(&txn, body);
    struct spool_record record = {.lane = 1, .key = result->key, .body = bytes_of(body, length)};
    OK(spool_push(world->spool->spool, &record, 1, &err));
    return record;
}

static void submit(struct world *world, unsigned n)
{
    char key[16];
    const struct oracle_result result = result_of(n, key);
    OK(oracle_log_submitted(world->log, &result, &err));
    struct spool_record record = take(world, &result);
    OK(oracle_log_answered(world->log, device, result.key, record.incarnation, record.seq, &err));
}

/* One statement on a database that nobody has open. */
static void sql(const char *path, const char *format, ...)
{
    sqlite3 *db = NULL;
    char *error = NULL;
    va_list args;
    va_start(args, format);
    char *statement = sqlite3_vmprintf(format, args);
    va_end(args);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_exec(db, statement, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", statement, error);
    sqlite3_free(statement);
    (void)sqlite3_close(db);
}

/* The columns of `result` that no test cares for are empty. */
static void arrive(const struct world *world, unsigned n)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;
    char columns[1024] = "device, incarnation, seq, idempotency_key, stan, amount_minor, code";
    char values[1024] = "";
    assert_int_equal(sqlite3_open(world->fleet_path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "SELECT name, CASE WHEN name IN ('rrn', 'auth_code', 'code',"
                           " 'issuer_bucket', 'app_version', 'firmware_version') THEN ', '''''"
                           " WHEN name IN ('aid', 'card_token', 'tvr', 'tsi', 'cvm_result',"
                           " 'capk_rid', 'generation') THEN ', x''''' ELSE ', 0' END"
                           " FROM pragma_table_info('result')"
                           " WHERE name NOT IN ('id', 'device', 'incarnation', 'seq',"
                           " 'idempotency_key', 'stan', 'amount_minor', 'code')",
                           -1, &rows, NULL),
        SQLITE_OK);
    while (sqlite3_step(rows) == SQLITE_ROW) {
        (void)strcat(strcat(columns, ", "), (const char *)sqlite3_column_text(rows, 0));
        (void)strcat(values, (const char *)sqlite3_column_text(rows, 1));
    }
    (void)sqlite3_finalize(rows);
    (void)sqlite3_close(db);
    sql(world->fleet_path,
        "INSERT INTO result (%s) VALUES (1, %lld, %u, CAST('key-%u' AS BLOB), %u, %u, '57'%s)",
        columns, (int64_t)world->incarnation, n, n, n, 100 * n, values);
}

static void make_fleet(struct world *world)
{
    struct fleetdb *db = NULL;
    OK(fleetdb_open(world->fleet_path, &db, &err));
    fleetdb_close(db);
    sql(world->fleet_path,
        "INSERT INTO device (id, name, serial, model, enrolled_ms, updated_ms)"
        " VALUES (1, '%s', 's', 'm', 0, 0);"
        "INSERT INTO standing (device, life, from_ms, why, who)"
        " VALUES (1, 'in_service', 0, '', '');"
        "INSERT INTO stream (id, device, incarnation, lane, cumulative, last_seq, first_ms,"
        " updated_ms) VALUES (1, 1, %lld, 1, 6, 10, 0, 0)",
        device, (int64_t)world->incarnation);
    for (unsigned n = 1; n <= 6; n++)
        arrive(world, n);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_int_equal(spool_world_setup(&world->spool_state), 0);
    world->spool = world->spool_state;
    (void)snprintf(world->fleet_path, sizeof world->fleet_path, "%s/fleet.db", world->spool->dir);
    (void)snprintf(world->log_path, sizeof world->log_path, "%s/log", world->spool->dir);
    OK(oracle_log_open(world->log_path, &world->log, &err));
    world->incarnation = spool_incarnation(world->spool->spool);
    for (unsigned n = 1; n <= 10; n++)
        submit(world, n);
    receipt(world->spool->spool, world->incarnation, 1, 6);
    world->spool->boot_ms += LONG_AFTER_MS;
    assert_int_equal(forget(world->spool->spool), 6);
    make_fleet(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    oracle_log_close(world->log);
    int result = spool_world_teardown(&world->spool_state);
    free(world);
    return result;
}

static void close_spool(struct world *world)
{
    spool_close(world->spool->spool);
    world->spool->spool = NULL;
}

/* Rows that a test has put there or taken away are summed up as the migration sums up what it
 * finds. */
static void sum_up(struct world *world)
{
    struct buf sums = {.limit = SIZE_MAX};
    assert_true(file_read(MUSTER_SUM_UP, SIZE_MAX, &sums, NULL) && buf_append(&sums, "", 1, NULL));
    sql(world->fleet_path, "UPDATE result SET standing = (SELECT id FROM standing t"
                           " WHERE t.device = result.device)");
    sql(world->fleet_path, "%s", (const char *)sums.data);
    buf_done(&sums);
}

static void judge(struct world *world, int64_t quota_bytes, bool with_fleet)
{
    if (!world->sums_stay)
        sum_up(world);
    const struct oracle_spool spool = {device, world->spool->path, quota_bytes};
    const struct oracle_places places = {&spool, 1, with_fleet ? world->fleet_path : NULL};
    struct oracle *oracle = NULL;
    close_spool(world);
    OK(oracle_open(&oracle, &err));
    OK(oracle_load(oracle, world->log_path, &err));
    if (!with_fleet)
        OK(oracle_arrived(oracle, device, world->incarnation, 1, 1, 6, &err));
    OK(oracle_check(oracle, &places, &world->report, &err));
    /* Looking changes nothing: a second look finds the same. */
    struct oracle_report again;
    OK(oracle_check(oracle, &places, &again, &err));
    assert_memory_equal(again.figures, world->report.figures, sizeof again.figures);
    oracle_close(oracle);
}

/* What must be 0 is what `found` says, and 0 where it says nothing. */
static void expect_found(struct world *world, const uint64_t found[ORACLE_FIGURES])
{
    judge(world, 64 << 20, true);
    uint64_t violations = 0;
    for (enum oracle_figure figure = ORACLE_lost; figure < ORACLE_FIGURES; figure++) {
        if (world->report.figures[figure] != found[figure])
            fail_msg("%s %ju, not %ju:\n%s", oracle_figure_name(figure),
                     (uintmax_t)world->report.figures[figure], (uintmax_t)found[figure],
                     world->report.findings);
        violations += found[figure];
    }
    assert_int_equal(world->report.violations, violations);
    if (violations > found[ORACLE_unsummed]) /* a sum is the whole fleet's */
        assert_non_null(strstr(world->report.findings, device));
}
#define FOUND(...) expect_found(world, (const uint64_t[ORACLE_FIGURES]){__VA_ARGS__})

/* ---- sound ---- */

static void test_what_is_sound_is_found_sound(void **state)
{
    struct world *world = *state;
    FOUND(0);
    assert_int_equal(world->report.figures[ORACLE_submitted], 10);
    assert_int_equal(world->report.figures[ORACLE_answered], 10);
    assert_int_equal(world->report.figures[ORACLE_committed], 6);
    assert_int_equal(world->report.figures[ORACLE_buffered], 4);
    assert_int_equal(world->report.figures[ORACLE_declared], 0);
    assert_int_equal(world->report.figures[ORACLE_repeated], 0);
    assert_string_equal(world->report.findings, "");
}

static void test_without_a_fleet_what_arrived_is_told(void **state)
{
    struct world *world = *state;
    judge(world, 0, false);
    assert_string_equal(world->report.findings, "");
}

static void test_what_was_not_answered_may_be_there_or_not(void **state)
{
    struct world *world = *state;
    char key[16];
    struct oracle_result there = result_of(11, key);
    OK(oracle_log_submitted(world->log, &there, &err));
    (void)take(world, &there);
    struct oracle_result nowhere = result_of(12, key);
    OK(oracle_log_submitted(world->log, &nowhere, &err));
    FOUND(0);
    assert_int_equal(world->report.figures[ORACLE_buffered], 5);
    assert_int_equal(world->report.figures[ORACLE_submitted], 12);
}

static void copy_file(const char *from, const char *to)
{
    struct buf content = {0};
    OK(file_read(from, 1 << 20, &content, &err));
    OK(file_write(to, buf_bytes(&content), 0600, &err));
    buf_done(&content);
}

static void test_a_wal_that_was_left_behind_counts_and_stays(void **state)
{
    struct world *world = *state;
    char copy[96], wal[128], wal_copy[128];
    (void)snprintf(copy, sizeof copy, "%s/k.db", world->spool->dir);
    (void)snprintf(wal, sizeof wal, "%s-wal", world->spool->path);
    (void)snprintf(wal_copy, sizeof wal_copy, "%s-wal", copy);
    /* As after kill -9: the files as they are while the spool is open. */
    copy_file(world->spool->path, copy);
    copy_file(wal, wal_copy);
    close_spool(world);
    (void)strcpy(world->spool->path, copy);
    FOUND(0);
    assert_int_equal(world->report.figures[ORACLE_buffered], 4);
    assert_true(file_exists(wal_copy));
}

/* ---- declared ---- */

static void test_what_is_declared_lost_is_no_loss(void **state)
{
    struct world *world = *state;
    OK(spool_lose(world->spool->spool, world->incarnation, 1, 8, 9, SPOOL_LOST_QUOTA, &err));
    FOUND(0);
    assert_int_equal(world->report.figures[ORACLE_declared], 2);
    assert_int_equal(world->report.figures[ORACLE_buffered], 2);
}

static void test_the_declaration_may_be_the_fleets_alone(void **state)
{
    struct world *world = *state;
    OK(spool_lose(world->spool->spool, world->incarnation, 1, 7, 10, SPOOL_LOST_UNKNOWN, &err));
    receipt(world->spool->spool, world->incarnation, 1, 10);
    world->spool->boot_ms += 2 * LONG_AFTER_MS;
    (void)forget(world->spool->spool);
    sql(world->fleet_path, "UPDATE stream SET cumulative = 10;"
                           "INSERT INTO stream_lost VALUES (1, 7, 9, 7), (1, 10, 10, 1)");
    FOUND(0);
    assert_int_equal(world->report.figures[ORACLE_unknown], 3);
    assert_int_equal(world->report.figures[ORACLE_declared], 1);
}

static void test_a_row_that_is_declared_lost(void **state)
{
    struct world *world = *state;
    sql(world->fleet_path, "INSERT INTO stream_lost VALUES (1, 5, 5, 1)");
    FOUND([ORACLE_stray] = 1);
}

/* All has been receipted; seq 10 is lost. */
static void close_incarnation(struct world *world)
{
    receipt(world->spool->spool, world->incarnation, 1, 10);
    for (unsigned n = 7; n <= 9; n++)
        arrive(world, n);
    sql(world->fleet_path,
        "DELETE FROM stream;"
        "INSERT INTO closed_incarnation VALUES (1, %lld, 10, 0, 0, 1, 0, 0, 0);"
        "INSERT INTO account VALUES (1, 1, 1, 10, 9);"
        "INSERT INTO account_lost VALUES (1, 1, 1, 1)",
        (int64_t)world->incarnation);
}

static void test_a_closed_incarnation_is_one_row(void **state)
{
    struct world *world = *state;
    close_incarnation(world);
    FOUND(0);
    assert_int_equal(world->report.figures[ORACLE_committed], 9);
    assert_int_equal(world->report.figures[ORACLE_declared], 1);
}

static void test_a_closed_incarnation_that_hides_a_loss(void **state)
{
    struct world *world = *state;
    close_incarnation(world);
    sql(world->fleet_path, "UPDATE closed_incarnation SET txn_lost = 0;"
                           "UPDATE account SET committed = 10; DELETE FROM account_lost");
    FOUND([ORACLE_claimed] = 1);
}

static void test_totals_that_say_something_else(void **state)
{
    struct world *world = *state;
    close_incarnation(world);
    sql(world->fleet_path, "UPDATE account SET submitted = 11");
    FOUND([ORACLE_miscounted] = 1);
}

/* ---- spoiled ---- */

static void test_sums_that_say_something_else(void **state)
{
    struct world *world = *state;
    sum_up(world);
    world->sums_stay = true;
    FOUND(0);
    sql(world->fleet_path, "UPDATE rollup_code_minute_sum SET results = results - 1");
    FOUND([ORACLE_unsummed] = 2); /* what is there, and what should be */
    sum_up(world);
    sql(world->fleet_path, "UPDATE rollup_device_hour SET amount_minor = 1");
    FOUND([ORACLE_unsummed] = 2);
    sum_up(world);
    sql(world->fleet_path, "DELETE FROM rollup_issuer_hour_sum");
    FOUND([ORACLE_unsummed] = 1);
}

/* The device moved, and its results of before went along. */
static void test_a_result_that_stood_elsewhere(void **state)
{
    struct world *world = *state;
    sum_up(world);
    world->sums_stay = true;
    sql(world->fleet_path, "UPDATE standing SET to_ms = 50;"
                           "INSERT INTO standing (device, life, from_ms, why, who)"
                           " VALUES (1, 'in_service', 50, '', '')");
    FOUND(0);
    sql(world->fleet_path, "UPDATE result SET standing = 2 WHERE seq <= 2");
    judge(world, 0, true);
    assert_in_range(world->report.figures[ORACLE_unsummed], 2, 8);
}

static void test_a_row_that_is_gone(void **state)
{
    struct world *world = *state;
    sql(world->fleet_path, "DELETE FROM result WHERE seq = 3");
    FOUND([ORACLE_lost] = 1, [ORACLE_claimed] = 1);
}

static void test_a_result_that_is_counted_twice(void **state)
{
    struct world *world = *state;
    sql(world->fleet_path, "DROP INDEX result_key");
    arrive(world, 7);
    sql(world->fleet_path, "UPDATE stream SET cumulative = 7;"
                           "UPDATE result SET idempotency_key = CAST('key-6' AS BLOB), stan = 6,"
                           " amount_minor = 600 WHERE seq = 7");
    FOUND([ORACLE_doubled] = 1);
    assert_int_equal(world->report.figures[ORACLE_repeated], 1);
}

static void test_a_code_that_was_altered(void **state)
{
    struct world *world = *state;
    sql(world->fleet_path, "UPDATE result SET code = '00' WHERE seq = 2");
    FOUND([ORACLE_altered] = 1);
}

static void test_a_spool_that_holds_something_else(void **state)
{
    struct world *world = *state;
    char key[16];
    struct oracle_result result = result_of(11, key);
    OK(oracle_log_submitted(world->log, &result, &err));
    result.amount_minor++;
    (void)take(world, &result);
    struct oracle_result stranger = result_of(12, key);
    (void)take(world, &stranger);
    FOUND([ORACLE_altered] = 1, [ORACLE_invented] = 1);
}

static void test_a_result_that_nobody_submitted(void **state)
{
    struct world *world = *state;
    arrive(world, 7);
    sql(world->fleet_path, "UPDATE stream SET cumulative = 7;"
                           "UPDATE result SET idempotency_key = x'00' WHERE seq = 7");
    FOUND([ORACLE_invented] = 1);
}

static void test_a_hole_that_is_called_committed(void **state)
{
    struct world *world = *state;
    sql(world->fleet_path, "UPDATE stream SET cumulative = 8");
    FOUND([ORACLE_claimed] = 2);
}

static void test_a_row_outside_of_the_intervals(void **state)
{
    struct world *world = *state;
    arrive(world, 9);
    FOUND([ORACLE_stray] = 1);
}

static void test_a_record_in_neither_place(void **state)
{
    struct world *world = *state;
    close_spool(world);
    sql(world->spool->path, "DELETE FROM segment WHERE lane = 1 AND first_seq = 8");
    FOUND([ORACLE_lost] = 1, [ORACLE_vanished] = 1, [ORACLE_holes] = 1);
}

static void test_a_damaged_segment(void **state)
{
    struct world *world = *state;
    close_spool(world);
    sql(world->spool->path, "UPDATE segment SET body = zeroblob(length(body)) WHERE first_seq = 8");
    FOUND([ORACLE_lost] = 1, [ORACLE_vanished] = 1, [ORACLE_holes] = 1, [ORACLE_damaged] = 1);
}

/* Forty in one commit: longer than what a run of a compressed body takes. */
static void submit_together(struct world *world)
{
    enum { TOGETHER = 40 };
    struct spool_record records[TOGETHER];
    char keys[TOGETHER][16];
    uint8_t bodies[TOGETHER][64];
    for (unsigned i = 0; i < TOGETHER; i++) {
        const struct oracle_result result = result_of(11 + i, keys[i]);
        Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
        txn.stan = result.stan;
        txn.amount_minor = result.amount_minor;
        txn.code = (char *)(uintptr_t)result.code;
        size_t length = muster__txn_result__pack(&txn, bodies[i]);
        records[i] = (struct spool_record){
            .lane = 1, .key = result.key, .body = bytes_of(bodies[i], length)};
        OK(oracle_log_submitted(world->log, &result, &err));
    }
    OK(spool_push(world->spool->spool, records, TOGETHER, &err));
    for (unsigned i = 0; i < TOGETHER; i++)
        OK(oracle_log_answered(world->log, device, records[i].key, records[i].incarnation,
                               records[i].seq, &err));
}

static void test_a_compressed_segment(void **state)
{
    struct world *world = *state;
    static const struct spool_dictionary dictionary = {1, {(const uint8_t *)"key-10 57", 9}};
    world->spool->settings.dictionaries = &dictionary;
    world->spool->settings.dictionary_count = 1;
    spool_world_reopen(world->spool);
    submit_together(world);
    FOUND();
    sql(world->spool->path, "UPDATE segment SET body = CAST(substr(body, 1, length(body) - 9) ||"
                            " x'a5a5' || substr(body, length(body) - 6) AS BLOB) WHERE codec = 1");
    judge(world, 64 << 20, true);
    assert_int_equal(world->report.figures[ORACLE_damaged], 1);
    assert_true(world->report.figures[ORACLE_lost] > 0);
    assert_true(world->report.figures[ORACLE_lost] <= 8); /* the second run, 33 to 40 */
}

static void test_a_spool_that_forgets_what_was_not_committed(void **state)
{
    struct world *world = *state;
    receipt(world->spool->spool, world->incarnation, 1, 8);
    FOUND([ORACLE_early] = 2);
}

static void test_a_hole_that_nobody_declares(void **state)
{
    struct world *world = *state;
    sql(world->fleet_path, "UPDATE stream SET last_seq = 12");
    FOUND([ORACLE_holes] = 1);
}

static void test_a_retry_that_gets_another_id(void **state)
{
    struct world *world = *state;
    OK(oracle_log_answered(world->log, device, text("key-7"), world->incarnation, 10, &err));
    FOUND([ORACLE_reanswered] = 1);
    assert_int_equal(world->report.figures[ORACLE_repeated], 1);
}

static void test_a_result_beyond_what_its_device_may_tell(void **state)
{
    struct world *world = *state;
    sql(world->fleet_path, "UPDATE result SET software = -1, scheme = 9, outcome = 4 + seq");
    FOUND(0);
}

static void test_a_value_of_another_type(void **state)
{
    struct world *world = *state;
    sql(world->fleet_path, "UPDATE result SET app_version = 1 WHERE seq = 1;"
                           "UPDATE result SET masked = NULL, card_token = '' WHERE seq IN (2, 3);"
                           "ALTER TABLE result ADD COLUMN other");
    FOUND([ORACLE_untyped] = 4);
}

static void test_too_much_disk(void **state)
{
    struct world *world = *state;
    judge(world, 100000, true);
    assert_int_equal(world->report.figures[ORACLE_oversize], 1);
    assert_int_equal(world->report.violations, 1);
}

static void test_what_cannot_be_read_is_no_verdict(void **state)
{
    struct world *world = *state;
    struct oracle *oracle = NULL;
    struct err why = {0};
    const struct oracle_spool spool = {device, "/nowhere/spool.db", 0};
    const struct oracle_places places = {&spool, 1, world->fleet_path};
    OK(oracle_open(&oracle, &err));
    assert_false(oracle_check(oracle, &places, &world->report, &why));
    assert_non_null(strstr(why.text, "/nowhere/spool.db"));
    assert_false(oracle_load(oracle, world->fleet_path, &why));
    oracle_close(oracle);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_sound_is_found_sound),
        TEST(test_without_a_fleet_what_arrived_is_told),
        TEST(test_what_was_not_answered_may_be_there_or_not),
        TEST(test_a_wal_that_was_left_behind_counts_and_stays),
        TEST(test_what_is_declared_lost_is_no_loss),
        TEST(test_the_declaration_may_be_the_fleets_alone),
        TEST(test_a_row_that_is_declared_lost),
        TEST(test_a_closed_incarnation_is_one_row),
        TEST(test_a_closed_incarnation_that_hides_a_loss),
        TEST(test_totals_that_say_something_else),
        TEST(test_sums_that_say_something_else),
        TEST(test_a_result_that_stood_elsewhere),
        TEST(test_a_row_that_is_gone),
        TEST(test_a_result_that_is_counted_twice),
        TEST(test_a_code_that_was_altered),
        TEST(test_a_spool_that_holds_something_else),
        TEST(test_a_result_that_nobody_submitted),
        TEST(test_a_hole_that_is_called_committed),
        TEST(test_a_row_outside_of_the_intervals),
        TEST(test_a_record_in_neither_place),
        TEST(test_a_damaged_segment),
        TEST(test_a_compressed_segment),
        TEST(test_a_spool_that_forgets_what_was_not_committed),
        TEST(test_a_hole_that_nobody_declares),
        TEST(test_a_retry_that_gets_another_id),
        TEST(test_a_result_beyond_what_its_device_may_tell),
        TEST(test_a_value_of_another_type),
        TEST(test_too_much_disk),
        TEST(test_what_cannot_be_read_is_no_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
