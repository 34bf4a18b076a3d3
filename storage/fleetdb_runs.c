/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_runs.h"

#include "storage/fleetdb_internal.h"

#include <stdlib.h>

enum query { BEFORE, AFTER, ADD, QUERIES };

#define OF_STREAM " WHERE device = :device AND incarnation = :incarnation"

static const char *const texts[QUERIES] = {
    [BEFORE] = "SELECT first_seq, last_seq, first_row FROM result_run" OF_STREAM
               " AND first_seq <= :seq ORDER BY first_seq DESC LIMIT 1",
    [AFTER] = "SELECT min(first_seq) FROM result_run" OF_STREAM " AND first_seq > :seq",
    [ADD] = ("INSERT INTO result_run (device, incarnation, first_seq, last_seq, first_row)"
             " VALUES (:device, :incarnation, :seq, :last, :row)"),
};

const struct fleetdb_queries fleetdb_run_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query, const struct fleetdb_run_id *id)
{
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_RUNS, query);
    sqlite_bind_int(statement, ":device", id->device);
    sqlite_bind_u64(statement, ":incarnation", id->incarnation);
    sqlite_bind_u64(statement, ":seq", id->seq);
    return statement;
}

static bool is_of(const struct fleetdb_run *run, const struct fleetdb_run_id *id)
{
    return run->first.device == id->device && run->first.incarnation == id->incarnation;
}

bool fleetdb_runs_write(struct fleetdb *db, struct err *err)
{
    const struct fleetdb_run run = db->run;
    db->run.first.device = 0;
    if (run.first.device == 0 || run.count == 0)
        return true;
    sqlite3_stmt *add = query_of(db, ADD, &run.first);
    sqlite_bind_u64(add, ":last", run.first.seq + run.count - 1);
    sqlite_bind_int(add, ":row", run.row);
    return sqlite_run(db->sqlite, add, err);
}

/* The run that begins at the id or before, if it reaches so far. */
static bool look_before(struct fleetdb *db, const struct fleetdb_run_id *id, bool *ret_held,
                        int64_t *ret_row, struct err *err)
{
    bool found = false;
    sqlite3_stmt *row = query_of(db, BEFORE, id);
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    *ret_held = found && sqlite_column_u64(row, 1) >= id->seq;
    if (*ret_held)
        *ret_row = sqlite3_column_int64(row, 2) + (int64_t)(id->seq - sqlite_column_u64(row, 0));
    (void)sqlite3_reset(row);
    return true;
}

bool fleetdb_run_look(struct fleetdb *db, const struct fleetdb_run_id *id, bool *ret_held,
                      int64_t *ret_row, struct err *err)
{
    struct fleetdb_run *run = &db->run;
    int64_t after = 0;
    if (is_of(run, id) && id->seq >= run->first.seq && id->seq < run->free_before) {
        *ret_held = id->seq - run->first.seq < run->count;
        *ret_row = run->row + (int64_t)(id->seq - run->first.seq);
        return true;
    }
    if (!fleetdb_runs_write(db, err) || !look_before(db, id, ret_held, ret_row, err))
        return false;
    if (*ret_held)
        return true;
    if (!sqlite_value(db->sqlite, query_of(db, AFTER, id), INT64_MAX, &after, err))
        return false;
    *run = (struct fleetdb_run){.first = *id, .free_before = (uint64_t)after};
    return true;
}

bool fleetdb_run_add(struct fleetdb *db, const struct fleetdb_run_id *id, int64_t row,
                     struct err *err)
{
    struct fleetdb_run *run = &db->run;
    const uint64_t free_before = run->free_before;
    if (!is_of(run, id) || id->seq < run->first.seq + run->count || id->seq >= free_before)
        abort();
    if (run->count > 0 && id->seq == run->first.seq + run->count &&
        row == run->row + (int64_t)run->count) {
        run->count++;
        return true;
    }
    if (!fleetdb_runs_write(db, err))
        return false;
    *run = (struct fleetdb_run){.first = *id, .count = 1, .row = row, .free_before = free_before};
    return true;
}
