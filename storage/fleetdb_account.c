/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_account.h"

#include "storage/fleetdb_internal.h"

#include <stdlib.h>

enum { CLOSE_MAX = 1000 };

enum query {
    CLOSED_READ,
    CLOSED_DELETE,
    REOPEN,
    REOPEN_UNCOUNT,
    HELLO_READ,
    HELLO_WRITE,
    OLDER,
    CLOSABLE,
    CLOSE_ACCOUNT, /* the steps of closing one, in this order */
    CLOSE_ACCOUNT_LOST,
    CLOSE_ADD,
    CLOSE_CONFLICTS,
    CLOSE_LOST,
    CLOSE_RANGES,
    CLOSE_STREAMS,
    RESTORED_READ,
    RESTORED_WRITE,
    QUERIES,
};

#define OF_DEVICE " WHERE device = :device AND incarnation = :incarnation"
#define ITS_STREAMS "(SELECT id FROM stream" OF_DEVICE ")"
#define ITS_LOST                                                                                   \
    "coalesce((SELECT sum(l.last - l.first + 1) FROM stream_lost l WHERE l.stream = stream.id), "  \
    "0)"
#define HELLO_NUMBER "coalesce((SELECT number FROM hello h WHERE h.device = :device), 0)"

static const char *const texts[QUERIES] = {
    [CLOSED_READ] = "SELECT txn_last, event_last, health_last, txn_lost, event_lost, health_lost"
                    " FROM closed_incarnation" OF_DEVICE,
    [CLOSED_DELETE] = "DELETE FROM closed_incarnation" OF_DEVICE,
    [REOPEN] = "INSERT INTO stream (device, incarnation, lane, cumulative, last_seq, counted,"
               " counted_lost, first_ms, updated_ms, listed) VALUES (:device, :incarnation, :lane,"
               " :last, :last, :last, :lost, :now, :now, " HELLO_NUMBER ")",
    [REOPEN_UNCOUNT] = "UPDATE account SET streams = streams - 1 WHERE device = :device"
                       " AND lane = :lane AND :last > 0",
    [HELLO_READ] = "SELECT number, incarnation, starts, boot_ms, received_ms, reset_ms,"
                   " before_incarnation, before_boot_ms FROM hello WHERE device = :device",
    [HELLO_WRITE] = "INSERT INTO hello (device, number, incarnation, starts, boot_ms, received_ms,"
                    " reset_ms, before_incarnation, before_boot_ms) VALUES (:device, :number,"
                    " :incarnation, :starts, :boot, :received, :reset, :before, :before_boot)"
                    " ON CONFLICT (device) DO UPDATE SET number = excluded.number,"
                    " incarnation = excluded.incarnation, starts = excluded.starts,"
                    " boot_ms = excluded.boot_ms, received_ms = excluded.received_ms,"
                    " reset_ms = excluded.reset_ms,"
                    " before_incarnation = excluded.before_incarnation,"
                    " before_boot_ms = excluded.before_boot_ms",
    [OLDER] = "SELECT (SELECT count(*) FROM stream" OF_DEVICE " AND first_ms < :then)"
              " + (SELECT count(*) FROM closed_incarnation" OF_DEVICE ")",
    [CLOSABLE] = "SELECT incarnation FROM stream WHERE device = :device GROUP BY incarnation"
                 " HAVING incarnation <> :running AND max(listed) < :number"
                 " AND min(cumulative >= last_seq) ORDER BY min(first_ms) LIMIT :max",
    [CLOSE_ACCOUNT] = "INSERT INTO account (device, lane, streams, submitted, committed)"
                      " SELECT device, lane, 1, last_seq - counted,"
                      " last_seq - counted - " ITS_LOST " FROM stream" OF_DEVICE
                      " AND last_seq > 0 ON CONFLICT (device, lane) DO UPDATE SET"
                      " streams = streams + excluded.streams,"
                      " submitted = submitted + excluded.submitted,"
                      " committed = committed + excluded.committed",
    [CLOSE_ACCOUNT_LOST] = "INSERT INTO account_lost (device, lane, reason, records)"
                           " SELECT :device, t.lane, l.reason, sum(l.last - l.first + 1)"
                           " FROM stream t JOIN stream_lost l ON l.stream = t.id" OF_DEVICE
                           " GROUP BY t.lane, l.reason ON CONFLICT (device, lane, reason)"
                           " DO UPDATE SET records = records + excluded.records",
    [CLOSE_ADD] = "INSERT INTO closed_incarnation (device, incarnation, txn_last, event_last,"
                  " health_last, txn_lost, event_lost, health_lost, closed_ms)"
                  " SELECT :device, :incarnation, total(last_seq) FILTER (WHERE lane = 1),"
                  " total(last_seq) FILTER (WHERE lane = 2),"
                  " total(last_seq) FILTER (WHERE lane = 3),"
                  " total(lost) FILTER (WHERE lane = 1), total(lost) FILTER (WHERE lane = 2),"
                  " total(lost) FILTER (WHERE lane = 3), :now"
                  " FROM (SELECT lane, last_seq, counted_lost + " ITS_LOST " AS lost"
                  "  FROM stream" OF_DEVICE ") HAVING max(last_seq) > 0",
    [CLOSE_CONFLICTS] = "UPDATE conflict SET settled_ms = :now" OF_DEVICE " AND settled_ms = 0",
    [CLOSE_LOST] = "DELETE FROM stream_lost WHERE stream IN " ITS_STREAMS,
    [CLOSE_RANGES] = "DELETE FROM stream_range WHERE stream IN " ITS_STREAMS,
    [CLOSE_STREAMS] = "DELETE FROM stream" OF_DEVICE,
    [RESTORED_READ] = "SELECT restored_ms FROM stream WHERE id = :stream",
    [RESTORED_WRITE] = "UPDATE stream SET restored_ms = :now WHERE id = :stream",
};

const struct fleetdb_queries fleetdb_account_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query, int64_t device)
{
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_ACCOUNT, query);
    sqlite_bind_int(statement, ":device", device);
    return statement;
}

static sqlite3_stmt *query_one(struct fleetdb *db, enum query query, int64_t device,
                               uint64_t incarnation)
{
    sqlite3_stmt *statement = query_of(db, query, device);
    sqlite_bind_u64(statement, ":incarnation", incarnation);
    return statement;
}

/* ---- closed incarnations ---- */

bool fleetdb_closed_read(struct fleetdb *db, int64_t device, uint64_t incarnation, bool *ret_closed,
                         struct fleetdb_closed *ret_what, struct err *err)
{
    sqlite3_stmt *statement = query_one(db, CLOSED_READ, device, incarnation);
    if (!sqlite_row(db->sqlite, statement, ret_closed, err))
        return false;
    for (int lane = 0; *ret_closed && lane < FLEETDB_LANES; lane++) {
        ret_what->last[lane] = sqlite_column_u64(statement, lane);
        ret_what->lost[lane] = sqlite_column_u64(statement, FLEETDB_LANES + lane);
    }
    (void)sqlite3_reset(statement);
    return true;
}

static bool reopen_lane(struct fleetdb *db, int64_t device, uint64_t incarnation, int lane,
                        const struct fleetdb_closed *closed, int64_t now_ms, struct err *err)
{
    sqlite3_stmt *statement = query_one(db, REOPEN, device, incarnation);
    sqlite_bind_int(statement, ":lane", lane);
    sqlite_bind_u64(statement, ":last", closed->last[lane - 1]);
    sqlite_bind_u64(statement, ":lost", closed->lost[lane - 1]);
    sqlite_bind_int(statement, ":now", now_ms);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    statement = query_of(db, REOPEN_UNCOUNT, device);
    sqlite_bind_int(statement, ":lane", lane);
    sqlite_bind_u64(statement, ":last", closed->last[lane - 1]);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_closed_reopen(struct fleetdb *db, int64_t device, uint64_t incarnation, int64_t now_ms,
                           struct err *err)
{
    struct fleetdb_closed closed;
    bool is_closed = false;
    if (!fleetdb_closed_read(db, device, incarnation, &is_closed, &closed, err))
        return false;
    for (int lane = 1; is_closed && lane <= FLEETDB_LANES; lane++) {
        if (!reopen_lane(db, device, incarnation, lane, &closed, now_ms, err))
            return false;
    }
    return sqlite_run(db->sqlite, query_one(db, CLOSED_DELETE, device, incarnation), err);
}

static bool close_one(struct fleetdb *db, int64_t device, uint64_t incarnation, int64_t now_ms,
                      struct err *err)
{
    for (enum query query = CLOSE_ACCOUNT; query <= CLOSE_STREAMS; query++) {
        sqlite3_stmt *statement = query_one(db, query, device, incarnation);
        if (query == CLOSE_ADD || query == CLOSE_CONFLICTS)
            sqlite_bind_int(statement, ":now", now_ms);
        if (!sqlite_run(db->sqlite, statement, err))
            return false;
    }
    return true;
}

bool fleetdb_close_incarnations(struct fleetdb *db, int64_t device,
                                const struct fleetdb_hello *hello, size_t max, int64_t now_ms,
                                size_t *ret_closed, struct err *err)
{
    uint64_t found[CLOSE_MAX];
    size_t count = 0;
    bool row = false;
    sqlite3_stmt *statement = query_of(db, CLOSABLE, device);
    sqlite_bind_u64(statement, ":running", hello->incarnation);
    sqlite_bind_u64(statement, ":number", hello->number);
    sqlite_bind_int(statement, ":max", max < CLOSE_MAX ? (int64_t)max : CLOSE_MAX);
    do {
        if (!sqlite_row(db->sqlite, statement, &row, err))
            return false;
        if (row)
            found[count++] = sqlite_column_u64(statement, 0);
    } while (row);
    for (size_t i = 0; i < count; i++) {
        if (!close_one(db, device, found[i], now_ms, err))
            return false;
    }
    *ret_closed = count;
    return true;
}

/* ---- hellos ---- */

bool fleetdb_hello_read(struct fleetdb *db, int64_t device, bool *ret_any,
                        struct fleetdb_hello *ret_hello, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, HELLO_READ, device);
    if (!sqlite_row(db->sqlite, statement, ret_any, err))
        return false;
    *ret_hello = (struct fleetdb_hello){0};
    if (*ret_any)
        *ret_hello = (struct fleetdb_hello){.number = sqlite_column_u64(statement, 0),
                                            .incarnation = sqlite_column_u64(statement, 1),
                                            .starts = sqlite_column_u64(statement, 2),
                                            .boot_ms = sqlite3_column_int64(statement, 3),
                                            .received_ms = sqlite3_column_int64(statement, 4),
                                            .reset_ms = sqlite3_column_int64(statement, 5),
                                            .before_incarnation = sqlite_column_u64(statement, 6),
                                            .before_boot_ms = sqlite3_column_int64(statement, 7)};
    (void)sqlite3_reset(statement);
    return true;
}

bool fleetdb_hello_write(struct fleetdb *db, int64_t device, const struct fleetdb_hello *hello,
                         struct err *err)
{
    sqlite3_stmt *statement = query_one(db, HELLO_WRITE, device, hello->incarnation);
    sqlite_bind_u64(statement, ":number", hello->number);
    sqlite_bind_u64(statement, ":starts", hello->starts);
    sqlite_bind_int(statement, ":boot", hello->boot_ms);
    sqlite_bind_int(statement, ":received", hello->received_ms);
    sqlite_bind_int(statement, ":reset", hello->reset_ms);
    sqlite_bind_u64(statement, ":before", hello->before_incarnation);
    sqlite_bind_int(statement, ":before_boot", hello->before_boot_ms);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_incarnation_older(struct fleetdb *db, int64_t device, uint64_t incarnation,
                               int64_t then_ms, bool *ret_older, struct err *err)
{
    int64_t found = 0;
    sqlite3_stmt *statement = query_one(db, OLDER, device, incarnation);
    sqlite_bind_int(statement, ":then", then_ms);
    if (!sqlite_value(db->sqlite, statement, 0, &found, err))
        return false;
    *ret_older = found > 0;
    return true;
}

bool fleetdb_stream_restored(struct fleetdb *db, int64_t stream, bool is, int64_t now_ms,
                             int64_t quiet_ms, bool *ret_news, struct err *err)
{
    int64_t before_ms = 0;
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_ACCOUNT, RESTORED_READ);
    sqlite_bind_int(statement, ":stream", stream);
    if (!sqlite_value(db->sqlite, statement, 0, &before_ms, err))
        return false;
    bool fresh = before_ms != 0 && before_ms <= now_ms && now_ms - before_ms < quiet_ms;
    *ret_news = is && !fresh;
    if (is ? fresh : before_ms == 0)
        return true;
    statement = fleetdb_query(db, FLEETDB_PART_ACCOUNT, RESTORED_WRITE);
    sqlite_bind_int(statement, ":stream", stream);
    sqlite_bind_int(statement, ":now", is ? now_ms : 0);
    return sqlite_run(db->sqlite, statement, err);
}
