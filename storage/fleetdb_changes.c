/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_changes.h"

#include "storage/fleetdb_internal.h"

enum query { ALL, OF_DEVICE, OF_SCOPE, OF_CHOSEN, QUERIES };

#define SELECT "SELECT a.id, a.at_ms, a.who, a.what, d.name, a.text FROM audit a"
#define NEWEST " AND (:before = 0 OR a.id < :before) ORDER BY a.id DESC LIMIT :limit"

#define STOOD FLEETDB_STOOD_AT("a.device", "a.at_ms")
#define MOVED_IN FLEETDB_CAME_FROM_OUTSIDE("a.device", "a.at_ms")

static const char *const texts[QUERIES] = {
    [ALL] = SELECT " LEFT JOIN device d ON d.id = a.device WHERE :device = 0" NEWEST,
    [OF_DEVICE] = SELECT " JOIN device d ON d.id = a.device WHERE a.device = :device" NEWEST,
    [OF_CHOSEN] = SELECT " JOIN device d ON d.id = a.device"
                         " WHERE a.device IN (SELECT value FROM json_each(:devices))" NEWEST,
    [OF_SCOPE] =
        SELECT " JOIN device d ON d.id = a.device JOIN standing t ON t.id = " STOOD " WHERE"
               " (:device = 0 OR a.device = :device)"
               " AND (:devices IS NULL OR a.device IN (SELECT value FROM json_each(:devices)))"
               " AND NOT " MOVED_IN " AND " FLEETDB_IN_SCOPE NEWEST,
};

const struct fleetdb_queries fleetdb_change_queries = {texts, QUERIES};

static sqlite3_stmt *question(struct fleetdb *db, const struct fleetdb_changes_asked *asked)
{
    const bool whole = fleetdb_scope_is_whole(asked->scope);
    const enum query query = !whole                   ? OF_SCOPE
                             : asked->devices != NULL ? OF_CHOSEN
                             : asked->device != 0     ? OF_DEVICE
                                                      : ALL;
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_CHANGES, query);
    if (query == OF_CHOSEN || (query == OF_SCOPE && asked->devices != NULL))
        sqlite_bind_text(statement, ":devices", asked->devices);
    if (query != OF_CHOSEN)
        sqlite_bind_int(statement, ":device", asked->device);
    sqlite_bind_int(statement, ":before", asked->before);
    sqlite_bind_int(statement, ":limit", asked->limit);
    if (query == OF_SCOPE)
        sqlite_bind_int(statement, ":token", asked->scope.token);
    return statement;
}

bool fleetdb_changes_each(struct fleetdb *db, const struct fleetdb_changes_asked *asked,
                          bool (*each)(void *ctx, const struct fleetdb_change_row *change,
                                       struct err *err),
                          void *ctx, struct err *err)
{
    sqlite3_stmt *row = question(db, asked);
    bool found = false;
    while (sqlite_row(db->sqlite, row, &found, err)) {
        if (!found)
            return true;
        const struct fleetdb_change_row change = {.change = sqlite3_column_int64(row, 0),
                                                  .at_ms = sqlite3_column_int64(row, 1),
                                                  .who = sqlite_column_text(row, 2),
                                                  .what = sqlite_column_text(row, 3),
                                                  .device = sqlite_column_text(row, 4),
                                                  .text = sqlite_column_text(row, 5)};
        if (!each(ctx, &change, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}
