/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_actions.h"

#include "storage/fleetdb_internal.h"

#include <stdio.h>

enum query {
    PUT,
    OPEN,
    NAMED,
    EACH,
    GET,
    REPORT,
    KNOWN,
    PIECE,
    PIECES,
    DUE,
    EXPIRE,
    NEXT,
    QUERIES
};

#define COLUMNS                                                                                    \
    "SELECT a.name, d.name, a.note, a.text, a.kind, a.step, a.limit_bytes, a.made_ms,"             \
    " a.expires_ms, a.reported_ms, a.since_epoch, a.since_version, a.open, a.log_bytes,"           \
    " a.log_pieces, (SELECT count(*) FROM log_piece p WHERE p.action = a.id), a.log_sha256,"       \
    " a.digest"                                                                                    \
    " FROM action a JOIN device d ON d.id = a.device"

/* Of which the terminal has not said that they began: 1 is to wait. */
#define OVERDUE "open <> 0 AND expires_ms <> 0 AND expires_ms <= :now AND step < 2"

static const char *const texts[QUERIES] = {
    [PUT] = "INSERT INTO action (device, name, kind, limit_bytes, note, made_ms, expires_ms,"
            " digest) VALUES (:device, :name, :kind, :limit, :note, :made, :expires, :digest)",
    [OPEN] = COLUMNS " WHERE a.device = :device AND a.open <> 0 ORDER BY a.id",
    [NAMED] = "UPDATE action SET named = open, since_epoch = iif(since_version = 0 AND open <> 0,"
              " :epoch, since_epoch), since_version = iif(since_version = 0 AND open <> 0,"
              " :version, since_version) WHERE device = :device AND (open <> 0 OR named <> 0)",
    [EACH] = COLUMNS " WHERE (:device = 0 OR a.device = :device) AND (:devices IS NULL"
                     " OR a.device IN (SELECT value FROM json_each(:devices)))"
                     " ORDER BY a.id DESC LIMIT :limit",
    [GET] = COLUMNS " WHERE a.name = :name",
    /* How it ended is said once; that it waits is no news where more is known, and of what has
     * expired (5) only that it began after all (2). What has begun is ordered no more: a terminal
     * that lost its mark must not begin again. */
    [REPORT] = "UPDATE action SET text = :text, reported_ms = :now, log_bytes = :log_bytes,"
               " log_pieces = :log_pieces, log_sha256 = :log_sha256, step = :step, told = :over,"
               " open = iif(:over OR :step = 2, 0, open)"
               " WHERE device = :device AND name = :name AND told = 0"
               " AND (:over OR step <= :step OR (step = 5 AND :step = 2))",
    [KNOWN] = "SELECT id FROM action WHERE device = :device AND name = :name",
    [PIECE] = "INSERT INTO log_piece (action, number, incarnation, seq)"
              " SELECT id, :number, :incarnation, :seq FROM action"
              " WHERE device = :device AND name = :name ON CONFLICT DO NOTHING",
    [PIECES] = "SELECT p.number, e.detail FROM action a JOIN log_piece p ON p.action = a.id"
               " JOIN event e ON e.device = a.device AND e.incarnation = p.incarnation"
               " AND e.seq = p.seq WHERE a.name = :name ORDER BY p.number",
    [DUE] = "SELECT d.id, d.name FROM device d WHERE d.id > :after AND (d.id IN"
            " (SELECT device FROM action WHERE named <> 0 AND open = 0) OR d.id IN"
            " (SELECT device FROM action WHERE " OVERDUE ")) ORDER BY d.id LIMIT 1",
    [EXPIRE] = "UPDATE action SET open = 0, step = :step WHERE device = :device AND " OVERDUE,
    [NEXT] = "SELECT min(expires_ms) FROM action WHERE open <> 0 AND expires_ms <> 0 AND step < 2",
};

const struct fleetdb_queries fleetdb_action_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_ACTIONS, query);
}

bool fleetdb_action_put(struct fleetdb *db, int64_t device, const struct fleetdb_action *action,
                        struct err *err)
{
    sqlite3_stmt *put = query_of(db, PUT);
    sqlite_bind_int(put, ":device", device);
    sqlite_bind_text(put, ":name", action->name);
    sqlite_bind_int(put, ":kind", action->kind);
    sqlite_bind_u64(put, ":limit", action->limit_bytes);
    sqlite_bind_text(put, ":note", action->note);
    sqlite_bind_int(put, ":made", action->made_ms);
    sqlite_bind_int(put, ":expires", action->expires_ms);
    sqlite_bind_bytes(put, ":digest", action->digest);
    return sqlite_run(db->sqlite, put, err);
}

static bool give_rows(struct fleetdb *db, sqlite3_stmt *rows,
                      bool (*each)(void *ctx, const struct fleetdb_action *action, struct err *err),
                      void *ctx, size_t *ret_count, struct err *err)
{
    for (*ret_count = 0;; ++*ret_count) {
        bool row;
        if (!sqlite_row(db->sqlite, rows, &row, err))
            return false;
        if (!row)
            return true;
        const struct fleetdb_action action = {
            .name = sqlite_column_text(rows, 0),
            .device = sqlite_column_text(rows, 1),
            .note = sqlite_column_text(rows, 2),
            .text = sqlite_column_text(rows, 3),
            .kind = sqlite3_column_int(rows, 4),
            .step = sqlite3_column_int(rows, 5),
            .limit_bytes = sqlite_column_u64(rows, 6),
            .made_ms = sqlite3_column_int64(rows, 7),
            .expires_ms = sqlite3_column_int64(rows, 8),
            .reported_ms = sqlite3_column_int64(rows, 9),
            .since_epoch = sqlite_column_u64(rows, 10),
            .since_version = sqlite_column_u64(rows, 11),
            .open = sqlite3_column_int(rows, 12) != 0,
            .log_bytes = sqlite_column_u64(rows, 13),
            .log_pieces = sqlite_column_u64(rows, 14),
            .log_held = sqlite_column_u64(rows, 15),
            .log_sha256 = sqlite_column_bytes(rows, 16),
            .digest = sqlite_column_bytes(rows, 17),
        };
        if (!each(ctx, &action, err)) {
            (void)sqlite3_reset(rows);
            return false;
        }
    }
}

bool fleetdb_actions_open(struct fleetdb *db, int64_t device,
                          bool (*each)(void *ctx, const struct fleetdb_action *action,
                                       struct err *err),
                          void *ctx, struct err *err)
{
    size_t count;
    sqlite3_stmt *rows = query_of(db, OPEN);
    sqlite_bind_int(rows, ":device", device);
    return give_rows(db, rows, each, ctx, &count, err);
}

bool fleetdb_actions_named(struct fleetdb *db, int64_t device, uint64_t epoch, uint64_t version,
                           struct err *err)
{
    sqlite3_stmt *named = query_of(db, NAMED);
    sqlite_bind_int(named, ":device", device);
    sqlite_bind_u64(named, ":epoch", epoch);
    sqlite_bind_u64(named, ":version", version);
    return sqlite_run(db->sqlite, named, err);
}

bool fleetdb_actions_each(struct fleetdb *db, int64_t device, const char *devices, int64_t limit,
                          bool (*each)(void *ctx, const struct fleetdb_action *action,
                                       struct err *err),
                          void *ctx, struct err *err)
{
    size_t count;
    sqlite3_stmt *rows = query_of(db, EACH);
    sqlite_bind_int(rows, ":device", device);
    if (devices != NULL)
        sqlite_bind_text(rows, ":devices", devices);
    sqlite_bind_int(rows, ":limit", limit);
    return give_rows(db, rows, each, ctx, &count, err);
}

bool fleetdb_action_get(struct fleetdb *db, const char *name,
                        bool (*each)(void *ctx, const struct fleetdb_action *action,
                                     struct err *err),
                        void *ctx, struct err *err)
{
    size_t count;
    sqlite3_stmt *rows = query_of(db, GET);
    sqlite_bind_text(rows, ":name", name);
    if (!give_rows(db, rows, each, ctx, &count, err))
        return false;
    return count > 0 || err_set(err, ERR_NOT_FOUND, "there is no action %s", name);
}

bool fleetdb_action_report(struct fleetdb *db, int64_t device, const struct fleetdb_action *report,
                           bool over, int64_t now_ms, bool *ret_known, struct err *err)
{
    int64_t row = 0;
    sqlite3_stmt *known = query_of(db, KNOWN);
    sqlite_bind_int(known, ":device", device);
    sqlite_bind_text(known, ":name", report->name);
    if (!sqlite_value(db->sqlite, known, 0, &row, err))
        return false;
    *ret_known = row != 0;
    if (row == 0)
        return true;
    sqlite3_stmt *update = query_of(db, REPORT);
    sqlite_bind_int(update, ":device", device);
    sqlite_bind_text(update, ":name", report->name);
    sqlite_bind_text(update, ":text", report->text);
    sqlite_bind_int(update, ":now", now_ms);
    sqlite_bind_u64(update, ":log_bytes", report->log_bytes);
    sqlite_bind_u64(update, ":log_pieces", report->log_pieces);
    sqlite_bind_bytes(update, ":log_sha256", report->log_sha256);
    sqlite_bind_int(update, ":step", report->step);
    sqlite_bind_int(update, ":over", over ? 1 : 0);
    return sqlite_run(db->sqlite, update, err);
}

bool fleetdb_action_piece(struct fleetdb *db, int64_t device, const char *name, uint64_t number,
                          uint64_t incarnation, uint64_t seq, struct err *err)
{
    sqlite3_stmt *piece = query_of(db, PIECE);
    sqlite_bind_int(piece, ":device", device);
    sqlite_bind_text(piece, ":name", name);
    sqlite_bind_u64(piece, ":number", number);
    sqlite_bind_u64(piece, ":incarnation", incarnation);
    sqlite_bind_u64(piece, ":seq", seq);
    return sqlite_run(db->sqlite, piece, err);
}

bool fleetdb_action_pieces(struct fleetdb *db, const char *name,
                           bool (*each)(void *ctx, uint64_t number, struct bytes detail,
                                        struct err *err),
                           void *ctx, struct err *err)
{
    sqlite3_stmt *rows = query_of(db, PIECES);
    sqlite_bind_text(rows, ":name", name);
    for (;;) {
        bool row;
        if (!sqlite_row(db->sqlite, rows, &row, err))
            return false;
        if (!row)
            return true;
        if (!each(ctx, sqlite_column_u64(rows, 0), sqlite_column_bytes(rows, 1), err)) {
            (void)sqlite3_reset(rows);
            return false;
        }
    }
}

bool fleetdb_actions_due(struct fleetdb *db, int64_t after, int64_t now_ms, int64_t *ret_device,
                         char *ret_id, bool *ret_found, struct err *err)
{
    enum { ID_BYTES = 33 };
    sqlite3_stmt *due = query_of(db, DUE);
    sqlite_bind_int(due, ":after", after);
    sqlite_bind_int(due, ":now", now_ms);
    if (!sqlite_row(db->sqlite, due, ret_found, err))
        return false;
    if (*ret_found) {
        *ret_device = sqlite3_column_int64(due, 0);
        (void)snprintf(ret_id, ID_BYTES, "%s", sqlite_column_text(due, 1));
        (void)sqlite3_reset(due);
    }
    return true;
}

bool fleetdb_actions_expire(struct fleetdb *db, int64_t device, int64_t now_ms, int step,
                            struct err *err)
{
    sqlite3_stmt *expire = query_of(db, EXPIRE);
    sqlite_bind_int(expire, ":device", device);
    sqlite_bind_int(expire, ":now", now_ms);
    sqlite_bind_int(expire, ":step", step);
    return sqlite_run(db->sqlite, expire, err);
}

bool fleetdb_actions_next(struct fleetdb *db, int64_t *ret_ms, struct err *err)
{
    return sqlite_value(db->sqlite, query_of(db, NEXT), 0, ret_ms, err);
}
