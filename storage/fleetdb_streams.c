/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_account.h"
#include "storage/fleetdb_internal.h"

#include <stdlib.h>

#define WHOSE " WHERE device = :device AND incarnation = :incarnation AND lane = :lane"
#define HELLO_NUMBER "coalesce((SELECT number FROM hello h WHERE h.device = :device), 0)"
#define ROOM_LEFT                                                                                  \
    ":max > (SELECT count(*) FROM (SELECT 1 FROM stream WHERE device = :device LIMIT :max))"

enum query {
    STREAM_READ,
    RANGES_READ,
    ROOM,
    WORD_FORGET,
    STREAM_ADD,
    STREAM_UPDATE,
    RANGE_REMOVE,
    RANGE_ADD,
    CLAIM_KNOWN,
    CLAIM_NEW,
    LOSSES_READ,
    LOST_REMOVE,
    LOST_ADD,
    CONFLICTS,
    CONFLICT_TIMES,
    CONFLICTS_SETTLE,
    QUERIES,
};

static const char *const texts[QUERIES] = {
    [STREAM_READ] = "SELECT id, cumulative, last_seq FROM stream" WHOSE,
    [RANGES_READ] = "SELECT first, last FROM stream_range WHERE stream = :stream ORDER BY first",
    [ROOM] = "SELECT " ROOM_LEFT,
    [WORD_FORGET] = "DELETE FROM stream WHERE id = (SELECT id FROM stream s"
                    " WHERE device = :device AND cumulative = 0 AND NOT EXISTS"
                    " (SELECT 1 FROM stream_range r WHERE r.stream = s.id) LIMIT 1)",
    [STREAM_ADD] = "INSERT INTO stream (device, incarnation, lane, cumulative, last_seq, first_ms,"
                   " updated_ms, listed) VALUES (:device, :incarnation, :lane, :cumulative, :last,"
                   " :now, :now, " HELLO_NUMBER ") RETURNING id",
    [STREAM_UPDATE] = "UPDATE stream SET cumulative = :cumulative, updated_ms = :now,"
                      " last_seq = max(last_seq, :last) WHERE id = :stream",
    [RANGE_REMOVE] = "DELETE FROM stream_range WHERE stream = :stream AND first = :first",
    [RANGE_ADD] = "REPLACE INTO stream_range (stream, first, last) VALUES (:stream, :first, :last)",
    [CLAIM_KNOWN] = "UPDATE stream SET last_seq = max(last_seq, :last),"
                    " listed = max(listed, :listed),"
                    " boot_id = coalesce(boot_id, nullif(:boot, x''))" WHOSE,
    [CLAIM_NEW] = "INSERT INTO stream"
                  " (device, incarnation, lane, last_seq, boot_id, first_ms, updated_ms, listed)"
                  " SELECT :device, :incarnation, :lane, :last, nullif(:boot, x''), :now, :now,"
                  " max(:listed, " HELLO_NUMBER ") WHERE " ROOM_LEFT,
    [LOSSES_READ] = "SELECT first, last, reason FROM stream_lost WHERE stream = :stream"
                    " ORDER BY first",
    [LOST_REMOVE] = "DELETE FROM stream_lost WHERE stream = :stream AND first = :first",
    [LOST_ADD] = "REPLACE INTO stream_lost (stream, first, last, reason)"
                 " VALUES (:stream, :first, :last, :reason)",
    [CONFLICTS] = "SELECT DISTINCT seq FROM conflict" WHOSE " AND settled_ms = 0"
                  " ORDER BY seq LIMIT :max",
    [CONFLICT_TIMES] = "SELECT sum(times) FROM (SELECT times FROM conflict" WHOSE " LIMIT 2)",
    [CONFLICTS_SETTLE] = "UPDATE conflict SET settled_ms = :now" WHOSE
                         " AND seq BETWEEN :first AND :last AND settled_ms = 0",
};

const struct fleetdb_queries fleetdb_stream_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_STREAMS, query);
}

static sqlite3_stmt *stream_query(struct fleetdb *db, enum query query, int64_t device,
                                  uint64_t incarnation, int lane)
{
    sqlite3_stmt *statement = query_of(db, query);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_u64(statement, ":incarnation", incarnation);
    sqlite_bind_int(statement, ":lane", lane);
    return statement;
}

/* ---- what is settled ---- */

static bool read_ranges(struct fleetdb *db, struct fleetdb_stream *stream, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, RANGES_READ);
    sqlite_bind_int(statement, ":stream", stream->stream);
    bool row = false;
    while (sqlite_row(db->sqlite, statement, &row, err)) {
        if (!row)
            return true;
        if (stream->range_count == FLEETDB_RANGES_MAX) {
            (void)sqlite3_reset(statement);
            return err_set(err, ERR_IO, "fleet database: stream %lld has too many ranges",
                           (long long)stream->stream);
        }
        stream->ranges[stream->range_count++] = (struct fleetdb_range){
            .first = sqlite_column_u64(statement, 0), .last = sqlite_column_u64(statement, 1)};
    }
    return false;
}

/* Without a row it may be closed: then nothing is missing of it. */
static bool read_closed(struct fleetdb *db, int64_t device, struct fleetdb_stream *stream,
                        struct err *err)
{
    struct fleetdb_closed closed;
    if (!fleetdb_closed_read(db, device, stream->incarnation, &stream->closed, &closed, err))
        return false;
    if (stream->closed)
        stream->cumulative = stream->last_seq = closed.last[stream->lane - 1];
    return true;
}

bool fleetdb_stream_read(struct fleetdb *db, int64_t device, uint64_t incarnation, int lane,
                         struct fleetdb_stream *ret_stream, struct err *err)
{
    sqlite3_stmt *statement = stream_query(db, STREAM_READ, device, incarnation, lane);
    bool row = false;
    if (!sqlite_row(db->sqlite, statement, &row, err))
        return false;
    ret_stream->stream = row ? sqlite3_column_int64(statement, 0) : 0;
    ret_stream->cumulative = row ? sqlite_column_u64(statement, 1) : 0;
    ret_stream->last_seq = row ? sqlite_column_u64(statement, 2) : 0;
    ret_stream->incarnation = incarnation;
    ret_stream->lane = lane;
    ret_stream->closed = false;
    ret_stream->range_count = 0;
    (void)sqlite3_reset(statement);
    return row ? read_ranges(db, ret_stream, err) : read_closed(db, device, ret_stream, err);
}

/* Writes one list in place of another, both ascending: only what differs, for a long one is changed
 * at one place most of the time. */
struct list {
    struct fleetdb *db;
    int64_t stream;
    enum query remove, add;
    bool with_reason;
};

static bool write_one(const struct list *list, enum query query, const struct fleetdb_lost *range,
                      struct err *err)
{
    sqlite3_stmt *statement = query_of(list->db, query);
    sqlite_bind_int(statement, ":stream", list->stream);
    sqlite_bind_u64(statement, ":first", range->first);
    if (query == list->add)
        sqlite_bind_u64(statement, ":last", range->last);
    if (query == list->add && list->with_reason)
        sqlite_bind_int(statement, ":reason", range->reason);
    return sqlite_run(list->db->sqlite, statement, err);
}

static bool write_step(const struct list *list, const struct fleetdb_lost *before,
                       const struct fleetdb_lost *after, bool *ret_before, bool *ret_after,
                       struct err *err)
{
    *ret_before = before != NULL && (after == NULL || before->first <= after->first);
    *ret_after = after != NULL && (before == NULL || after->first <= before->first);
    if (*ret_before && !*ret_after)
        return write_one(list, list->remove, before, err);
    if (*ret_before && before->last == after->last && before->reason == after->reason)
        return true;
    return write_one(list, list->add, after, err);
}

static bool write_ranges(struct fleetdb *db, const struct fleetdb_stream *stream, struct err *err)
{
    const struct list list = {db, stream->stream, RANGE_REMOVE, RANGE_ADD, false};
    struct fleetdb_stream before; /* not cleared: most of it is room */
    before.stream = stream->stream;
    before.range_count = 0;
    if (!read_ranges(db, &before, err))
        return false;
    for (size_t b = 0, a = 0; b < before.range_count || a < stream->range_count;) {
        struct fleetdb_lost old = {0}, new = {0};
        bool step_before = b < before.range_count, step_after = a < stream->range_count;
        if (step_before)
            old = (struct fleetdb_lost){before.ranges[b].first, before.ranges[b].last, 0};
        if (step_after)
            new = (struct fleetdb_lost){stream->ranges[a].first, stream->ranges[a].last, 0};
        if (!write_step(&list, step_before ? &old : NULL, step_after ? &new : NULL, &step_before,
                        &step_after, err))
            return false;
        b += step_before;
        a += step_after;
    }
    return true;
}

static bool room_left(struct fleetdb *db, int64_t device, bool *ret_room, struct err *err)
{
    int64_t left = 0;
    sqlite3_stmt *statement = query_of(db, ROOM);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":max", FLEETDB_STREAMS_MAX);
    if (!sqlite_value(db->sqlite, statement, 0, &left, err))
        return false;
    *ret_room = left != 0;
    return true;
}

bool fleetdb_stream_room(struct fleetdb *db, int64_t device, bool *ret_room, bool *ret_gave_way,
                         struct err *err)
{
    *ret_gave_way = false;
    if (!room_left(db, device, ret_room, err))
        return false;
    if (*ret_room)
        return true;
    sqlite3_stmt *statement = query_of(db, WORD_FORGET);
    sqlite_bind_int(statement, ":device", device);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    *ret_room = *ret_gave_way = sqlite_changes(db->sqlite) == 1;
    return true;
}

bool fleetdb_stream_write(struct fleetdb *db, int64_t device, struct fleetdb_stream *stream,
                          int64_t now_ms, struct err *err)
{
    if (stream->closed)
        abort();
    uint64_t top =
        stream->range_count > 0 ? stream->ranges[stream->range_count - 1].last : stream->cumulative;
    if (stream->last_seq < top)
        stream->last_seq = top;
    bool is_new = stream->stream == 0;
    sqlite3_stmt *statement =
        is_new ? stream_query(db, STREAM_ADD, device, stream->incarnation, stream->lane)
               : query_of(db, STREAM_UPDATE);
    sqlite_bind_u64(statement, ":cumulative", stream->cumulative);
    sqlite_bind_u64(statement, ":last", stream->last_seq);
    sqlite_bind_int(statement, ":now", now_ms);
    if (!is_new)
        sqlite_bind_int(statement, ":stream", stream->stream);
    bool done = is_new ? sqlite_value(db->sqlite, statement, 0, &stream->stream, err)
                       : sqlite_run(db->sqlite, statement, err);
    return done && write_ranges(db, stream, err);
}

/* ---- what the device says ---- */

static bool run_claim(struct fleetdb *db, enum query query, int64_t device,
                      const struct fleetdb_claim *claim, const int64_t *now_ms, struct err *err)
{
    sqlite3_stmt *statement = stream_query(db, query, device, claim->incarnation, claim->lane);
    sqlite_bind_u64(statement, ":last", claim->last_seq);
    sqlite_bind_u64(statement, ":listed", claim->listed);
    sqlite_bind_bytes(statement, ":boot", claim->boot_id);
    if (now_ms != NULL) {
        sqlite_bind_int(statement, ":now", *now_ms);
        sqlite_bind_int(statement, ":max", FLEETDB_STREAMS_MAX);
    }
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_stream_claim(struct fleetdb *db, int64_t device, const struct fleetdb_claim *claim,
                          int64_t now_ms, bool *ret_kept, struct err *err)
{
    struct fleetdb_closed closed;
    bool is_closed = false;
    *ret_kept = true;
    if (!run_claim(db, CLAIM_KNOWN, device, claim, NULL, err))
        return false;
    if (sqlite_changes(db->sqlite) == 1)
        return true;
    if (!fleetdb_closed_read(db, device, claim->incarnation, &is_closed, &closed, err))
        return false;
    if (!is_closed) {
        bool done = run_claim(db, CLAIM_NEW, device, claim, &now_ms, err);
        *ret_kept = done && sqlite_changes(db->sqlite) == 1;
        return done;
    }
    if (claim->last_seq <= closed.last[claim->lane - 1])
        return true;
    return room_left(db, device, ret_kept, err) &&
           (!*ret_kept || (fleetdb_closed_reopen(db, device, claim->incarnation, now_ms, err) &&
                           run_claim(db, CLAIM_KNOWN, device, claim, NULL, err)));
}

/* ---- what is lost ---- */

bool fleetdb_losses_read(struct fleetdb *db, int64_t stream, struct fleetdb_losses *ret_losses,
                         struct err *err)
{
    sqlite3_stmt *statement = query_of(db, LOSSES_READ);
    sqlite_bind_int(statement, ":stream", stream);
    ret_losses->count = 0;
    bool row = false;
    while (sqlite_row(db->sqlite, statement, &row, err)) {
        if (!row)
            return true;
        if (ret_losses->count == FLEETDB_LOST_ROOM) {
            (void)sqlite3_reset(statement);
            return err_set(err, ERR_IO, "fleet database: stream %lld has too many losses",
                           (long long)stream);
        }
        ret_losses->ranges[ret_losses->count++] =
            (struct fleetdb_lost){.first = sqlite_column_u64(statement, 0),
                                  .last = sqlite_column_u64(statement, 1),
                                  .reason = sqlite3_column_int64(statement, 2)};
    }
    return false;
}

static bool write_losses(const struct list *list, const struct fleetdb_losses *before,
                         const struct fleetdb_losses *after, struct err *err)
{
    for (size_t b = 0, a = 0; b < before->count || a < after->count;) {
        bool step_before = false, step_after = false;
        if (!write_step(list, b < before->count ? &before->ranges[b] : NULL,
                        a < after->count ? &after->ranges[a] : NULL, &step_before, &step_after,
                        err))
            return false;
        b += step_before;
        a += step_after;
    }
    return true;
}

bool fleetdb_losses_write(struct fleetdb *db, int64_t stream, const struct fleetdb_losses *losses,
                          struct err *err)
{
    const struct list list = {db, stream, LOST_REMOVE, LOST_ADD, true};
    struct fleetdb_losses *before = malloc(sizeof *before);
    if (before == NULL)
        return err_set(err, ERR_NO_MEMORY, "fleet database: no memory for a stream's losses");
    bool done =
        fleetdb_losses_read(db, stream, before, err) && write_losses(&list, before, losses, err);
    free(before);
    return done;
}

/* ---- conflicts ---- */

bool fleetdb_stream_conflicts(struct fleetdb *db, int64_t device, uint64_t incarnation, int lane,
                              uint64_t *ret_seqs, size_t max, size_t *ret_count, struct err *err)
{
    sqlite3_stmt *statement = stream_query(db, CONFLICTS, device, incarnation, lane);
    sqlite_bind_int(statement, ":max", (int64_t)max);
    size_t count = 0;
    bool row = false;
    while (sqlite_row(db->sqlite, statement, &row, err)) {
        if (!row) {
            *ret_count = count;
            return true;
        }
        ret_seqs[count++] = sqlite_column_u64(statement, 0);
    }
    return false;
}

bool fleetdb_stream_conflict_first(struct fleetdb *db, int64_t device, uint64_t incarnation,
                                   int lane, bool *ret_first, struct err *err)
{
    int64_t times = 0;
    if (!sqlite_value(db->sqlite, stream_query(db, CONFLICT_TIMES, device, incarnation, lane), 0,
                      &times, err))
        return false;
    *ret_first = times == 1;
    return true;
}

bool fleetdb_conflicts_settle(struct fleetdb *db, int64_t device, uint64_t incarnation, int lane,
                              uint64_t first, uint64_t last, int64_t now_ms, struct err *err)
{
    sqlite3_stmt *statement = stream_query(db, CONFLICTS_SETTLE, device, incarnation, lane);
    sqlite_bind_u64(statement, ":first", first);
    sqlite_bind_u64(statement, ":last", last);
    sqlite_bind_int(statement, ":now", now_ms);
    return sqlite_run(db->sqlite, statement, err);
}
