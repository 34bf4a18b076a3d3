/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_scope.h"

#include "storage/fleetdb_internal.h"

enum query { HOLDS, HOLDS_ID, HELD_ID, HELD_AT, HOLDS_BLOB, SINCE, EARLIER, QUERIES };

#define IN_PLACE                                                                                   \
    "SELECT count(*) FROM device d JOIN store s ON s.id = d.store"                                 \
    " JOIN token_place p ON p.token = :token AND (p.merchant = s.merchant OR p.region = s.region)"

static const char *const texts[QUERIES] = {
    [HOLDS] = IN_PLACE " WHERE d.id = :device",
    [HOLDS_ID] = IN_PLACE " WHERE d.name = :id",
    [HELD_ID] = "SELECT count(*) FROM device d JOIN standing t ON t.device = d.id"
                " WHERE d.name = :id AND " FLEETDB_IN_SCOPE,
    [HELD_AT] = "SELECT count(*) FROM standing t WHERE t.id = " FLEETDB_STOOD_AT(
        ":device", ":at") " AND " FLEETDB_IN_SCOPE,
    [HOLDS_BLOB] =
        "SELECT count(*) FROM blob b JOIN encoding e ON e.blob = b.id OR e.blob IN"
        "  (SELECT list FROM piece WHERE piece.blob = b.id)"
        " JOIN document k ON k.id = e.document LEFT JOIN device d ON d.id = k.device"
        " LEFT JOIN store s ON s.id = d.store WHERE b.sha256 = :sha256"
        " AND (k.device IS NULL OR EXISTS (SELECT 1 FROM token_place p"
        "  WHERE p.token = :token AND (p.merchant = s.merchant OR p.region = s.region)))",
    [SINCE] = "SELECT max(t.to_ms) FROM standing t WHERE t.device = :device"
              " AND t.to_ms IS NOT NULL AND NOT " FLEETDB_IN_SCOPE,
    /* Of what is closed nobody knows when it was made. */
    [EARLIER] = ("SELECT EXISTS (SELECT 1 FROM stream WHERE device = :device AND first_ms < :since)"
                 " OR EXISTS (SELECT 1 FROM account WHERE device = :device)"),
};

const struct fleetdb_queries fleetdb_scope_queries = {texts, QUERIES};

static bool holds(struct fleetdb *db, struct fleetdb_scope scope, sqlite3_stmt *statement,
                  bool *ret_holds, struct err *err)
{
    int64_t places = 0;
    sqlite_bind_int(statement, ":token", scope.token);
    if (!sqlite_value(db->sqlite, statement, 0, &places, err))
        return false;
    *ret_holds = places > 0;
    return true;
}

bool fleetdb_scope_holds(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                         bool *ret_holds, struct err *err)
{
    if (fleetdb_scope_is_whole(scope)) {
        *ret_holds = true;
        return true;
    }
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_SCOPE, HOLDS);
    sqlite_bind_int(statement, ":device", device);
    return holds(db, scope, statement, ret_holds, err);
}

static bool holds_id(struct fleetdb *db, struct fleetdb_scope scope, enum query query,
                     const char *id, bool *ret_holds, struct err *err)
{
    if (fleetdb_scope_is_whole(scope)) {
        *ret_holds = true;
        return true;
    }
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_SCOPE, query);
    sqlite_bind_text(statement, ":id", id);
    return holds(db, scope, statement, ret_holds, err);
}

bool fleetdb_scope_holds_id(struct fleetdb *db, struct fleetdb_scope scope, const char *id,
                            bool *ret_holds, struct err *err)
{
    return holds_id(db, scope, HOLDS_ID, id, ret_holds, err);
}

bool fleetdb_scope_held_id(struct fleetdb *db, struct fleetdb_scope scope, const char *id,
                           bool *ret_held, struct err *err)
{
    return holds_id(db, scope, HELD_ID, id, ret_held, err);
}

bool fleetdb_scope_held_at(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                           int64_t at_ms, bool *ret_held, struct err *err)
{
    if (fleetdb_scope_is_whole(scope)) {
        *ret_held = true;
        return true;
    }
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_SCOPE, HELD_AT);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":at", at_ms);
    return holds(db, scope, statement, ret_held, err);
}

bool fleetdb_scope_holds_blob(struct fleetdb *db, struct fleetdb_scope scope,
                              const uint8_t sha256[32], bool *ret_holds, struct err *err)
{
    if (fleetdb_scope_is_whole(scope)) {
        *ret_holds = true;
        return true;
    }
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_SCOPE, HOLDS_BLOB);
    sqlite_bind_bytes(statement, ":sha256", (struct bytes){sha256, 32});
    return holds(db, scope, statement, ret_holds, err);
}

bool fleetdb_scope_since(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                         int64_t *ret_since_ms, struct err *err)
{
    *ret_since_ms = 0;
    if (fleetdb_scope_is_whole(scope))
        return true;
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_SCOPE, SINCE);
    sqlite_bind_int(statement, ":token", scope.token);
    sqlite_bind_int(statement, ":device", device);
    return sqlite_value(db->sqlite, statement, 0, ret_since_ms, err);
}

bool fleetdb_scope_counts(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                          bool *ret_counts, struct err *err)
{
    int64_t since_ms = 0, earlier = 0;
    if (!fleetdb_scope_since(db, scope, device, &since_ms, err))
        return false;
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_SCOPE, EARLIER);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":since", since_ms);
    if (since_ms != 0 && !sqlite_value(db->sqlite, statement, 0, &earlier, err))
        return false;
    *ret_counts = earlier == 0;
    return true;
}
