/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_feed.h"
#include "storage/fleetdb_internal.h"

#include <stdio.h>
#include <string.h>

enum query {
    HOLD,
    CHECK,
    FIND,
    PACE,
    AGENT_KEYS,
    AUDIT,
    QUERIES,
};

static const char *const texts[QUERIES] = {
    [HOLD] = "SELECT 1 FROM sqlite_schema",
    [CHECK] = "SELECT count(*) FROM (SELECT 1 FROM device LIMIT 1)",
    [FIND] = "SELECT id, name, life_cycle, receipt_pace_s FROM device WHERE name = :id",
    [PACE] = "UPDATE device SET receipt_pace_s = :pace"
             " WHERE id = :device AND receipt_pace_s <> :pace",
    [AGENT_KEYS] = "SELECT spki FROM agent_key WHERE device = :device AND from_ms <= :now"
                   " AND (to_ms IS NULL OR to_ms > :now) ORDER BY id DESC LIMIT :max",
    [AUDIT] = "INSERT INTO audit (at_ms, who, what, device, text)"
              " VALUES (:now, :who, :what, nullif(:device, 0), :text)",
};

const struct fleetdb_queries fleetdb_device_queries = {texts, QUERIES};

static const char *const life_names[FLEETDB_LIVES] = {
    [FLEETDB_IN_SERVICE] = "in_service",
    [FLEETDB_SPARE] = "spare",
    [FLEETDB_LAB] = "lab",
    [FLEETDB_REPAIR] = "repair",
    [FLEETDB_SUSPENDED] = "suspended",
    [FLEETDB_RETIRED] = "retired",
};

const char *fleetdb_life_name(enum fleetdb_life life)
{
    return life < FLEETDB_LIVES ? life_names[life] : "unknown";
}

bool fleetdb_life_find(const char *name, enum fleetdb_life *ret_life)
{
    for (unsigned life = 0; life < FLEETDB_LIVES; life++) {
        if (strcmp(name, life_names[life]) != 0)
            continue;
        *ret_life = (enum fleetdb_life)life;
        return true;
    }
    return false;
}

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_DEVICES, query);
}

/* A question under way keeps the lock that it needs. Where it fails, so do those that follow. */
void fleetdb_hold(struct fleetdb *db)
{
    (void)sqlite3_step(query_of(db, HOLD));
}

void fleetdb_release(struct fleetdb *db)
{
    (void)sqlite3_reset(query_of(db, HOLD));
}

bool fleetdb_check(struct fleetdb *db, struct err *err)
{
    int64_t ignored = 0;
    return sqlite_value(db->sqlite, query_of(db, CHECK), 0, &ignored, err);
}

static struct fleetdb_device device_of(sqlite3_stmt *row)
{
    struct fleetdb_device device = {.device = sqlite3_column_int64(row, 0)};
    (void)snprintf(device.id, sizeof device.id, "%s", sqlite_column_text(row, 1));
    (void)fleetdb_life_find(sqlite_column_text(row, 2), &device.life);
    device.receipt_pace_s = sqlite3_column_int64(row, 3);
    return device;
}

bool fleetdb_device_find(struct fleetdb *db, const char *id, struct fleetdb_device *ret_device,
                         struct err *err)
{
    sqlite3_stmt *statement = query_of(db, FIND);
    sqlite_bind_text(statement, ":id", id);
    bool row = false;
    if (!sqlite_row(db->sqlite, statement, &row, err))
        return false;
    if (!row)
        return err_set(err, ERR_NOT_FOUND, "no device %s", id);
    *ret_device = device_of(statement);
    (void)sqlite3_reset(statement);
    return true;
}

bool fleetdb_device_pace(struct fleetdb *db, int64_t device, uint32_t receipt_pace_s,
                         struct err *err)
{
    sqlite3_stmt *statement = query_of(db, PACE);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":pace", receipt_pace_s);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_agent_keys(struct fleetdb *db, int64_t device, int64_t now_ms,
                        struct fleetdb_key ret_keys[FLEETDB_KEYS_MAX], size_t *ret_count,
                        struct err *err)
{
    sqlite3_stmt *statement = query_of(db, AGENT_KEYS);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":now", now_ms);
    sqlite_bind_int(statement, ":max", FLEETDB_KEYS_MAX);
    size_t count = 0;
    bool row = false;
    while (sqlite_row(db->sqlite, statement, &row, err)) {
        if (!row) {
            *ret_count = count;
            return true;
        }
        struct bytes spki = sqlite_column_bytes(statement, 0);
        if (spki.length > FLEETDB_KEY_BYTES || count == FLEETDB_KEYS_MAX)
            continue;
        memcpy(ret_keys[count].spki, spki.data, spki.length);
        ret_keys[count++].length = spki.length;
    }
    return false;
}

bool fleetdb_audit(struct fleetdb *db, int64_t now_ms, const char *who, const char *what,
                   int64_t device, const char *text, struct err *err)
{
    bool own = false;
    if (!fleetdb_enter(db, &own, err))
        return false;
    sqlite3_stmt *statement = query_of(db, AUDIT);
    sqlite_bind_int(statement, ":now", now_ms);
    sqlite_bind_text(statement, ":who", who != NULL ? who : "musterd");
    sqlite_bind_text(statement, ":what", what);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_text(statement, ":text", text);
    bool done =
        sqlite_run(db->sqlite, statement, err) &&
        fleetdb_feed_add(db, FLEETDB_FEED_CHANGE, device, sqlite_last_row(db->sqlite), now_ms, err);
    return fleetdb_leave(db, own, done, err);
}
