/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_carry.h"

#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_places.h"

#include <string.h>

enum query {
    TERMINAL_PUT,
    TERMINAL_FIND,
    CARRIED_SAME,
    CARRIED_BEFORE,
    END_ONE,
    TAKEN,
    MID_OF_ANOTHER,
    BEGIN_ONE,
    OVER,
    COUNT,
    UNDO_ENDED,
    TELL_ENDED,
    UNDO_BEGUN,
    TELL_BEGUN,
    TELL_MOVED,
    UNDO_MOVED,
    FOLLOW_DEVICE,
    FOLLOW_STORE,
    DUTIES,
    DUTIES_LAST,
    DUTY_STATE,
    DUTY_DONE,
    QUERIES,
};

/* Whose MIDs are nobody's yet. */
#define NOWHERE "coalesce((SELECT id FROM merchant WHERE code = '" FLEETDB_NOWHERE "'), 0)"

#define NEWEST(row) "(SELECT id FROM standing WHERE device = " row ".device AND to_ms IS NULL)"

/* What is to be told, and what no longer is because the opposite was never told. */
#define UNDO(act)                                                                                  \
    "UPDATE registration_duty SET done_ms = :now, done_who = :who,"                                \
    " note = 'undone before it was told' WHERE done_ms = 0 AND act = '" act "'"                    \
    " AND device = :device AND logical_terminal = :terminal"
#define TELL(act, whose)                                                                           \
    "INSERT INTO registration_duty (device, logical_terminal, act, why, since_ms, who, standing)"  \
    " SELECT device, logical_terminal, '" act "', :why, :now, :who, " NEWEST(                      \
        "c") " FROM device_terminal c"                                                             \
             " WHERE to_ms IS NULL AND " whose                                                     \
             " AND NOT EXISTS (SELECT 1 FROM registration_duty d"                                  \
             "  WHERE d.device = c.device AND d.logical_terminal = c.logical_terminal"             \
             "  AND d.act = '" act "' AND d.done_ms = 0)"
/* What is released, is where it was. */
#define FOLLOW                                                                                     \
    "UPDATE registration_duty AS y SET standing = " NEWEST(                                        \
        "y") " WHERE done_ms = 0 AND act <> 'unbind' AND standing IS NOT " NEWEST("y") " AND "
#define THIS_ONE "device = :device AND logical_terminal = :terminal"

/* Why a device left is said where it went. */
#define TOLD(text)                                                                                 \
    "iif(:token = 0 OR EXISTS (SELECT 1 FROM standing t WHERE t.id = " FLEETDB_STOOD_AT(           \
        "y.device", "y.since_ms") " AND " FLEETDB_IN_SCOPE "), " text ", '')"
#define WHY TOLD("y.why")
#define WHO TOLD("y.who")

static const char *const texts[QUERIES] = {
    [TERMINAL_PUT] = "INSERT INTO logical_terminal (acquirer, tid, mid, merchant)"
                     " VALUES (:acquirer, :tid, :mid, :merchant)"
                     " ON CONFLICT (acquirer, tid, mid) DO UPDATE SET merchant = excluded.merchant"
                     " WHERE excluded.merchant IS NOT NULL AND merchant IS NOT excluded.merchant",
    [TERMINAL_FIND] = "SELECT id FROM logical_terminal"
                      " WHERE acquirer = :acquirer AND tid = :tid AND mid = :mid",
    [CARRIED_SAME] = "SELECT count(*) FROM device_terminal WHERE device = :device AND slot = :slot"
                     " AND logical_terminal = :terminal AND to_ms IS NULL",
    [CARRIED_BEFORE] = "SELECT count(*) FROM device_terminal WHERE logical_terminal = :terminal",
    [END_ONE] = "UPDATE device_terminal SET to_ms = :now WHERE device = :device"
                " AND logical_terminal = :terminal AND to_ms IS NULL",
    [TAKEN] = "SELECT c.device, c.slot, d.name, d.store FROM device_terminal c"
              " JOIN device d ON d.id = c.device"
              " WHERE c.logical_terminal = :terminal AND c.to_ms IS NULL AND c.device <> :device",
    [MID_OF_ANOTHER] = "SELECT m.code, d.name FROM logical_terminal l JOIN device_terminal c"
                       "  ON c.logical_terminal = l.id AND c.to_ms IS NULL"
                       " JOIN device d ON d.id = c.device JOIN merchant m ON m.id = l.merchant"
                       " WHERE l.acquirer = :acquirer AND l.mid = :mid AND d.store IS NOT NULL"
                       "  AND (l.merchant < :merchant OR l.merchant > :merchant)"
                       "  AND :merchant <> " NOWHERE " AND l.merchant <> " NOWHERE " LIMIT 1",
    [BEGIN_ONE] = "INSERT INTO device_terminal (device, slot, logical_terminal, from_ms)"
                  " VALUES (:device, :slot, :terminal, :now)",
    [OVER] = "SELECT c.device, c.logical_terminal, c.slot, l.acquirer, l.tid, l.mid"
             " FROM device_terminal c JOIN logical_terminal l ON l.id = c.logical_terminal"
             " WHERE c.to_ms IS NULL AND c.device = :device",
    [COUNT] = "SELECT count(*) FROM device_terminal WHERE device = :device AND to_ms IS NULL",
    [UNDO_ENDED] = UNDO("bind"),
    [TELL_ENDED] = TELL("unbind", THIS_ONE),
    [UNDO_BEGUN] = UNDO("unbind"),
    [TELL_BEGUN] = TELL("bind", THIS_ONE),
    [TELL_MOVED] = TELL("address", "device = :device"),
    [UNDO_MOVED] = UNDO("address"),
    [FOLLOW_DEVICE] = FOLLOW "device = :device",
    [FOLLOW_STORE] = FOLLOW "device IN (SELECT id FROM device WHERE store = :store)",
    [DUTIES] = "SELECT y.id, d.name, d.serial, d.model, y.act, l.acquirer, l.tid, l.mid, m.code,"
               " s.code, s.address, " WHY ", " WHO ", y.since_ms, y.done_ms, y.done_who, y.note"
               " FROM registration_duty y JOIN device d ON d.id = y.device"
               " JOIN logical_terminal l ON l.id = y.logical_terminal"
               " LEFT JOIN standing t ON t.id = y.standing"
               " LEFT JOIN store s ON s.id = t.store LEFT JOIN merchant m ON m.id = t.merchant"
               " WHERE (:all <> 0 OR y.done_ms = 0) AND (:device = 0 OR y.device = :device)"
               " AND (:token = 0 OR " FLEETDB_IN_SCOPE ")"
               " ORDER BY y.id",
    [DUTIES_LAST] = "SELECT coalesce(max(id), 0) FROM registration_duty",
    [DUTY_STATE] = "SELECT done_ms FROM registration_duty WHERE id = :duty",
    [DUTY_DONE] = "UPDATE registration_duty SET done_ms = :now, done_who = :who, note = :why"
                  " WHERE id = :duty",
};

const struct fleetdb_queries fleetdb_carry_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_CARRY, query);
}

enum { SLOTS_MAX = 64 };
struct slot {
    int64_t device, terminal, number;
};

/* Of a row of OVER. */
static bool is_said(sqlite3_stmt *row, const struct fleetdb_terminal *said, size_t said_count)
{
    for (size_t i = 0; i < said_count; i++) {
        if (sqlite3_column_int64(row, 2) == said[i].index &&
            strcmp(sqlite_column_text(row, 3), said[i].acquirer) == 0 &&
            strcmp(sqlite_column_text(row, 4), said[i].tid) == 0 &&
            strcmp(sqlite_column_text(row, 5), said[i].mid) == 0)
            return true;
    }
    return false;
}

/* What it carries that is not said. */
static bool read_slots(struct fleetdb *db, int64_t device, const struct fleetdb_terminal *said,
                       size_t said_count, struct slot slots[SLOTS_MAX], size_t *ret_count,
                       struct err *err)
{
    size_t count = 0;
    bool more = false;
    sqlite3_stmt *row = query_of(db, OVER);
    sqlite_bind_int(row, ":device", device);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more) {
            *ret_count = count;
            return true;
        }
        if (is_said(row, said, said_count))
            continue;
        if (count == SLOTS_MAX) {
            (void)sqlite3_reset(row);
            return err_set(err, ERR_FULL, "more than %d logical terminals at once", SLOTS_MAX);
        }
        slots[count++] = (struct slot){sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1),
                                       sqlite3_column_int64(row, 2)};
    }
    return false;
}

/* ---- what is to be told ---- */

static bool run_duty(struct fleetdb *db, enum query query, const struct slot *slot,
                     const struct fleetdb_change *change, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, query);
    sqlite_bind_int(statement, ":device", slot->device);
    sqlite_bind_int(statement, ":now", change->now_ms);
    sqlite_bind_text(statement, ":who", change->who);
    if (query == TELL_BEGUN || query == TELL_ENDED || query == TELL_MOVED)
        sqlite_bind_text(statement, ":why", change->why);
    if (query != TELL_MOVED)
        sqlite_bind_int(statement, ":terminal", slot->terminal);
    return sqlite_run(db->sqlite, statement, err);
}

/* While the row is still in force. */
static bool tell(struct fleetdb *db, bool begun, const struct slot *slot,
                 const struct fleetdb_change *change, struct err *err)
{
    if (!run_duty(db, begun ? UNDO_BEGUN : UNDO_ENDED, slot, change, err))
        return false;
    return sqlite_changes(db->sqlite) > 0 ||
           run_duty(db, begun ? TELL_BEGUN : TELL_ENDED, slot, change, err);
}

/* ---- changes ---- */

static bool end(struct fleetdb *db, const struct slot *slot, const struct fleetdb_change *change,
                struct err *err)
{
    if (!tell(db, false, slot, change, err) || !run_duty(db, UNDO_MOVED, slot, change, err))
        return false;
    sqlite3_stmt *statement = query_of(db, END_ONE);
    sqlite_bind_int(statement, ":device", slot->device);
    sqlite_bind_int(statement, ":terminal", slot->terminal);
    sqlite_bind_int(statement, ":now", change->now_ms);
    return sqlite_run(db->sqlite, statement, err);
}

/* What nobody ever carried is being registered anyway. */
static bool begin(struct fleetdb *db, const struct slot *slot, const struct fleetdb_change *change,
                  struct err *err)
{
    int64_t before = 0;
    sqlite3_stmt *statement = query_of(db, CARRIED_BEFORE);
    sqlite_bind_int(statement, ":terminal", slot->terminal);
    if (!sqlite_value(db->sqlite, statement, 0, &before, err))
        return false;
    statement = query_of(db, BEGIN_ONE);
    sqlite_bind_int(statement, ":device", slot->device);
    sqlite_bind_int(statement, ":slot", slot->number);
    sqlite_bind_int(statement, ":terminal", slot->terminal);
    sqlite_bind_int(statement, ":now", change->now_ms);
    return sqlite_run(db->sqlite, statement, err) &&
           (before == 0 || tell(db, true, slot, change, err));
}

static bool find_terminal(struct fleetdb *db, const struct fleetdb_terminal *terminal,
                          int64_t merchant, int64_t *ret_terminal, struct err *err)
{
    static const enum query steps[] = {TERMINAL_PUT, TERMINAL_FIND};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        sqlite3_stmt *statement = query_of(db, steps[i]);
        sqlite_bind_text(statement, ":acquirer", terminal->acquirer);
        sqlite_bind_text(statement, ":tid", terminal->tid);
        sqlite_bind_text(statement, ":mid", terminal->mid);
        if (steps[i] == TERMINAL_PUT && merchant != 0)
            sqlite_bind_int(statement, ":merchant", merchant);
        if (!sqlite_value(db->sqlite, statement, 0, ret_terminal, err))
            return false;
    }
    return true;
}

/* Who carries it loses it by a swap, or by somebody's word about that very device. One that stands
 * nowhere, as its merchant is being erased, has nothing to lose. */
static bool take(struct fleetdb *db, const struct slot *slot,
                 const struct fleetdb_terminal *terminal, const struct fleetdb_change *change,
                 struct err *err)
{
    bool taken = false;
    sqlite3_stmt *row = query_of(db, TAKEN);
    sqlite_bind_int(row, ":terminal", slot->terminal);
    sqlite_bind_int(row, ":device", slot->device);
    if (!sqlite_row(db->sqlite, row, &taken, err))
        return false;
    if (!taken)
        return true;
    const struct slot there = {sqlite3_column_int64(row, 0), slot->terminal,
                               sqlite3_column_int64(row, 1)};
    const bool stands = sqlite3_column_type(row, 3) != SQLITE_NULL;
    const char *carrier = sqlite_column_text(row, 2);
    if (stands)
        err_set(err, ERR_CONFLICT,
                "%s is carried by %s: use musterctl device swap, or take it off %s first",
                terminal->tid, carrier, carrier);
    (void)sqlite3_reset(row);
    return !stands && end(db, &there, change, err);
}

bool fleetdb_carry_check_mid(struct fleetdb *db, const struct fleetdb_terminal *terminal,
                             int64_t merchant, struct err *err)
{
    bool taken = false;
    sqlite3_stmt *row = query_of(db, MID_OF_ANOTHER);
    sqlite_bind_text(row, ":acquirer", terminal->acquirer);
    sqlite_bind_text(row, ":mid", terminal->mid);
    sqlite_bind_int(row, ":merchant", merchant);
    if (!sqlite_row(db->sqlite, row, &taken, err))
        return false;
    if (!taken)
        return true;
    err_set(
        err, ERR_CONFLICT,
        "MID %s is merchant %s's, for which %s carries it: a MID stays with its merchant; where "
        "that is wrong, take it off there first (device move --no-terminals)",
        terminal->mid, sqlite_column_text(row, 0), sqlite_column_text(row, 1));
    (void)sqlite3_reset(row);
    return false;
}

bool fleetdb_carry(struct fleetdb *db, int64_t device, const struct fleetdb_terminal *terminal,
                   int64_t merchant, const struct fleetdb_change *change, struct err *err)
{
    struct slot slot = {.device = device, .number = terminal->index};
    int64_t same = 0;
    if (!find_terminal(db, terminal, merchant, &slot.terminal, err))
        return false;
    sqlite3_stmt *statement = query_of(db, CARRIED_SAME);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":slot", slot.number);
    sqlite_bind_int(statement, ":terminal", slot.terminal);
    if (!sqlite_value(db->sqlite, statement, 0, &same, err))
        return false;
    return same > 0 || (take(db, &slot, terminal, change, err) && begin(db, &slot, change, err));
}

bool fleetdb_carry_only(struct fleetdb *db, int64_t device,
                        const struct fleetdb_terminal *terminals, size_t count,
                        const struct fleetdb_change *change, struct err *err)
{
    struct slot ended[SLOTS_MAX];
    size_t ended_count = 0;
    bool done = read_slots(db, device, terminals, count, ended, &ended_count, err);
    for (size_t i = 0; done && i < ended_count; i++)
        done = end(db, &ended[i], change, err);
    return done;
}

bool fleetdb_carry_over(struct fleetdb *db, int64_t from, int64_t to,
                        const struct fleetdb_change *change, struct err *err)
{
    struct slot slots[SLOTS_MAX];
    size_t count = 0;
    bool done = read_slots(db, from, NULL, 0, slots, &count, err);
    for (size_t i = 0; done && i < count; i++) {
        struct slot next = slots[i];
        next.device = to;
        done = end(db, &slots[i], change, err) && begin(db, &next, change, err);
    }
    return done;
}

bool fleetdb_carry_count(struct fleetdb *db, int64_t device, int64_t *ret_count, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, COUNT);
    sqlite_bind_int(statement, ":device", device);
    return sqlite_value(db->sqlite, statement, 0, ret_count, err);
}

bool fleetdb_carry_moved(struct fleetdb *db, int64_t device, const struct fleetdb_change *change,
                         struct err *err)
{
    const struct slot slot = {.device = device};
    return run_duty(db, TELL_MOVED, &slot, change, err);
}

static bool follow(struct fleetdb *db, enum query query, const char *whose, int64_t row,
                   struct err *err)
{
    sqlite3_stmt *statement = query_of(db, query);
    sqlite_bind_int(statement, whose, row);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_duties_follow(struct fleetdb *db, int64_t device, struct err *err)
{
    return follow(db, FOLLOW_DEVICE, ":device", device, err);
}

bool fleetdb_duties_follow_store(struct fleetdb *db, int64_t store, struct err *err)
{
    return follow(db, FOLLOW_STORE, ":store", store, err);
}

/* ---- duties ---- */

bool fleetdb_duties_each(struct fleetdb *db, struct fleetdb_scope scope, int64_t device, bool all,
                         bool (*each)(void *ctx, const struct fleetdb_duty_view *view,
                                      struct err *err),
                         void *ctx, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, DUTIES);
    sqlite_bind_int(row, ":device", device);
    sqlite_bind_int(row, ":all", all);
    sqlite_bind_int(row, ":token", scope.token);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_duty_view view = {
            .duty = sqlite3_column_int64(row, 0),
            .device = sqlite_column_text(row, 1),
            .serial = sqlite_column_text(row, 2),
            .model = sqlite_column_text(row, 3),
            .act = sqlite_column_text(row, 4),
            .acquirer = sqlite_column_text(row, 5),
            .tid = sqlite_column_text(row, 6),
            .mid = sqlite_column_text(row, 7),
            .merchant = sqlite_column_text(row, 8),
            .store = sqlite_column_text(row, 9),
            .address = sqlite_column_text(row, 10),
            .why = sqlite_column_text(row, 11),
            .who = sqlite_column_text(row, 12),
            .since_ms = sqlite3_column_int64(row, 13),
            .done_ms = sqlite3_column_int64(row, 14),
            .done_who = sqlite_column_text(row, 15),
            .note = sqlite_column_text(row, 16),
        };
        if (!each(ctx, &view, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

bool fleetdb_duties_last(struct fleetdb *db, int64_t *ret_duty, struct err *err)
{
    return sqlite_value(db->sqlite, query_of(db, DUTIES_LAST), 0, ret_duty, err);
}

bool fleetdb_duty_done(struct fleetdb *db, int64_t duty, const struct fleetdb_change *change,
                       struct err *err)
{
    int64_t done_ms = 0;
    sqlite3_stmt *statement = query_of(db, DUTY_STATE);
    sqlite_bind_int(statement, ":duty", duty);
    if (!sqlite_value(db->sqlite, statement, -1, &done_ms, err))
        return false;
    if (done_ms < 0)
        return err_set(err, ERR_NOT_FOUND, "no registration duty %lld", (long long)duty);
    if (done_ms > 0)
        return err_set(err, ERR_CONFLICT, "registration duty %lld is done already",
                       (long long)duty);
    statement = query_of(db, DUTY_DONE);
    sqlite_bind_int(statement, ":duty", duty);
    sqlite_bind_int(statement, ":now", change->now_ms);
    sqlite_bind_text(statement, ":who", change->who);
    sqlite_bind_text(statement, ":why", change->why);
    return sqlite_run(db->sqlite, statement, err);
}
