/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_erase_internal.h"
#include "storage/fleetdb_feed.h"
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_rollups.h"
#include "storage/fleetdb_room.h"
#include "storage/fleetdb_standing.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_MAX = 1024, STEP_BYTES = 512 * 1024 };

enum query {
    READ,
    MARK,
    RESULTS,
    RESULT_DUPLICATES,
    RESULT_REMOVE,
    AGED,
    BLANK,
    NEXT_HOUR,
    SUMS,
    EVENTS,
    EVENT_REMOVE,
    NEWEST_RESULT,
    NEWEST_EVENT,
    ITS_ROW,
    ROWS_ABSENCES,
    ROWS_DUTIES,
    ROWS_ENDED,
    ROWS_NOBODYS,
    ROWS_CARRIED,
    ROWS_TERMINALS,
    ROWS_ELSEWHERE,
    ROWS_STANDINGS,
    ROWS_STORES,
    ROWS_FORMER,
    ROWS_MERCHANT,
    ROWS_SPANS,
    QUERIES,
};

#define ITS "(SELECT merchant FROM erasure WHERE id = :erasure)"
/* Of device_terminal: what was carried while the device stood there and for no other merchant; and
 * of a logical terminal that none other ever carried, what was carried for nobody. */
#define CARRIED_THERE(c)                                                                           \
    "EXISTS (SELECT 1 FROM erased_standing e WHERE " FLEETDB_ERASE_WHILE(c, "e") ")"
#define ITS_TERMINALS                                                                              \
    "(SELECT i.logical_terminal FROM erased_standing e JOIN device_terminal i"                     \
    " ON " FLEETDB_ERASE_WHILE("i", "e") ")"
#define CARRIED_ITS                                                                                \
    "(c.logical_terminal IN " ITS_TERMINALS                                                        \
    " AND NOT " FLEETDB_ERASE_ANOTHERS("c", ITS) " AND (" CARRIED_THERE(                           \
        "c") " OR NOT " FLEETDB_ERASE_ANOTHER_CARRIED("c", ITS) "))"
#define BLANKED "store = NULL, merchant = NULL, region = NULL, why = 'erased', who = ''"

static const char *const texts[QUERIES] = {
    [READ] = "SELECT step, after FROM erasure WHERE id = :erasure",
    [MARK] = "UPDATE erasure SET step = :step, after = :after, results = results + :results,"
             " events = events + :events, texts = texts + :texts, done_ms = :done"
             " WHERE id = :erasure",
    [RESULTS] = FLEETDB_ERASE_NEXT_RESULTS,
    [RESULT_DUPLICATES] = "DELETE FROM result_duplicate WHERE original = :id",
    [RESULT_REMOVE] = "DELETE FROM result WHERE id = :id",
    [AGED] = "INSERT INTO account_aged (device, lane, records) VALUES (:device, :lane, :records)"
             " ON CONFLICT (device, lane) DO UPDATE SET records = records + excluded.records",
    /* Its life stays: whoever sold there then, sold. */
    [BLANK] = "UPDATE standing SET " BLANKED " WHERE id IN (SELECT standing FROM erased_standing)",
    [NEXT_HOUR] = "SELECT bucket FROM rollup_device_hour WHERE bucket > :after AND bucket < :whole"
                  " ORDER BY bucket LIMIT 1",
    [SUMS] = "DELETE FROM rollup_device_hour WHERE bucket = :hour"
             " AND standing IN (SELECT standing FROM erased_standing)",
    [EVENTS] = FLEETDB_ERASE_NEXT_EVENTS,
    [EVENT_REMOVE] = "DELETE FROM event WHERE id = :id",
    [NEWEST_RESULT] = "SELECT max(id) FROM result",
    [NEWEST_EVENT] = "SELECT max(id) FROM event",
    [ITS_ROW] = "SELECT merchant FROM erasure WHERE id = :erasure",
    [ROWS_ABSENCES] = "DELETE FROM absence WHERE :erasure"
                      " AND device IN (SELECT device FROM erased_standing)"
                      " AND EXISTS (SELECT 1 FROM erased_standing e"
                      " WHERE e.device = absence.device AND absence.from_ms < e.to_ms"
                      " AND absence.to_ms > e.from_ms)",
    [ROWS_DUTIES] = "DELETE FROM registration_duty AS y"
                    " WHERE standing IN (SELECT standing FROM erased_standing)"
                    " OR (EXISTS (SELECT 1 FROM device_terminal c WHERE c.device = y.device"
                    "   AND c.logical_terminal = y.logical_terminal AND " CARRIED_ITS ")"
                    "  AND NOT EXISTS (SELECT 1 FROM device_terminal c WHERE c.device = y.device"
                    "   AND c.logical_terminal = y.logical_terminal AND NOT " CARRIED_ITS "))",
    /* What was carried stays carried, by no name: a slot would take what it carried next for what
     * it always carried, and results know the row. */
    [ROWS_ENDED] =
        "UPDATE device_terminal AS c SET to_ms = max(:now, from_ms)"
        " WHERE to_ms IS NULL AND (" CARRIED_ITS
        " OR (" CARRIED_THERE("c") " AND device IN (SELECT id FROM device WHERE store IS NULL)))",
    [ROWS_NOBODYS] = "INSERT INTO logical_terminal (acquirer, tid, mid) SELECT '', '', ''"
                     " WHERE :erasure ON CONFLICT (acquirer, tid, mid) DO NOTHING",
    [ROWS_CARRIED] = "UPDATE device_terminal AS c SET logical_terminal = (SELECT id FROM"
                     " logical_terminal WHERE acquirer = '' AND tid = '' AND mid = '')"
                     " WHERE " CARRIED_ITS,
    /* `merchant` is who named it last, be it by a slip. */
    [ROWS_TERMINALS] =
        "DELETE FROM logical_terminal AS l"
        " WHERE (merchant IS NULL OR merchant = " ITS ")"
        " AND NOT EXISTS (SELECT 1 FROM device_terminal WHERE logical_terminal = l.id)"
        " AND id NOT IN (SELECT logical_terminal FROM registration_duty)",
    [ROWS_ELSEWHERE] = "UPDATE logical_terminal SET merchant = NULL WHERE merchant = " ITS,
    [ROWS_STANDINGS] = "UPDATE standing SET " BLANKED " WHERE merchant = " ITS,
    [ROWS_STORES] = "DELETE FROM store WHERE merchant = " ITS,
    [ROWS_FORMER] = "DELETE FROM former_name WHERE merchant = " ITS,
    [ROWS_MERCHANT] = "DELETE FROM merchant WHERE id = " ITS,
    [ROWS_SPANS] = "DELETE FROM erased_standing WHERE :erasure",
};

const struct fleetdb_queries fleetdb_erase_step_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, unsigned query)
{
    return fleetdb_query(db, FLEETDB_PART_ERASE_STEP, query);
}

static bool read_mark(struct fleetdb *db, struct fleetdb_erase_mark *ret_mark, struct err *err)
{
    bool found = false;
    sqlite3_stmt *row = query_of(db, READ);
    sqlite_bind_int(row, ":erasure", db->erasure);
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    *ret_mark =
        (struct fleetdb_erase_mark){.erasure = db->erasure,
                                    .step = (enum fleetdb_erase_step)sqlite3_column_int(row, 0),
                                    .after = sqlite3_column_int64(row, 1)};
    (void)sqlite3_reset(row);
    return true;
}

static bool write_mark(struct fleetdb *db, const struct fleetdb_erase_mark *mark, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, MARK);
    sqlite_bind_int(statement, ":erasure", db->erasure);
    sqlite_bind_int(statement, ":step", mark->step);
    sqlite_bind_int(statement, ":after", mark->after);
    sqlite_bind_int(statement, ":results", mark->results);
    sqlite_bind_int(statement, ":events", mark->events);
    sqlite_bind_int(statement, ":texts", mark->texts);
    sqlite_bind_int(statement, ":done", mark->done_ms);
    return sqlite_run(db->sqlite, statement, err);
}

void fleetdb_erase_next(struct fleetdb_erase_mark *mark)
{
    mark->step++;
    mark->after = 0;
}

/* ---- results and events ---- */

struct row {
    int64_t id, device, at_ms;
    bool its;
    uint64_t incarnation, seq;
    bool ends_run; /* the next one is not the next of its run: once for a run is enough */
};

static bool read_rows(struct fleetdb *db, unsigned query, int64_t after, int64_t limit,
                      struct row rows[ROWS_MAX], size_t *ret_count, struct err *err)
{
    sqlite3_stmt *walk = query_of(db, query);
    size_t count = 0;
    bool more = false;
    sqlite_bind_int(walk, ":after", after);
    sqlite_bind_int(walk, ":rows", limit);
    while (sqlite_row(db->sqlite, walk, &more, err)) {
        if (!more) {
            *ret_count = count;
            return true;
        }
        rows[count++] = (struct row){.id = sqlite3_column_int64(walk, 0),
                                     .device = sqlite3_column_int64(walk, 1),
                                     .its = sqlite3_column_int(walk, 2) != 0,
                                     .incarnation = sqlite_column_u64(walk, 3),
                                     .seq = sqlite_column_u64(walk, 4),
                                     .at_ms = sqlite3_column_int64(walk, 5),
                                     .ends_run = true};
    }
    return false;
}

static void find_ends(struct row *rows, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++)
        rows[i].ends_run =
            rows[i + 1].id != rows[i].id + 1 || rows[i + 1].device != rows[i].device ||
            rows[i + 1].incarnation != rows[i].incarnation || rows[i + 1].seq != rows[i].seq + 1;
}

static bool remove_by_id(struct fleetdb *db, unsigned query, int64_t id, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, query);
    sqlite_bind_int(statement, ":id", id);
    return sqlite_run(db->sqlite, statement, err);
}

/* Committed all the same. */
static bool count_gone(struct fleetdb *db, int64_t device, int lane, int64_t records,
                       struct err *err)
{
    sqlite3_stmt *statement = query_of(db, AGED);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":lane", lane);
    sqlite_bind_int(statement, ":records", records);
    return sqlite_run(db->sqlite, statement, err);
}

static bool remove_result(struct fleetdb *db, const struct row *row,
                          struct fleetdb_erase_mark *mark, struct err *err)
{
    if (!fleetdb_rollup_row(db, row->id, FLEETDB_TAKE, err) ||
        !remove_by_id(db, RESULT_DUPLICATES, row->id, err))
        return false;
    const int64_t records = 1 + sqlite_changes(db->sqlite);
    mark->results++;
    const struct fleetdb_run_id id = {row->device, row->incarnation, row->seq};
    return remove_by_id(db, RESULT_REMOVE, row->id, err) &&
           fleetdb_span_gone(db, row->at_ms, row->id, err) &&
           (!row->ends_run || fleetdb_run_gone(db, &id, err)) &&
           count_gone(db, row->device, 1, records, err);
}

static bool remove_event(struct fleetdb *db, const struct row *row, struct fleetdb_erase_mark *mark,
                         struct err *err)
{
    mark->events++;
    return remove_by_id(db, EVENT_REMOVE, row->id, err) && count_gone(db, row->device, 2, 1, err);
}

/* When the newest went, their numbers are given again: none may come below `after`. */
static bool no_more(struct fleetdb *db, unsigned newest, const struct fleetdb_erase_mark *mark,
                    bool *ret_end, struct err *err)
{
    int64_t id = 0;
    if (!sqlite_value(db->sqlite, query_of(db, newest), 0, &id, err))
        return false;
    *ret_end = mark->after >= id;
    return true;
}

static bool walk(struct fleetdb *db, unsigned query, enum fleetdb_feed_kind told_as, int64_t limit,
                 bool (*remove)(struct fleetdb *db, const struct row *row,
                                struct fleetdb_erase_mark *mark, struct err *err),
                 struct fleetdb_erase_mark *mark, bool *ret_end, struct err *err)
{
    struct row *rows = calloc(ROWS_MAX, sizeof *rows);
    size_t count = 0;
    if (rows == NULL)
        return err_set(err, ERR_NO_MEMORY, "fleet database: out of memory");
    bool done = read_rows(db, query, mark->after, limit, rows, &count, err);
    find_ends(rows, count);
    for (size_t i = 0; done && i < count; i++)
        done = !rows[i].its || remove(db, &rows[i], mark, err);
    if (count > 0)
        mark->after = rows[count - 1].id;
    done = done && fleetdb_feed_forget(db, told_as, mark->after, err) &&
           no_more(db, query == RESULTS ? NEWEST_RESULT : NEWEST_EVENT, mark, ret_end, err);
    free(rows);
    return done;
}

/* With the last of them, the places where they were sold have no name any more: what comes from
 * there later is nobody's. */
bool fleetdb_erase_places(struct fleetdb *db, struct err *err)
{
    return sqlite_run(db->sqlite, query_of(db, BLANK), err);
}

static bool erase_results(struct fleetdb *db, int64_t limit, struct fleetdb_erase_mark *mark,
                          struct err *err)
{
    bool end = false;
    if (!walk(db, RESULTS, FLEETDB_FEED_RESULT, limit, remove_result, mark, &end, err))
        return false;
    if (!end)
        return true;
    fleetdb_erase_next(mark);
    return fleetdb_erase_places(db, err);
}

/* Of a time whose rows are gone by age. */
static bool erase_sums(struct fleetdb *db, struct fleetdb_erase_mark *mark, struct err *err)
{
    static const int64_t hour_ms = 3600 * 1000;
    int64_t hour = 0;
    sqlite3_stmt *next = query_of(db, NEXT_HOUR);
    sqlite_bind_int(next, ":after", mark->after);
    sqlite_bind_int(next, ":whole", db->whole_from_ms[FLEETDB_KEPT_RESULTS] / hour_ms);
    if (!sqlite_value(db->sqlite, next, 0, &hour, err))
        return false;
    if (hour == 0) {
        fleetdb_erase_next(mark);
        return true;
    }
    mark->after = hour;
    sqlite3_stmt *sums = query_of(db, SUMS);
    sqlite_bind_int(sums, ":hour", hour);
    return sqlite_run(db->sqlite, sums, err);
}

static bool erase_events(struct fleetdb *db, int64_t limit, struct fleetdb_erase_mark *mark,
                         struct err *err)
{
    bool end = false;
    if (!walk(db, EVENTS, FLEETDB_FEED_EVENT, limit, remove_event, mark, &end, err))
        return false;
    if (end)
        fleetdb_erase_next(mark);
    return true;
}

/* ---- rows and bytes ---- */

/* Where a device got there after the beginning. */
static bool leave(struct fleetdb *db, int64_t now_ms, struct err *err)
{
    int64_t merchant = 0;
    const struct fleetdb_change change = {.who = "musterd", .why = "erased", .now_ms = now_ms};
    sqlite3_stmt *row = query_of(db, ITS_ROW);
    sqlite_bind_int(row, ":erasure", db->erasure);
    return sqlite_value(db->sqlite, row, 0, &merchant, err) &&
           fleetdb_erase_leave(db, merchant, &change, err);
}

static bool erase_rows(struct fleetdb *db, int64_t now_ms, struct fleetdb_erase_mark *mark,
                       struct err *err)
{
    if (!leave(db, now_ms, err) || !fleetdb_erase_labels(db, mark, err))
        return false;
    for (enum query query = ROWS_ABSENCES; query <= ROWS_SPANS; query++) {
        sqlite3_stmt *statement = query_of(db, query);
        sqlite_bind_int(statement, ":erasure", db->erasure);
        if (query == ROWS_ENDED)
            sqlite_bind_int(statement, ":now", now_ms);
        if (!sqlite_run(db->sqlite, statement, err))
            return false;
    }
    fleetdb_erase_next(mark);
    return fleetdb_erase_texts_end(db, err);
}

/* What free pages and the WAL still hold. */
static bool erase_bytes(struct fleetdb *db, bool *ret_end, struct err *err)
{
    struct fleetdb_room room;
    int64_t bytes = 0;
    bool more = false;
    *ret_end = false;
    if (!fleetdb_room_look(db, &room, err))
        return false;
    if (!room.shrinks && room.free_bytes > 0)
        return err_set(err, ERR_CONFLICT,
                       "free room of the file may hold what was erased: stop musterd and run "
                       "musterd --vacuum");
    if (!fleetdb_room_give_back(db, 0, STEP_BYTES, &bytes, &more, err))
        return false;
    *ret_end = !more;
    return more || fleetdb_room_checkpoint(db, true, err);
}

static bool end(struct fleetdb *db, struct fleetdb_erase_mark *mark, int64_t now_ms,
                struct err *err)
{
    char text[80];
    mark->step = FLEETDB_ERASE_DONE;
    mark->done_ms = now_ms;
    (void)snprintf(text, sizeof text, "erasure %lld is done", (long long)db->erasure);
    return fleetdb_audit(db, now_ms, NULL, "merchant erase", 0, text, err);
}

/* ---- a step ---- */

static bool erase_some(struct fleetdb *db, int64_t limit, int64_t now_ms,
                       struct fleetdb_erase_mark *mark, struct err *err)
{
    switch (mark->step) {
    case FLEETDB_ERASE_RESULTS:
        return erase_results(db, limit, mark, err);
    case FLEETDB_ERASE_SUMS:
        return erase_sums(db, mark, err);
    case FLEETDB_ERASE_EVENTS:
        return erase_events(db, limit, mark, err);
    case FLEETDB_ERASE_TEXTS:
        return fleetdb_erase_texts(db, limit, mark, err);
    case FLEETDB_ERASE_ROWS:
        return erase_rows(db, now_ms, mark, err);
    case FLEETDB_ERASE_BYTES:
    case FLEETDB_ERASE_DONE:
    case FLEETDB_ERASE_STEPS:
        return end(db, mark, now_ms, err);
    }
    return false;
}

bool fleetdb_erase_step(struct fleetdb *db, int64_t rows, int64_t now_ms, struct err *err)
{
    const int64_t limit = rows < ROWS_MAX ? rows : ROWS_MAX;
    struct fleetdb_erase_mark mark;
    bool ready = true;
    if (!fleetdb_erasing(db))
        return true;
    if (!read_mark(db, &mark, err) ||
        (mark.step == FLEETDB_ERASE_BYTES && !erase_bytes(db, &ready, err)))
        return false;
    if (!ready)
        return true;
    if (!fleetdb_begin(db, err))
        return false;
    if (!erase_some(db, limit, now_ms, &mark, err) || !write_mark(db, &mark, err)) {
        fleetdb_rollback(db);
        return false;
    }
    if (!fleetdb_commit(db, err))
        return false;
    if (mark.step != FLEETDB_ERASE_DONE)
        return true;
    db->erasure = 0;
    fleetdb_erase_words_forget(db);
    return fleetdb_secure(db, false, err);
}

bool fleetdb_secure(struct fleetdb *db, bool on, struct err *err)
{
    int64_t ignored = 0;
    return sqlite_pragma(db->sqlite, &ignored, err, "PRAGMA secure_delete=%s", on ? "ON" : "FAST");
}
