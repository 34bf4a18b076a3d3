/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_keeping.h"

#include "storage/fleetdb_feed.h"
#include "storage/fleetdb_internal.h"
#include "storage/rollups.h"

#include <stdlib.h>
#include <string.h>

#define ROW_KINDS FLEETDB_KEPT_SUMS_MINUTE /* those before it */
enum { ROWS_MAX = 1024, NO_LANE = 0 };
static const int64_t hour_ms = 3600 * 1000;

/* Why a row stays though it is old. */
enum hold { HOLD_NONE, HOLD_OPEN, HOLD_OTHER_KIND };

enum query {
    LOAD,
    MARK,
    AGED,
    DUPLICATES,
    CLOCK_READ,
    CLOCK_WRITE,
    OLDEST,                        /* + kept */
    WALK = OLDEST + FLEETDB_KEPTS, /* + kept, of rows */
    REMOVE = WALK + ROW_KINDS,     /* + kept, of rows */
    TRIM = REMOVE + ROW_KINDS,     /* + rollup_id */
    QUERIES = TRIM + ROLLUPS,
};

#define WALK_OF(table, time, at, device, hold)                                                     \
    "SELECT id, " time ", " at ", " device ", " hold ", 0, 0 FROM " table                          \
    " r WHERE id > :after ORDER BY id LIMIT :rows"
#define REMOVE_OF(table) "DELETE FROM " table " WHERE id = :id"
#define OLDEST_OF(table, time)                                                                     \
    "SELECT (SELECT " time " FROM " table " ORDER BY id LIMIT 1), (SELECT min(id) FROM " table     \
    "), (SELECT max(id) FROM " table ")"
#define FIRST_OF(table, bucket_ms)                                                                 \
    "SELECT (min(id) >> " ROLLUP_BUCKET_BITS ") * " #bucket_ms ", 0, 0 FROM " table "_sum"
#define LOG_PIECE "13" /* record.proto's EVENT_LOG */
#define OPEN_MATTER                                                                                \
    "iif(reversal_pending <> 0 OR outcome = 0 OR EXISTS (SELECT 1 FROM conflict c"                 \
    " WHERE c.device = r.device AND c.incarnation = r.incarnation AND c.lane = 1"                  \
    " AND c.seq = r.seq AND c.settled_ms = 0), 1, 0)"
#define KEY(own) "bucket, " own ", type, outcome, code, currency, in_service"

static const char *const texts[QUERIES] = {
    [LOAD] = "SELECT kind, whole_from_ms, removed FROM kept",
    [MARK] = "INSERT INTO kept (kind, whole_from_ms, removed) VALUES (:kind, :from, :removed)"
             " ON CONFLICT (kind) DO UPDATE SET removed = removed + excluded.removed,"
             " whole_from_ms = max(whole_from_ms, excluded.whole_from_ms)",
    [AGED] = "INSERT INTO account_aged (device, lane, records) VALUES (:device, :lane, :records)"
             " ON CONFLICT (device, lane) DO UPDATE SET records = records + excluded.records",
    [DUPLICATES] = "DELETE FROM result_duplicate WHERE original = :id",
    [CLOCK_READ] = "SELECT believed_ms, doubted_ms, held_ms FROM kept_clock",
    [CLOCK_WRITE] = "INSERT OR REPLACE INTO kept_clock (id, believed_ms, doubted_ms, held_ms)"
                    " VALUES (1, :believed, :doubted, :held)",
    [OLDEST + FLEETDB_KEPT_RESULTS] = OLDEST_OF("result", "received_ms"),
    [OLDEST + FLEETDB_KEPT_EVENTS] = OLDEST_OF("event", "received_ms"),
    [OLDEST + FLEETDB_KEPT_LOGS] = "SELECT min(e.received_ms), 0, count(*) FROM log_piece p"
                                   " JOIN action a ON a.id = p.action JOIN event e"
                                   " ON e.device = a.device AND e.incarnation = p.incarnation"
                                   " AND e.seq = p.seq",
    [OLDEST + FLEETDB_KEPT_HEALTH] = OLDEST_OF("health", "received_ms"),
    [OLDEST + FLEETDB_KEPT_AUDIT] = OLDEST_OF("audit", "at_ms"),
    [OLDEST + FLEETDB_KEPT_FEED] = OLDEST_OF("feed", "at_ms"),
    [OLDEST + FLEETDB_KEPT_ABSENCES] = OLDEST_OF("absence", "to_ms"),
    [OLDEST + FLEETDB_KEPT_SUMS_MINUTE] = FIRST_OF("rollup_code_minute", 60000),
    [OLDEST + FLEETDB_KEPT_SUMS_HOUR] = FIRST_OF("rollup_code_hour", 3600000),
    [WALK + FLEETDB_KEPT_RESULTS] =
        WALK_OF("result", "received_ms", "at_ms", "device", OPEN_MATTER ", incarnation, seq"),
    [WALK + FLEETDB_KEPT_EVENTS] =
        WALK_OF("event", "received_ms", "0", "device", "iif(kind = " LOG_PIECE ", 2, 0)"),
    [WALK + FLEETDB_KEPT_LOGS] =
        WALK_OF("event", "received_ms", "0", "device", "iif(kind = " LOG_PIECE ", 0, 2)"),
    [WALK + FLEETDB_KEPT_HEALTH] = WALK_OF("health", "received_ms", "0", "device", "0"),
    [WALK + FLEETDB_KEPT_AUDIT] = WALK_OF("audit", "at_ms", "0", "0", "0"),
    /* Its newest row stays, so that no id is given twice. */
    [WALK + FLEETDB_KEPT_FEED] =
        WALK_OF("feed", "at_ms", "0", "0", "iif(id = (SELECT max(id) FROM feed), 2, 0)"),
    [WALK + FLEETDB_KEPT_ABSENCES] = WALK_OF("absence", "to_ms", "0", "0", "0"),
    [REMOVE + FLEETDB_KEPT_RESULTS] = REMOVE_OF("result"),
    [REMOVE + FLEETDB_KEPT_EVENTS] = REMOVE_OF("event"),
    [REMOVE + FLEETDB_KEPT_LOGS] = REMOVE_OF("event"),
    [REMOVE + FLEETDB_KEPT_HEALTH] = REMOVE_OF("health"),
    [REMOVE + FLEETDB_KEPT_AUDIT] = REMOVE_OF("audit"),
    [REMOVE + FLEETDB_KEPT_FEED] = REMOVE_OF("feed"),
    [REMOVE + FLEETDB_KEPT_ABSENCES] = REMOVE_OF("absence"),
#define TRIM_KEYED(table, own)                                                                     \
    "DELETE FROM " table "_sum WHERE id IN (SELECT id FROM " table                                 \
    "_sum WHERE id < :before << " ROLLUP_BUCKET_BITS " ORDER BY id LIMIT :rows)"
#define TRIM_WIDE(table, own)                                                                      \
    "DELETE FROM " table " WHERE (" KEY(own) ") IN (SELECT " KEY(                                  \
        own) " FROM " table " WHERE bucket < :before ORDER BY " KEY(own) " LIMIT :rows)"
#define ROLLUP(id, name, table, bucket_ms, stored, own, ...)                                       \
    [TRIM + ROLLUP_##id] = TRIM_##stored(table, own),
#include "storage/rollups.def"
#undef ROLLUP
};

const struct fleetdb_queries fleetdb_keeping_queries = {texts, QUERIES};

static const char *const words[FLEETDB_KEPTS] = {
#define KEPT(id, word) [FLEETDB_KEPT_##id] = word,
#include "storage/keeping.def"
#undef KEPT
};

/* The lane whose records the rows are: the account goes on to count them. */
static const int lanes[ROW_KINDS] = {[FLEETDB_KEPT_RESULTS] = 1,
                                     [FLEETDB_KEPT_EVENTS] = 2,
                                     [FLEETDB_KEPT_LOGS] = 2,
                                     [FLEETDB_KEPT_HEALTH] = 3};

/* What the feed tells of them. */
static const enum fleetdb_feed_kind told_as[ROW_KINDS] = {
    [FLEETDB_KEPT_RESULTS] = FLEETDB_FEED_RESULT,
    [FLEETDB_KEPT_EVENTS] = FLEETDB_FEED_EVENT,
    [FLEETDB_KEPT_LOGS] = FLEETDB_FEED_EVENT,
    [FLEETDB_KEPT_AUDIT] = FLEETDB_FEED_CHANGE};

const char *fleetdb_kept_word(enum fleetdb_kept kept)
{
    return words[kept];
}

int64_t fleetdb_whole_from_ms(const struct fleetdb *db, enum fleetdb_kept kept)
{
    return db->whole_from_ms[kept];
}

static sqlite3_stmt *query_of(struct fleetdb *db, unsigned query)
{
    return fleetdb_query(db, FLEETDB_PART_KEEPING, query);
}

/* ---- since when is it whole? ---- */

static void load_one(struct fleetdb *db, sqlite3_stmt *row)
{
    for (enum fleetdb_kept kept = 0; kept < FLEETDB_KEPTS; kept++) {
        if (strcmp(sqlite_column_text(row, 0), words[kept]) == 0) {
            db->whole_from_ms[kept] = sqlite3_column_int64(row, 1);
            db->removed[kept] = sqlite3_column_int64(row, 2);
        }
    }
}

bool fleetdb_kept_load(struct fleetdb *db, struct err *err)
{
    sqlite3_stmt *rows = query_of(db, LOAD);
    bool more = false;
    while (sqlite_row(db->sqlite, rows, &more, err)) {
        if (!more)
            return true;
        load_one(db, rows);
    }
    return false;
}

/* ---- by which time? ---- */

bool fleetdb_kept_clock_read(struct fleetdb *db, struct fleetdb_kept_clock *ret_clock,
                             struct err *err)
{
    bool found = false;
    sqlite3_stmt *row = query_of(db, CLOCK_READ);
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    *ret_clock = (struct fleetdb_kept_clock){0};
    if (!found)
        return true;
    *ret_clock = (struct fleetdb_kept_clock){.believed_ms = sqlite3_column_int64(row, 0),
                                             .doubted_ms = sqlite3_column_int64(row, 1),
                                             .held_ms = sqlite3_column_int64(row, 2)};
    (void)sqlite3_reset(row);
    return true;
}

bool fleetdb_kept_clock_write(struct fleetdb *db, const struct fleetdb_kept_clock *clock,
                              struct err *err)
{
    sqlite3_stmt *statement = query_of(db, CLOCK_WRITE);
    sqlite_bind_int(statement, ":believed", clock->believed_ms);
    sqlite_bind_int(statement, ":doubted", clock->doubted_ms);
    sqlite_bind_int(statement, ":held", clock->held_ms);
    return sqlite_run(db->sqlite, statement, err);
}

/* ---- steps ---- */

/* What a step has found, and is to be so when it is committed. */
struct step {
    int64_t whole_from_ms;
    uint64_t removed;
};

static bool mark(struct fleetdb *db, enum fleetdb_kept kept, const struct step *step,
                 struct err *err)
{
    sqlite3_stmt *statement = query_of(db, MARK);
    sqlite_bind_text(statement, ":kind", words[kept]);
    sqlite_bind_int(statement, ":from", step->whole_from_ms);
    sqlite_bind_u64(statement, ":removed", step->removed);
    return sqlite_run(db->sqlite, statement, err);
}

/* ---- rows ---- */

struct row {
    int64_t id, came_ms, at_ms, device;
    uint64_t incarnation, seq; /* of a result */
    enum hold hold;
};

static bool read_rows(struct fleetdb *db, enum fleetdb_kept kept, int64_t after, int64_t limit,
                      struct row rows[ROWS_MAX], size_t *ret_count, struct err *err)
{
    sqlite3_stmt *walk = query_of(db, WALK + kept);
    size_t count = 0;
    bool more = false;
    sqlite_bind_int(walk, ":after", after);
    sqlite_bind_int(walk, ":rows", limit < ROWS_MAX ? limit : ROWS_MAX);
    while (sqlite_row(db->sqlite, walk, &more, err)) {
        if (!more) {
            *ret_count = count;
            return true;
        }
        rows[count++] = (struct row){.id = sqlite3_column_int64(walk, 0),
                                     .came_ms = sqlite3_column_int64(walk, 1),
                                     .at_ms = sqlite3_column_int64(walk, 2),
                                     .device = sqlite3_column_int64(walk, 3),
                                     .hold = (enum hold)sqlite3_column_int(walk, 4),
                                     .incarnation = sqlite_column_u64(walk, 5),
                                     .seq = sqlite_column_u64(walk, 6)};
    }
    return false;
}

static bool stays(const struct row *row, const struct fleetdb_ageing *ageing)
{
    return row->hold == HOLD_OTHER_KIND || row->at_ms >= ageing->before_ms ||
           (row->hold == HOLD_OPEN && row->came_ms >= ageing->open_before_ms);
}

static bool remove_row(struct fleetdb *db, enum fleetdb_kept kept, const struct row *row,
                       int64_t *ret_records, struct err *err)
{
    *ret_records = 1;
    if (kept == FLEETDB_KEPT_RESULTS) {
        sqlite3_stmt *duplicates = query_of(db, DUPLICATES);
        sqlite_bind_int(duplicates, ":id", row->id);
        if (!sqlite_run(db->sqlite, duplicates, err))
            return false;
        *ret_records += sqlite_changes(db->sqlite);
    }
    sqlite3_stmt *statement = query_of(db, REMOVE + kept);
    sqlite_bind_int(statement, ":id", row->id);
    return sqlite_run(db->sqlite, statement, err);
}

static bool count_aged(struct fleetdb *db, int64_t device, int lane, int64_t records,
                       struct err *err)
{
    if (records == 0)
        return true;
    sqlite3_stmt *statement = query_of(db, AGED);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":lane", lane);
    sqlite_bind_int(statement, ":records", records);
    return sqlite_run(db->sqlite, statement, err);
}

/* In which moment the row was to be found by questions: the next one is still whole. */
static int64_t next_moment(enum fleetdb_kept kept, const struct row *row)
{
    return kept == FLEETDB_KEPT_RESULTS ? (row->at_ms / hour_ms + 1) * hour_ms : row->came_ms + 1;
}

/* Such a run of results is looked at once. */
static bool follows(const struct row *row, const struct row *next)
{
    return next->id == row->id + 1 && next->device == row->device &&
           next->incarnation == row->incarnation && next->seq == row->seq + 1;
}

/* Two spans of one quarter may lie side by side, when times were corrected. */
static bool ends_span(struct fleetdb *db, const struct row *row, const struct row *next,
                      bool *ret_ends, struct err *err)
{
    *ret_ends = next == NULL || next->id != row->id + 1 ||
                next->at_ms / fleetdb_span_ms != row->at_ms / fleetdb_span_ms;
    return *ret_ends || fleetdb_span_begins(db, next->at_ms, next->id, ret_ends, err);
}

/* What says where the result was, if it was the last that it says it of. */
static bool forget_place(struct fleetdb *db, const struct row *row, const struct row *next,
                         struct err *err)
{
    const struct fleetdb_run_id id = {row->device, row->incarnation, row->seq};
    bool ends = false;
    return ((next != NULL && follows(row, next)) || fleetdb_run_gone(db, &id, err)) &&
           ends_span(db, row, next, &ends, err) &&
           (!ends || fleetdb_span_gone(db, row->at_ms, row->id, err));
}

/* Neighbours are mostly of one device: they are counted together. */
static bool remove_rows(struct fleetdb *db, enum fleetdb_kept kept,
                        const struct fleetdb_ageing *ageing, const struct row *rows, size_t count,
                        struct step *step, struct err *err)
{
    const int lane = lanes[kept];
    int64_t aged = 0, records = 0;
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        if (lane != NO_LANE && i > 0 && row->device != rows[i - 1].device) {
            if (!count_aged(db, rows[i - 1].device, lane, aged, err))
                return false;
            aged = 0;
        }
        if (stays(row, ageing))
            continue;
        if (!remove_row(db, kept, row, &records, err))
            return false;
        aged += records;
        if (kept == FLEETDB_KEPT_RESULTS &&
            !forget_place(db, row, i + 1 < count ? &rows[i + 1] : NULL, err))
            return false;
        step->removed++;
        if (next_moment(kept, row) > step->whole_from_ms)
            step->whole_from_ms = next_moment(kept, row);
    }
    return lane == NO_LANE || count == 0 || count_aged(db, rows[count - 1].device, lane, aged, err);
}

static bool age_rows(struct fleetdb *db, enum fleetdb_kept kept,
                     const struct fleetdb_ageing *ageing, int64_t *after, struct step *step,
                     bool *ret_more, struct err *err)
{
    struct row *rows = calloc(ROWS_MAX, sizeof *rows);
    size_t found = 0, old = 0;
    if (rows == NULL)
        return err_set(err, ERR_NO_MEMORY, "fleet database: out of memory");
    bool done = read_rows(db, kept, *after, ageing->rows, rows, &found, err);
    while (done && old < found && rows[old].came_ms < ageing->before_ms)
        old++;
    done = done && remove_rows(db, kept, ageing, rows, old, step, err);
    if (done && old > 0)
        *after = rows[old - 1].id;
    if (done && step->removed > 0 && told_as[kept] != 0)
        done = fleetdb_feed_forget(db, told_as[kept], *after, err);
    *ret_more = old > 0 && old == found;
    free(rows);
    return done;
}

/* ---- sums ---- */

/* What neither the minutes nor the hours that are kept have sums of. */
static bool forget_unused(struct fleetdb *db, enum fleetdb_kept kept, int64_t whole_from_ms,
                          int64_t rows, bool *ret_more, struct err *err)
{
    const enum fleetdb_kept other =
        kept == FLEETDB_KEPT_SUMS_HOUR ? FLEETDB_KEPT_SUMS_MINUTE : FLEETDB_KEPT_SUMS_HOUR;
    const int64_t other_ms = db->whole_from_ms[other];
    const int64_t before_ms = whole_from_ms < other_ms ? whole_from_ms : other_ms;
    if (!fleetdb_rollup_forget_unused(db, before_ms, rows, err))
        return false;
    *ret_more = sqlite_changes(db->sqlite) >= rows;
    return true;
}

/* What is older than `whole_from_ms` counts no more, from the first step on. */
static bool age_sums(struct fleetdb *db, enum fleetdb_kept kept,
                     const struct fleetdb_ageing *ageing, struct step *step, bool *ret_more,
                     struct err *err)
{
    const int64_t grain_ms = kept == FLEETDB_KEPT_SUMS_MINUTE ? 60 * 1000 : hour_ms;
    int64_t left = ageing->rows;
    step->whole_from_ms = ageing->before_ms / hour_ms * hour_ms;
    for (unsigned rollup = 0; rollup < ROLLUPS && left > 0; rollup++) {
        if (rollups[rollup].bucket_ms != grain_ms)
            continue;
        sqlite3_stmt *trim = query_of(db, TRIM + rollup);
        sqlite_bind_int(trim, ":before", step->whole_from_ms / grain_ms);
        sqlite_bind_int(trim, ":rows", left);
        if (!sqlite_run(db->sqlite, trim, err))
            return false;
        left -= sqlite_changes(db->sqlite);
    }
    step->removed = (uint64_t)(ageing->rows - left);
    *ret_more = left <= 0;
    return *ret_more || forget_unused(db, kept, step->whole_from_ms, ageing->rows, ret_more, err);
}

/* ---- a step ---- */

bool fleetdb_age(struct fleetdb *db, enum fleetdb_kept kept, const struct fleetdb_ageing *ageing,
                 int64_t *after, uint64_t *ret_removed, bool *ret_more, struct err *err)
{
    struct step step = {.whole_from_ms = db->whole_from_ms[kept]};
    int64_t to = *after;
    bool own = false, more = false;
    if (!fleetdb_enter(db, &own, err))
        return false;
    bool done = kept < ROW_KINDS ? age_rows(db, kept, ageing, &to, &step, &more, err)
                                 : age_sums(db, kept, ageing, &step, &more, err);
    done = done && (step.removed == 0 || mark(db, kept, &step, err));
    if (!fleetdb_leave(db, own, done, err))
        return false;
    if (step.removed > 0 && step.whole_from_ms > db->whole_from_ms[kept])
        db->whole_from_ms[kept] = step.whole_from_ms;
    db->removed[kept] += (int64_t)step.removed;
    *after = to;
    *ret_removed = step.removed;
    *ret_more = more;
    return true;
}

bool fleetdb_kept_look(struct fleetdb *db, enum fleetdb_kept kept,
                       struct fleetdb_kept_view *ret_view, struct err *err)
{
    sqlite3_stmt *row = query_of(db, OLDEST + kept);
    bool found = false;
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    const int64_t first = sqlite3_column_int64(row, 1), last = sqlite3_column_int64(row, 2);
    *ret_view = (struct fleetdb_kept_view){
        .oldest_ms = sqlite3_column_int64(row, 0),
        .rows = kept >= ROW_KINDS ? -1
                : last == 0       ? 0
                : first == 0      ? last
                                  : last - first + 1,
        .whole_from_ms = db->whole_from_ms[kept],
        .removed = db->removed[kept],
    };
    (void)sqlite3_reset(row);
    return true;
}
