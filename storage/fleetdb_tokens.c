/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_tokens.h"

#include "storage/erase_words.h"
#include "storage/fleetdb_internal.h"

#include <stdio.h>
#include <string.h>

enum { USED_EVERY_MS = 60 * 1000 };

enum query {
    ADD,
    ADD_MERCHANT,
    ADD_REGION,
    NAMED,
    ERASED,
    REVOKE,
    FIND,
    GOOD,
    USED,
    ALL,
    QUERIES,
};

#define COLUMNS "id, name, role, scope, made_ms, expires_ms, revoked_ms, used_ms, made_by"

static const char *const texts[QUERIES] = {
    [ADD] = "INSERT INTO token (name, sha256, role, scope, made_ms, made_by, expires_ms)"
            " VALUES (:name, :sha256, :role, :scope, :now, :who, :expires) RETURNING id",
    [ADD_MERCHANT] = "INSERT INTO token_place (token, merchant)"
                     " SELECT :token, id FROM merchant WHERE code = :place RETURNING 1",
    [ADD_REGION] = "INSERT INTO token_place (token, region)"
                   " SELECT :token, id FROM region WHERE name = :place RETURNING 1",
    [NAMED] = "SELECT count(*) FROM token WHERE name = :name",
    [ERASED] = "SELECT count(*) FROM erased_author WHERE who = 'token ' || :name",
    [REVOKE] = "UPDATE token SET revoked_ms = :now WHERE name = :name AND revoked_ms = 0"
               " RETURNING 1",
    [FIND] = "SELECT " COLUMNS " FROM token WHERE sha256 = :sha256",
    [GOOD] = "SELECT count(*) FROM token WHERE id = :token AND revoked_ms = 0"
             " AND (expires_ms = 0 OR expires_ms > :now)",
    [USED] = "UPDATE token SET used_ms = :now WHERE id = :token",
    [ALL] = "SELECT " COLUMNS ", (SELECT json_group_array(coalesce(m.code, r.name))"
            " FROM token_place p LEFT JOIN merchant m ON m.id = p.merchant"
            " LEFT JOIN region r ON r.id = p.region WHERE p.token = token.id)"
            " FROM token ORDER BY name",
};

const struct fleetdb_queries fleetdb_token_queries = {texts, QUERIES};

static const char *const role_names[FLEETDB_ROLES] = {"viewer", "operator", "admin"};
static const char *const scope_names[FLEETDB_SCOPES] = {"fleet", "merchant", "region"};

const char *fleetdb_role_name(enum fleetdb_role role)
{
    return role_names[role];
}

const char *fleetdb_token_scope_name(enum fleetdb_token_scope scope)
{
    return scope_names[scope];
}

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_TOKENS, query);
}

/* ---- changes ---- */

static bool add_place(struct fleetdb *db, enum fleetdb_token_scope scope, int64_t token,
                      const char *place, struct err *err)
{
    int64_t found = 0;
    sqlite3_stmt *statement =
        query_of(db, scope == FLEETDB_SCOPE_MERCHANT ? ADD_MERCHANT : ADD_REGION);
    sqlite_bind_int(statement, ":token", token);
    sqlite_bind_text(statement, ":place", place);
    if (!sqlite_value(db->sqlite, statement, 0, &found, err))
        return false;
    return found != 0 || err_set(err, ERR_NOT_FOUND, "no %s %.64s", scope_names[scope], place);
}

static bool is_there(struct fleetdb *db, enum query query, const char *name, bool *ret_there,
                     struct err *err)
{
    int64_t count = 0;
    sqlite3_stmt *statement = query_of(db, query);
    sqlite_bind_text(statement, ":name", name);
    if (!sqlite_value(db->sqlite, statement, 0, &count, err))
        return false;
    *ret_there = count > 0;
    return true;
}

static bool add(struct fleetdb *db, const struct fleetdb_token_order *order, const char *who,
                int64_t now_ms, struct err *err)
{
    char text[160];
    int64_t token = 0;
    bool named = false, erased = false;
    if (!is_there(db, NAMED, order->name, &named, err) ||
        !is_there(db, ERASED, order->name, &erased, err))
        return false;
    if (erased)
        return err_set(err, ERR_CONFLICT,
                       "a token of a merchant that is being erased was called %s: choose another "
                       "name, or wait for the end (musterctl get erasures)",
                       order->name);
    if (named)
        return err_set(err, ERR_CONFLICT,
                       "a token was called %s before; a name is given once, so that the audit "
                       "stays clear",
                       order->name);
    sqlite3_stmt *statement = query_of(db, ADD);
    sqlite_bind_text(statement, ":name", order->name);
    sqlite_bind_bytes(statement, ":sha256", bytes_of(order->sha256, 32));
    sqlite_bind_text(statement, ":role", role_names[order->role]);
    sqlite_bind_text(statement, ":scope", scope_names[order->scope]);
    sqlite_bind_int(statement, ":now", now_ms);
    sqlite_bind_text(statement, ":who", who);
    sqlite_bind_int(statement, ":expires", order->expires_ms);
    if (!sqlite_value(db->sqlite, statement, 0, &token, err))
        return false;
    for (size_t i = 0; i < order->place_count; i++) {
        if (!add_place(db, order->scope, token, order->places[i], err))
            return false;
    }
    (void)snprintf(text, sizeof text, "%s: %s of %s%s", order->name, role_names[order->role],
                   order->place_count == 0 ? "the whole fleet" : order->places[0],
                   order->place_count > 1 ? " and others" : "");
    return fleetdb_audit(db, now_ms, who, "token add", 0, text, err);
}

bool fleetdb_token_add(struct fleetdb *db, const struct fleetdb_token_order *order, const char *who,
                       int64_t now_ms, struct err *err)
{
    return erase_name_is_free(order->name, "token", err) && fleetdb_begin(db, err) &&
           fleetdb_leave(db, true, add(db, order, who, now_ms, err), err);
}

static bool revoke(struct fleetdb *db, const char *name, const char *who, int64_t now_ms,
                   struct err *err)
{
    int64_t changed = 0;
    bool named = false;
    sqlite3_stmt *statement = query_of(db, REVOKE);
    sqlite_bind_text(statement, ":name", name);
    sqlite_bind_int(statement, ":now", now_ms);
    if (!sqlite_value(db->sqlite, statement, 0, &changed, err) ||
        !is_there(db, NAMED, name, &named, err))
        return false;
    if (!named)
        return err_set(err, ERR_NOT_FOUND, "no token %s; see musterctl token list", name);
    if (changed == 0)
        return err_set(err, ERR_CONFLICT, "token %s is revoked already", name);
    return fleetdb_audit(db, now_ms, who, "token revoke", 0, name, err);
}

bool fleetdb_token_revoke(struct fleetdb *db, const char *name, const char *who, int64_t now_ms,
                          struct err *err)
{
    return fleetdb_begin(db, err) &&
           fleetdb_leave(db, true, revoke(db, name, who, now_ms, err), err);
}

bool fleetdb_token_used(struct fleetdb *db, const struct fleetdb_token *token, int64_t now_ms,
                        struct err *err)
{
    if (now_ms >= token->used_ms && now_ms - token->used_ms < USED_EVERY_MS)
        return true;
    sqlite3_stmt *statement = query_of(db, USED);
    sqlite_bind_int(statement, ":token", token->token);
    sqlite_bind_int(statement, ":now", now_ms);
    return sqlite_run(db->sqlite, statement, err);
}

/* ---- questions ---- */

/* What the schema's CHECK lets in is in the list. */
static unsigned index_of(const char *const *names, unsigned count, const char *name)
{
    unsigned at = 0;
    while (at + 1 < count && strcmp(names[at], name) != 0)
        at++;
    return at;
}

static struct fleetdb_token token_of(sqlite3_stmt *row)
{
    struct fleetdb_token token = {
        .token = sqlite3_column_int64(row, 0),
        .role = index_of(role_names, FLEETDB_ROLES, sqlite_column_text(row, 2)),
        .scope = index_of(scope_names, FLEETDB_SCOPES, sqlite_column_text(row, 3)),
        .made_ms = sqlite3_column_int64(row, 4),
        .expires_ms = sqlite3_column_int64(row, 5),
        .revoked_ms = sqlite3_column_int64(row, 6),
        .used_ms = sqlite3_column_int64(row, 7)};
    (void)snprintf(token.name, sizeof token.name, "%s", sqlite_column_text(row, 1));
    (void)snprintf(token.made_by, sizeof token.made_by, "%s", sqlite_column_text(row, 8));
    return token;
}

bool fleetdb_token_find(struct fleetdb *db, const uint8_t sha256[32],
                        struct fleetdb_token *ret_token, struct err *err)
{
    bool row = false;
    sqlite3_stmt *statement = query_of(db, FIND);
    sqlite_bind_bytes(statement, ":sha256", bytes_of(sha256, 32));
    if (!sqlite_row(db->sqlite, statement, &row, err))
        return false;
    if (!row)
        return err_set(err, ERR_NOT_FOUND, "no such token");
    *ret_token = token_of(statement);
    (void)sqlite3_reset(statement);
    return true;
}

bool fleetdb_token_good(struct fleetdb *db, int64_t token, int64_t now_ms, bool *ret_good,
                        struct err *err)
{
    int64_t count = 0;
    sqlite3_stmt *statement = query_of(db, GOOD);
    sqlite_bind_int(statement, ":token", token);
    sqlite_bind_int(statement, ":now", now_ms);
    if (!sqlite_value(db->sqlite, statement, 0, &count, err))
        return false;
    *ret_good = count > 0;
    return true;
}

bool fleetdb_token_each(struct fleetdb *db,
                        bool (*each)(void *ctx, const struct fleetdb_token *token,
                                     const char *places, struct err *err),
                        void *ctx, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, ALL);
    bool row = false;
    while (sqlite_row(db->sqlite, statement, &row, err)) {
        if (!row)
            return true;
        const struct fleetdb_token token = token_of(statement);
        if (!each(ctx, &token, sqlite_column_text(statement, 9), err)) {
            (void)sqlite3_reset(statement);
            return false;
        }
    }
    return false;
}
