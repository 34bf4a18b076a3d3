/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_runs.h"

#include "storage/fleetdb_internal.h"

#include <stdlib.h>

enum query { BEFORE, AFTER, ADD, GROW, LEFT, REMOVE, PUT, QUERIES };

#define OF_STREAM " WHERE device = :device AND incarnation = :incarnation"

static const char *const texts[QUERIES] = {
    [BEFORE] = "SELECT first_seq, last_seq, first_row FROM result_run" OF_STREAM
               " AND first_seq <= :seq ORDER BY first_seq DESC LIMIT 1",
    [AFTER] = "SELECT min(first_seq) FROM result_run" OF_STREAM " AND first_seq > :seq",
    [ADD] = ("INSERT INTO result_run (device, incarnation, first_seq, last_seq, first_row)"
             " VALUES (:device, :incarnation, :seq, :last, :row)"),
    [GROW] = "UPDATE result_run SET last_seq = :last" OF_STREAM " AND first_seq = :seq",
    [LEFT] = "SELECT count(*) FROM (SELECT 1 FROM result WHERE id BETWEEN :row AND :last"
             " AND device = :device AND incarnation = :incarnation"
             " AND seq BETWEEN :seq AND :last_seq LIMIT 1)",
    [REMOVE] = "DELETE FROM result_run" OF_STREAM " AND first_seq = :seq",
    [PUT] = "UPDATE result_run SET last_seq = :last, first_row = :row" OF_STREAM
            " AND first_seq = :seq",
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
    struct fleetdb_run_id first = run.first;
    if (run.grows != 0)
        first.seq = run.grows;
    sqlite3_stmt *add = query_of(db, run.grows != 0 ? GROW : ADD, &first);
    sqlite_bind_u64(add, ":last", run.first.seq + run.count - 1);
    if (run.grows == 0)
        sqlite_bind_int(add, ":row", run.row);
    return sqlite_run(db->sqlite, add, err);
}

/* As it is written: the run of a stream that begins at a seq or before; last below first: none. */
struct written {
    uint64_t first, last;
    int64_t row; /* below 0: its rows are gone */
};

static bool read_before(struct fleetdb *db, const struct fleetdb_run_id *id,
                        struct written *ret_run, struct err *err)
{
    bool found = false;
    sqlite3_stmt *row = query_of(db, BEFORE, id);
    *ret_run = (struct written){1, 0, 0};
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    if (found)
        *ret_run = (struct written){sqlite_column_u64(row, 0), sqlite_column_u64(row, 1),
                                    sqlite3_column_int64(row, 2)};
    (void)sqlite3_reset(row);
    return true;
}

static bool is_there(const struct written *run)
{
    return run->last >= run->first;
}

static int64_t row_in(const struct written *run, uint64_t seq)
{
    return run->row + (int64_t)(seq - run->first);
}

bool fleetdb_run_look(struct fleetdb *db, const struct fleetdb_run_id *id, bool *ret_held,
                      int64_t *ret_row, struct err *err)
{
    struct fleetdb_run *run = &db->run;
    struct written before;
    int64_t after = 0;
    if (is_of(run, id) && id->seq >= run->first.seq && id->seq < run->free_before) {
        *ret_held = id->seq - run->first.seq < run->count;
        *ret_row = run->row + (int64_t)(id->seq - run->first.seq);
        return true;
    }
    if (!fleetdb_runs_write(db, err) || !read_before(db, id, &before, err))
        return false;
    *ret_held = is_there(&before) && before.last >= id->seq;
    *ret_row = row_in(&before, id->seq);
    if (*ret_held)
        return true;
    if (!sqlite_value(db->sqlite, query_of(db, AFTER, id), INT64_MAX, &after, err))
        return false;
    *run = (struct fleetdb_run){.first = *id, .free_before = (uint64_t)after};
    if (is_there(&before) && before.last + 1 == id->seq) {
        run->row = row_in(&before, id->seq);
        run->grows = before.first;
    }
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
    if (run->count == 0 && run->grows != 0 && id->seq == run->first.seq && row == run->row) {
        run->count = 1;
        return true;
    }
    if (!fleetdb_runs_write(db, err))
        return false;
    *run = (struct fleetdb_run){.first = *id, .count = 1, .row = row, .free_before = free_before};
    return true;
}

/* ---- runs whose rows are gone ---- */

/* So that no result has a number that it names. */
static int64_t rows_of_none(uint64_t first, uint64_t last)
{
    return -(int64_t)(last - first) - 1;
}

static bool has_rows(struct fleetdb *db, const struct fleetdb_run_id *id, const struct written *run,
                     bool *ret_has, struct err *err)
{
    const struct fleetdb_run_id first = {id->device, id->incarnation, run->first};
    int64_t rows = 0;
    sqlite3_stmt *left = query_of(db, LEFT, &first);
    sqlite_bind_int(left, ":row", run->row);
    sqlite_bind_int(left, ":last", row_in(run, run->last));
    sqlite_bind_u64(left, ":last_seq", run->last); /* numbers of rows are given again */
    if (!sqlite_value(db->sqlite, left, 0, &rows, err))
        return false;
    *ret_has = rows > 0;
    return true;
}

static bool remove_run(struct fleetdb *db, const struct fleetdb_run_id *id, uint64_t first,
                       struct err *err)
{
    const struct fleetdb_run_id run = {id->device, id->incarnation, first};
    return sqlite_run(db->sqlite, query_of(db, REMOVE, &run), err);
}

static bool put_gone(struct fleetdb *db, const struct fleetdb_run_id *id, uint64_t first,
                     uint64_t last, struct err *err)
{
    const struct fleetdb_run_id run = {id->device, id->incarnation, first};
    sqlite3_stmt *put = query_of(db, PUT, &run);
    sqlite_bind_u64(put, ":last", last);
    sqlite_bind_int(put, ":row", rows_of_none(first, last));
    return sqlite_run(db->sqlite, put, err);
}

bool fleetdb_run_gone(struct fleetdb *db, const struct fleetdb_run_id *id, struct err *err)
{
    struct written run, before = {1, 0, 0}, after;
    bool has = false;
    if (!fleetdb_runs_write(db, err) || !read_before(db, id, &run, err))
        return false;
    if (!is_there(&run) || run.last < id->seq || run.row < 0)
        return true;
    if (!has_rows(db, id, &run, &has, err))
        return false;
    if (has)
        return true;
    const struct fleetdb_run_id next = {id->device, id->incarnation, run.last + 1};
    const struct fleetdb_run_id last = {id->device, id->incarnation, run.first - 1};
    if (!read_before(db, &next, &after, err) ||
        (run.first > 0 && !read_before(db, &last, &before, err)))
        return false;
    if (after.first == next.seq && is_there(&after) && after.row < 0) {
        if (!remove_run(db, id, after.first, err))
            return false;
        run.last = after.last;
    }
    if (is_there(&before) && before.last + 1 == run.first && before.row < 0) {
        if (!remove_run(db, id, run.first, err))
            return false;
        run.first = before.first;
    }
    return put_gone(db, id, run.first, run.last, err);
}
