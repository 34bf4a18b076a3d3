/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_internal.h"

enum query { FIND, USED, ROOM, COUNT, ADD, TAKE, QUERIES };

static const char *const texts[QUERIES] = {
    [FIND] = "SELECT s.id, coalesce(u.used_ms, -1) FROM device d"
             " JOIN software s ON s.model = d.model AND s.firmware = :firmware AND s.app = :app"
             " LEFT JOIN device_software u ON u.device = d.id AND u.software = s.id"
             " WHERE d.id = :device",
    [USED] = "UPDATE device_software SET used_ms = :now"
             " WHERE device = :device AND software = :software",
    [ROOM] = "DELETE FROM device_software WHERE device = :device AND software ="
             " (SELECT software FROM device_software WHERE device = :device AND used_ms < :before"
             " ORDER BY used_ms LIMIT 1)",
    [COUNT] = "SELECT count(*) FROM device_software WHERE device = :device",
    [ADD] = "INSERT INTO software (model, firmware, app)"
            " SELECT model, :firmware, :app FROM device WHERE id = :device RETURNING id",
    [TAKE] = "INSERT INTO device_software (device, software, used_ms)"
             " VALUES (:device, :software, :now)",
};

const struct fleetdb_queries fleetdb_software_queries = {texts, QUERIES};

static const int64_t day_ms = 24 * 3600 * INT64_C(1000), unused_ms = 90 * day_ms;

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query, int64_t device)
{
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_SOFTWARE, query);
    sqlite_bind_int(statement, ":device", device);
    return statement;
}

static sqlite3_stmt *query_words(struct fleetdb *db, enum query query,
                                 const struct fleetdb_software *told)
{
    sqlite3_stmt *statement = query_of(db, query, told->device);
    sqlite_bind_words(statement, ":firmware", told->firmware);
    sqlite_bind_words(statement, ":app", told->app);
    return statement;
}

/* *ret_used_ms: -1 where the device is not known to have run it. */
static bool find(struct fleetdb *db, const struct fleetdb_software *told, int64_t *ret_software,
                 int64_t *ret_used_ms, struct err *err)
{
    bool found = false;
    sqlite3_stmt *row = query_words(db, FIND, told);
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    *ret_software = found ? sqlite3_column_int64(row, 0) : 0;
    *ret_used_ms = found ? sqlite3_column_int64(row, 1) : -1;
    (void)sqlite3_reset(row);
    return true;
}

static bool write_use(struct fleetdb *db, enum query query, const struct fleetdb_software *told,
                      int64_t software, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, query, told->device);
    sqlite_bind_int(statement, ":software", software);
    sqlite_bind_int(statement, ":now", told->now_ms);
    return sqlite_run(db->sqlite, statement, err);
}

/* What was not used for long makes room. */
static bool is_full(struct fleetdb *db, const struct fleetdb_software *told, bool *ret_full,
                    struct err *err)
{
    int64_t count = 0;
    if (!sqlite_value(db->sqlite, query_of(db, COUNT, told->device), 0, &count, err))
        return false;
    *ret_full = count >= FLEETDB_SOFTWARE_MAX;
    if (!*ret_full)
        return true;
    sqlite3_stmt *room = query_of(db, ROOM, told->device);
    sqlite_bind_int(room, ":before", told->now_ms - unused_ms);
    if (!sqlite_run(db->sqlite, room, err))
        return false;
    *ret_full = sqlite_changes(db->sqlite) == 0;
    return true;
}

static bool add(struct fleetdb *db, const struct fleetdb_software *told, int64_t *software,
                struct err *err)
{
    return *software != 0 || sqlite_value(db->sqlite, query_words(db, ADD, told), 0, software, err);
}

static bool take_any(struct fleetdb *db, const struct fleetdb_software *told, int64_t *ret_software,
                     struct err *err)
{
    struct fleetdb_software any = *told;
    int64_t used_ms = 0;
    any.firmware = any.app = bytes_of("?", 1);
    return find(db, &any, ret_software, &used_ms, err) && add(db, &any, ret_software, err);
}

bool fleetdb_software_find(struct fleetdb *db, const struct fleetdb_software *told,
                           int64_t *ret_software, bool *ret_folded, struct err *err)
{
    int64_t used_ms = -1;
    *ret_folded =
        told->firmware.length > FLEETDB_WORD_BYTES || told->app.length > FLEETDB_WORD_BYTES;
    if (!*ret_folded && !find(db, told, ret_software, &used_ms, err))
        return false;
    if (used_ms >= 0)
        return told->now_ms - used_ms < day_ms || write_use(db, USED, told, *ret_software, err);
    if (!*ret_folded && !is_full(db, told, ret_folded, err))
        return false;
    return *ret_folded
               ? take_any(db, told, ret_software, err)
               : add(db, told, ret_software, err) && write_use(db, TAKE, told, *ret_software, err);
}
