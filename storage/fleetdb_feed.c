/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_feed.h"

#include "storage/fleetdb_internal.h"

#include <stdlib.h>

enum { TRIM_EVERY = 256 };

enum query { ADD, TRIM, RANGE, WHEN, EACH, HELD, TOP, FORGET = TOP + 3, QUERIES };

/* Where it was: what a row tells of may have happened long before it came. */
#define CHANGED FLEETDB_STOOD_AT("a.device", "a.at_ms")
#define MOVED_IN FLEETDB_CAME_FROM_OUTSIDE("a.device", "a.at_ms")
#define SAID FLEETDB_STOOD_AT("e.device", "e.at_ms")
#define SOLD "r.standing"
#define SEEN FLEETDB_STOOD_AT("f.device", "f.at_ms")

static const char *const texts[QUERIES] = {
    [ADD] = "INSERT INTO feed (at_ms, kind, device, source)"
            " VALUES (:now, :kind, nullif(:device, 0), :source)",
    [TRIM] = "DELETE FROM feed WHERE id <= :last",
    [RANGE] = "SELECT (SELECT min(id) FROM feed), (SELECT max(id) FROM feed)",
    [WHEN] = "SELECT at_ms FROM feed WHERE id = :id",
    [EACH] = "SELECT f.id, f.at_ms, f.kind, f.device, d.name, a.who, a.what,"
             " coalesce(a.text, e.text, n.detail), e.kind, e.refusal, e.item, coalesce(e.at_ms, "
             "r.at_ms),"
             " r.code, r.outcome, r.entry_mode, r.amount_minor, r.currency, r.issuer_bucket,"
             " f.source <> 0 AND coalesce(a.id, e.id, r.id, n.id) IS NULL, n.since_ms, n.evidence"
             " FROM feed f LEFT JOIN device d ON d.id = f.device"
             " LEFT JOIN audit a ON f.kind = 3 AND a.id = f.source"
             " LEFT JOIN event e ON f.kind = 4 AND e.id = f.source"
             " LEFT JOIN result r ON f.kind = 5 AND r.id = f.source"
             " LEFT JOIN presence_news n ON f.kind IN (1, 2, 6, 7, 8) AND n.id = f.source"
             " WHERE f.id > :after ORDER BY f.id LIMIT :limit",
    [TOP] = "SELECT max(id) FROM audit",
    [TOP + 1] = "SELECT max(id) FROM event",
    [TOP + 2] = "SELECT max(id) FROM result",
    [FORGET] = "UPDATE feed SET source = -1 WHERE kind = :kind AND source > :top",
    [HELD] = "SELECT count(*) FROM feed f LEFT JOIN audit a ON f.kind = 3 AND a.id = f.source"
             " LEFT JOIN event e ON f.kind = 4 AND e.id = f.source"
             " LEFT JOIN result r ON f.kind = 5 AND r.id = f.source JOIN standing t ON t.id ="
             " CASE f.kind WHEN 3 THEN " CHANGED " WHEN 4 THEN " SAID " WHEN 5 THEN " SOLD
             " ELSE " SEEN " END WHERE f.id = :id AND NOT " MOVED_IN " AND " FLEETDB_IN_SCOPE,
};

const struct fleetdb_queries fleetdb_feed_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_FEED, query);
}

bool fleetdb_feed_add(struct fleetdb *db, enum fleetdb_feed_kind kind, int64_t device,
                      int64_t source, int64_t now_ms, struct err *err)
{
    sqlite3_stmt *add = query_of(db, ADD);
    sqlite_bind_int(add, ":now", now_ms);
    sqlite_bind_int(add, ":kind", kind);
    sqlite_bind_int(add, ":device", device);
    sqlite_bind_int(add, ":source", source);
    if (!sqlite_run(db->sqlite, add, err))
        return false;
    const int64_t id = sqlite_last_row(db->sqlite);
    db->feed_last++;
    if (id % TRIM_EVERY != 0)
        return true;
    sqlite3_stmt *trim = query_of(db, TRIM);
    sqlite_bind_int(trim, ":last", id - FLEETDB_FEED_ROWS);
    return sqlite_run(db->sqlite, trim, err);
}

bool fleetdb_feed_forget(struct fleetdb *db, enum fleetdb_feed_kind kind, int64_t removed,
                         struct err *err)
{
    int64_t top = 0;
    if (kind < FLEETDB_FEED_CHANGE || kind > FLEETDB_FEED_RESULT)
        abort();
    if (!sqlite_value(db->sqlite, query_of(db, TOP + (kind - FLEETDB_FEED_CHANGE)), 0, &top, err))
        return false;
    if (top >= removed)
        return true;
    sqlite3_stmt *forget = query_of(db, FORGET);
    sqlite_bind_int(forget, ":kind", kind);
    sqlite_bind_int(forget, ":top", top);
    return sqlite_run(db->sqlite, forget, err);
}

int64_t fleetdb_feed_last(const struct fleetdb *db)
{
    return db->feed_last;
}

bool fleetdb_feed_range(struct fleetdb *db, int64_t *ret_oldest, int64_t *ret_newest,
                        struct err *err)
{
    bool row = false;
    sqlite3_stmt *range = query_of(db, RANGE);
    if (!sqlite_row(db->sqlite, range, &row, err))
        return false;
    *ret_oldest = sqlite3_column_int64(range, 0);
    *ret_newest = sqlite3_column_int64(range, 1);
    (void)sqlite3_reset(range);
    return true;
}

bool fleetdb_feed_when(struct fleetdb *db, int64_t id, int64_t *ret_at_ms, struct err *err)
{
    sqlite3_stmt *when = query_of(db, WHEN);
    sqlite_bind_int(when, ":id", id);
    return sqlite_value(db->sqlite, when, 0, ret_at_ms, err);
}

static struct fleetdb_feed_row row_of(sqlite3_stmt *row)
{
    return (struct fleetdb_feed_row){.id = sqlite3_column_int64(row, 0),
                                     .at_ms = sqlite3_column_int64(row, 1),
                                     .kind = (enum fleetdb_feed_kind)sqlite3_column_int(row, 2),
                                     .device = sqlite3_column_int64(row, 3),
                                     .device_id = sqlite_column_text(row, 4),
                                     .who = sqlite_column_text(row, 5),
                                     .what = sqlite_column_text(row, 6),
                                     .text = sqlite_column_text(row, 7),
                                     .event_kind = sqlite3_column_int(row, 8),
                                     .refusal = sqlite3_column_int(row, 9),
                                     .item = sqlite_column_text(row, 10),
                                     .happened_ms = sqlite3_column_int64(row, 11),
                                     .code = sqlite_column_text(row, 12),
                                     .outcome = sqlite3_column_int(row, 13),
                                     .entry = sqlite3_column_int(row, 14),
                                     .amount_minor = sqlite3_column_int64(row, 15),
                                     .currency = sqlite3_column_int64(row, 16),
                                     .issuer = sqlite_column_text(row, 17),
                                     .gone = sqlite3_column_int(row, 18) != 0,
                                     .since_ms = sqlite3_column_int64(row, 19),
                                     .evidence = sqlite3_column_int(row, 20)};
}

bool fleetdb_feed_each(struct fleetdb *db, int64_t after, int64_t limit,
                       bool (*each)(void *ctx, const struct fleetdb_feed_row *row, struct err *err),
                       void *ctx, struct err *err)
{
    bool found = false;
    sqlite3_stmt *rows = query_of(db, EACH);
    sqlite_bind_int(rows, ":after", after);
    sqlite_bind_int(rows, ":limit", limit);
    while (sqlite_row(db->sqlite, rows, &found, err)) {
        if (!found)
            return true;
        const struct fleetdb_feed_row row = row_of(rows);
        if (!each(ctx, &row, err)) {
            (void)sqlite3_reset(rows);
            return false;
        }
    }
    return false;
}

bool fleetdb_feed_held(struct fleetdb *db, struct fleetdb_scope scope, int64_t id, bool *ret_held,
                       struct err *err)
{
    int64_t places = 1;
    if (!fleetdb_scope_is_whole(scope)) {
        sqlite3_stmt *held = query_of(db, HELD);
        sqlite_bind_int(held, ":id", id);
        sqlite_bind_int(held, ":token", scope.token);
        if (!sqlite_value(db->sqlite, held, 0, &places, err))
            return false;
    }
    *ret_held = places > 0;
    return true;
}
