/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_records.h"

#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"
#include "tests/world/rng.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { RECORDS = 300, LONG = 60 };
static const size_t lengths[] = {0, 1, 8, 24, 25, LONG};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

struct cell {
    int64_t number;
    size_t length;
    char text[LONG];
};

/* Mostly as in the record before, as most columns are. */
static void change(struct rng *rng, struct cell row[FLEETDB_COLUMNS_MAX], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rng_below(rng, 3) > 0)
            continue;
        row[i].number = (int64_t)rng_below(rng, 3) - 1;
        row[i].length = lengths[rng_below(rng, LENGTHS)];
        memset(row[i].text, 'a' + (int)rng_below(rng, 2), sizeof row[i].text);
    }
}

static void insert(struct fleetdb *db, int64_t device, uint64_t seq,
                   const struct cell row[FLEETDB_COLUMNS_MAX])
{
    static struct cell given[FLEETDB_COLUMNS_MAX];
    struct fleetdb_value values[FLEETDB_COLUMNS_MAX] = {0};
    enum fleetdb_insert outcome = FLEETDB_SAME;
    size_t count = 0;
    const char *const *columns = fleetdb_columns(1, &count);
    memcpy(given, row, sizeof given);
    for (size_t i = 0; i < count; i++) {
        const enum fleetdb_type type = temp_fleet_type(columns[i]);
        values[i] = type == FLEETDB_INTEGER
                        ? fleetdb_integer(given[i].number)
                        : fleetdb_bytes(type, bytes_of(given[i].text, given[i].length));
    }
    const struct fleetdb_record record = {.device = device,
                                          .lane = 1,
                                          .incarnation = 1,
                                          .seq = seq,
                                          .at_ms = 1,
                                          .key = fleetdb_bytes_of(&values[0]),
                                          .values = values};
    assert_true(fleetdb_insert(db, &record, 1, &(const bool){false}, &outcome, NULL));
    assert_int_equal(outcome, FLEETDB_NEW);
    memset(given, '?', sizeof given); /* as the next message does */
}

static void is_stored(sqlite3_stmt *stored, const struct cell *cell, const char *column, int place)
{
    static const int types[] = {SQLITE_INTEGER, SQLITE_TEXT, SQLITE_BLOB};
    const enum fleetdb_type type = temp_fleet_type(column);
    if (sqlite3_column_type(stored, place) != types[type])
        fail_msg("%s is of type %d", column, sqlite3_column_type(stored, place));
    if (type == FLEETDB_INTEGER) {
        assert_int_equal(sqlite3_column_int64(stored, place), cell->number);
        return;
    }
    assert_int_equal(sqlite3_column_bytes(stored, place), cell->length);
    if (cell->length > 0)
        assert_memory_equal(sqlite3_column_blob(stored, place), cell->text, cell->length);
}

/* No row has anything of another one, and each value is of its column's type, which the schema
 * does not ask for. */
static void what_comes_is_what_is_stored(void **state)
{
    struct temp_fleet *fleet = *state;
    static struct cell rows[RECORDS][FLEETDB_COLUMNS_MAX];
    struct rng rng = rng_of(5);
    char path[128], sql[2048] = "SELECT ";
    size_t count = 0;
    sqlite3 *beside = NULL;
    sqlite3_stmt *stored = NULL;
    const char *const *columns = fleetdb_columns(1, &count);
    const int64_t device = temp_fleet_device(fleet, "t1");
    assert_string_equal(columns[0], "idempotency_key");
    for (size_t i = 0; i < RECORDS; i++) {
        if (i > 0)
            memcpy(rows[i], rows[i - 1], sizeof rows[i]);
        change(&rng, rows[i], count);
        rows[i][0].length = (size_t)snprintf(rows[i][0].text, LONG, "key %zu", i);
        insert(fleet->db, device, i + 1, rows[i]);
    }
    for (size_t i = 0; i < count; i++)
        (void)strcat(strcat(sql, i > 0 ? ", " : ""), columns[i]);
    (void)strcat(sql, " FROM result ORDER BY id");
    (void)snprintf(path, sizeof path, "%s/fleet.db", fleet->dir);
    assert_int_equal(sqlite3_open(path, &beside), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(beside, sql, -1, &stored, NULL), SQLITE_OK);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_int_equal(sqlite3_step(stored), SQLITE_ROW);
        for (size_t c = 0; c < count; c++)
            is_stored(stored, &rows[i][c], columns[c], (int)c);
    }
    assert_int_equal(sqlite3_step(stored), SQLITE_DONE);
    (void)sqlite3_finalize(stored);
    (void)sqlite3_close(beside);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(what_comes_is_what_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
