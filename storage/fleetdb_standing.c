/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_standing.h"

#include "storage/fleetdb_internal.h"

enum query {
    AT,
    FIRST,
    CARRIED_AT,
    CARRIED_NEXT,
    CARRIED_FIRST,
    END_OF_DEVICE,
    BEGIN_OF_DEVICE,
    END_OF_STORE,
    BEGIN_OF_STORE,
    STANDINGS,
    CARRIED,
    CARRIED_OF_PART,
    CARRIERS,
    CARRIERS_OF_PART,
    QUERIES,
};

#define STANDING "SELECT id, store, merchant, region, life, from_ms, to_ms FROM standing"

/* Of one moment the later row counts. */
#define NEWEST_FIRST " ORDER BY from_ms DESC, id DESC LIMIT 1"

/* A clock that goes back may end what has not begun: that was never in force. */
#define EVER(row) "(" row ".to_ms IS NULL OR " row ".to_ms > " row ".from_ms)"

#define END(whose)                                                                                 \
    "UPDATE standing SET to_ms = max(:now, from_ms) WHERE to_ms IS NULL AND " whose                \
    " AND NOT EXISTS (SELECT 1 FROM device d LEFT JOIN store s ON s.id = d.store"                  \
    "  WHERE d.id = standing.device AND d.store IS standing.store"                                 \
    "  AND s.merchant IS standing.merchant AND s.region IS standing.region"                        \
    "  AND d.life_cycle = standing.life)"

#define BEGIN(whose)                                                                               \
    "INSERT INTO standing (device, store, merchant, region, life, from_ms, why, who)"              \
    " SELECT d.id, d.store, s.merchant, s.region, d.life_cycle, max(:now, coalesce("               \
    "  (SELECT max(to_ms) FROM standing WHERE device = d.id), :now)), :why, :who"                  \
    " FROM device d LEFT JOIN store s ON s.id = d.store WHERE " whose                              \
    " AND NOT EXISTS (SELECT 1 FROM standing WHERE device = d.id AND to_ms IS NULL)"

#define CARRIED_VIEW                                                                               \
    "SELECT c.from_ms, c.to_ms, d.name, c.slot, l.acquirer, l.tid, l.mid FROM device_terminal c"   \
    " JOIN device d ON d.id = c.device JOIN logical_terminal l ON l.id = c.logical_terminal"

/* The same of a part of the fleet: what of it was so while the device stood there. */
#define END_OF_TIME "9223372036854775807"
#define CARRIED_OF_PART_VIEW                                                                       \
    "SELECT max(c.from_ms, min(t.from_ms)), nullif(min(coalesce(c.to_ms, " END_OF_TIME "),"        \
    "  max(coalesce(t.to_ms, " END_OF_TIME "))), " END_OF_TIME "),"                                \
    " d.name, c.slot, l.acquirer, l.tid, l.mid FROM device_terminal c"                             \
    " JOIN device d ON d.id = c.device JOIN logical_terminal l ON l.id = c.logical_terminal"       \
    " JOIN standing t ON t.device = c.device AND (t.to_ms IS NULL OR t.to_ms > t.from_ms)"         \
    " AND (c.to_ms IS NULL OR t.from_ms < c.to_ms) AND (t.to_ms IS NULL OR c.from_ms < t.to_ms)"   \
    " AND " FLEETDB_IN_SCOPE

static const char *const texts[QUERIES] = {
    [AT] = STANDING " WHERE device = :device AND from_ms <= :at" NEWEST_FIRST,
    [FIRST] = STANDING " WHERE device = :device ORDER BY from_ms, id LIMIT 1",
    [CARRIED_AT] = "SELECT id, logical_terminal, from_ms, to_ms FROM device_terminal c"
                   " WHERE device = :device AND slot = :slot AND from_ms <= :at"
                   " AND " EVER("c") NEWEST_FIRST,
    [CARRIED_NEXT] = "SELECT min(from_ms) FROM device_terminal"
                     " WHERE device = :device AND slot = :slot AND from_ms > :at",
    [CARRIED_FIRST] =
        "SELECT id, logical_terminal, from_ms, EXISTS (SELECT 1 FROM device_terminal o"
        "  WHERE o.logical_terminal = c.logical_terminal AND o.from_ms < c.from_ms)"
        " FROM device_terminal c WHERE device = :device AND slot = :slot AND " EVER(
            "c") " ORDER BY from_ms, id LIMIT 1",
    [END_OF_DEVICE] = END("device = :device"),
    [BEGIN_OF_DEVICE] = BEGIN("d.id = :device"),
    [END_OF_STORE] = END("device IN (SELECT id FROM device WHERE store = :store)"),
    [BEGIN_OF_STORE] = BEGIN("d.store = :store"),
    [STANDINGS] = "SELECT t.id, t.from_ms, t.to_ms, t.life, m.code, s.code, r.name, t.why, t.who"
                  " FROM standing t LEFT JOIN merchant m ON m.id = t.merchant"
                  " LEFT JOIN store s ON s.id = t.store LEFT JOIN region r ON r.id = t.region"
                  " WHERE t.device = :device AND " EVER("t") " AND (:token = 0 OR " FLEETDB_IN_SCOPE
                                                             ") ORDER BY t.from_ms, t.id",
    [CARRIED] =
        CARRIED_VIEW " WHERE c.device = :device AND " EVER("c") " ORDER BY c.slot, c.from_ms, c.id",
    [CARRIED_OF_PART] = CARRIED_OF_PART_VIEW
    " WHERE c.device = :device AND " EVER("c") " GROUP BY c.id ORDER BY c.slot, c.from_ms, c.id",
    [CARRIERS] = CARRIED_VIEW
    " WHERE l.tid = :tid AND " EVER("c") " ORDER BY l.acquirer, l.mid, c.from_ms, c.id",
    [CARRIERS_OF_PART] = CARRIED_OF_PART_VIEW " WHERE l.tid = :tid AND " EVER(
        "c") " GROUP BY c.id ORDER BY l.acquirer, l.mid, c.from_ms, c.id",
};

const struct fleetdb_queries fleetdb_standing_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_STANDING, query);
}

/* ---- at a moment ---- */

static int64_t end_of(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL ? INT64_MAX
                                                           : sqlite3_column_int64(row, column);
}

static struct fleetdb_stand standing_of(sqlite3_stmt *row)
{
    struct fleetdb_stand standing = {
        .standing = sqlite3_column_int64(row, 0),
        .store = sqlite3_column_int64(row, 1),
        .merchant = sqlite3_column_int64(row, 2),
        .region = sqlite3_column_int64(row, 3),
        .from_ms = sqlite3_column_int64(row, 5),
        .to_ms = end_of(row, 6),
    };
    (void)fleetdb_life_find(sqlite_column_text(row, 4), &standing.life);
    return standing;
}

/* `*ret_found` tells whether there is a row, which is then read and the statement reset. */
static bool one_standing(struct fleetdb *db, sqlite3_stmt *statement, bool *ret_found,
                         struct fleetdb_stand *ret_stand, struct err *err)
{
    if (!sqlite_row(db->sqlite, statement, ret_found, err))
        return false;
    if (*ret_found) {
        *ret_stand = standing_of(statement);
        (void)sqlite3_reset(statement);
    }
    return true;
}

bool fleetdb_standing_at(struct fleetdb *db, int64_t device, int64_t at_ms,
                         struct fleetdb_stand *ret_stand, struct err *err)
{
    struct fleetdb_stand standing;
    bool found = false;
    sqlite3_stmt *statement = query_of(db, AT);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":at", at_ms);
    if (!one_standing(db, statement, &found, &standing, err))
        return false;
    if (!found) {
        statement = query_of(db, FIRST);
        sqlite_bind_int(statement, ":device", device);
        if (!one_standing(db, statement, &found, &standing, err))
            return false;
        if (!found)
            return err_set(err, ERR_IO, "fleet database: device %lld never stood anywhere",
                           (long long)device);
        standing.to_ms = standing.from_ms;
        standing.from_ms = INT64_MIN;
    }
    *ret_stand = standing;
    return true;
}

/* The slot carried nothing since `from_ms`: until when? */
static bool gap(struct fleetdb *db, int64_t device, uint32_t slot, int64_t at_ms, int64_t from_ms,
                struct fleetdb_carried *ret_carried, struct err *err)
{
    struct fleetdb_carried carried = {.from_ms = from_ms};
    sqlite3_stmt *statement = query_of(db, CARRIED_NEXT);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":slot", slot);
    sqlite_bind_int(statement, ":at", at_ms);
    if (!sqlite_value(db->sqlite, statement, INT64_MAX, &carried.to_ms, err))
        return false;
    *ret_carried = carried;
    return true;
}

static bool before_the_first(struct fleetdb *db, int64_t device, uint32_t slot,
                             struct fleetdb_carried *ret_carried, struct err *err)
{
    bool found = false;
    sqlite3_stmt *statement = query_of(db, CARRIED_FIRST);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":slot", slot);
    if (!sqlite_row(db->sqlite, statement, &found, err))
        return false;
    struct fleetdb_carried carried = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    if (found) {
        bool was_anothers = sqlite3_column_int(statement, 3) != 0;
        carried.carried = was_anothers ? 0 : sqlite3_column_int64(statement, 0);
        carried.logical_terminal = was_anothers ? 0 : sqlite3_column_int64(statement, 1);
        carried.to_ms = sqlite3_column_int64(statement, 2);
        (void)sqlite3_reset(statement);
    }
    *ret_carried = carried;
    return true;
}

bool fleetdb_carried_at(struct fleetdb *db, int64_t device, uint32_t slot, int64_t at_ms,
                        struct fleetdb_carried *ret_carried, struct err *err)
{
    bool found = false;
    sqlite3_stmt *statement = query_of(db, CARRIED_AT);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":slot", slot);
    sqlite_bind_int(statement, ":at", at_ms);
    if (!sqlite_row(db->sqlite, statement, &found, err))
        return false;
    if (!found)
        return before_the_first(db, device, slot, ret_carried, err);
    const struct fleetdb_carried carried = {
        .carried = sqlite3_column_int64(statement, 0),
        .logical_terminal = sqlite3_column_int64(statement, 1),
        .from_ms = sqlite3_column_int64(statement, 2),
        .to_ms = end_of(statement, 3),
    };
    (void)sqlite3_reset(statement);
    if (at_ms >= carried.to_ms)
        return gap(db, device, slot, at_ms, carried.to_ms, ret_carried, err);
    *ret_carried = carried;
    return true;
}

/* ---- changes ---- */

static bool follow(struct fleetdb *db, enum query query, const char *whose, int64_t row,
                   const struct fleetdb_change *change, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, query);
    sqlite_bind_int(statement, whose, row);
    sqlite_bind_int(statement, ":now", change->now_ms);
    if (query == BEGIN_OF_DEVICE || query == BEGIN_OF_STORE) {
        sqlite_bind_text(statement, ":why", change->why);
        sqlite_bind_text(statement, ":who", change->who != NULL ? change->who : "musterd");
    }
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_standing_follow(struct fleetdb *db, int64_t device,
                             const struct fleetdb_change *change, struct err *err)
{
    return follow(db, END_OF_DEVICE, ":device", device, change, err) &&
           follow(db, BEGIN_OF_DEVICE, ":device", device, change, err);
}

bool fleetdb_standing_follow_store(struct fleetdb *db, int64_t store,
                                   const struct fleetdb_change *change, struct err *err)
{
    return follow(db, END_OF_STORE, ":store", store, change, err) &&
           follow(db, BEGIN_OF_STORE, ":store", store, change, err);
}

/* ---- the story ---- */

bool fleetdb_standing_each(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                           bool (*each)(void *ctx, const struct fleetdb_standing_view *view,
                                        struct err *err),
                           void *ctx, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, STANDINGS);
    sqlite_bind_int(row, ":device", device);
    sqlite_bind_int(row, ":token", scope.token);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_standing_view view = {
            .standing = sqlite3_column_int64(row, 0),
            .from_ms = sqlite3_column_int64(row, 1),
            .to_ms = sqlite3_column_int64(row, 2),
            .life = sqlite_column_text(row, 3),
            .merchant = sqlite_column_text(row, 4),
            .store = sqlite_column_text(row, 5),
            .region = sqlite_column_text(row, 6),
            .why = sqlite_column_text(row, 7),
            .who = sqlite_column_text(row, 8),
        };
        if (!each(ctx, &view, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

static sqlite3_stmt *of_scope(struct fleetdb *db, struct fleetdb_scope scope, enum query whole,
                              enum query part)
{
    if (fleetdb_scope_is_whole(scope))
        return query_of(db, whole);
    sqlite3_stmt *statement = query_of(db, part);
    sqlite_bind_int(statement, ":token", scope.token);
    return statement;
}

static bool walk_carried(struct fleetdb *db, sqlite3_stmt *row,
                         bool (*each)(void *ctx, const struct fleetdb_carried_view *view,
                                      struct err *err),
                         void *ctx, struct err *err)
{
    bool more = false;
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_carried_view view = {
            .from_ms = sqlite3_column_int64(row, 0),
            .to_ms = sqlite3_column_int64(row, 1),
            .device = sqlite_column_text(row, 2),
            .slot = (uint32_t)sqlite3_column_int64(row, 3),
            .acquirer = sqlite_column_text(row, 4),
            .tid = sqlite_column_text(row, 5),
            .mid = sqlite_column_text(row, 6),
        };
        if (view.tid[0] == '\0') /* what was erased */
            continue;
        if (!each(ctx, &view, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

bool fleetdb_carried_each(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                          bool (*each)(void *ctx, const struct fleetdb_carried_view *view,
                                       struct err *err),
                          void *ctx, struct err *err)
{
    sqlite3_stmt *statement = of_scope(db, scope, CARRIED, CARRIED_OF_PART);
    sqlite_bind_int(statement, ":device", device);
    return walk_carried(db, statement, each, ctx, err);
}

bool fleetdb_carriers_each(struct fleetdb *db, struct fleetdb_scope scope, const char *tid,
                           bool (*each)(void *ctx, const struct fleetdb_carried_view *view,
                                        struct err *err),
                           void *ctx, struct err *err)
{
    sqlite3_stmt *statement = of_scope(db, scope, CARRIERS, CARRIERS_OF_PART);
    sqlite_bind_text(statement, ":tid", tid);
    return walk_carried(db, statement, each, ctx, err);
}
