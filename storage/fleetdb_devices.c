/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_standing.h"

#include <stdio.h>
#include <string.h>

enum query {
    CHECK,
    FIND,
    PACE,
    AGENT_KEYS,
    OWNER_OF_SERIAL,
    OWNER_OF_KEY,
    DEVICE_ADD,
    DEVICE_UPDATE,
    KEYS_END,
    KEY_ADD,
    REGION_ADD,
    MERCHANT_ADD,
    MERCHANT_FIND,
    STORE_ADD,
    STORE_FIND,
    TERMINAL_ADD,
    TERMINAL_FIND,
    CARRIED_SAME,
    CARRY_END,
    CARRY_OTHERS_END,
    CARRY_BEGIN,
    AUDIT,
    QUERIES,
};

static const char *const texts[QUERIES] = {
    [CHECK] = "SELECT count(*) FROM (SELECT 1 FROM device LIMIT 1)",
    [FIND] = "SELECT id, name, life_cycle, receipt_pace_s FROM device WHERE name = :id",
    [PACE] = "UPDATE device SET receipt_pace_s = :pace"
             " WHERE id = :device AND receipt_pace_s <> :pace",
    [AGENT_KEYS] = "SELECT spki FROM agent_key WHERE device = :device AND from_ms <= :now"
                   " AND (to_ms IS NULL OR to_ms > :now) ORDER BY from_ms DESC, id DESC LIMIT :max",
    [OWNER_OF_SERIAL] = "SELECT id FROM device WHERE model = :model AND serial = :serial",
    [OWNER_OF_KEY] = "SELECT device FROM agent_key WHERE spki = :spki",
    [DEVICE_ADD] = "INSERT INTO device (name, serial, model, enrolled_ms, updated_ms)"
                   " VALUES (:id, :serial, :model, :now, :now) RETURNING id",
    [DEVICE_UPDATE] = "UPDATE device SET store = :store, updated_ms = :now WHERE id = :device",
    [KEYS_END] = "UPDATE agent_key SET to_ms = :now WHERE device = :device AND to_ms IS NULL"
                 " AND spki <> :spki",
    [KEY_ADD] = "INSERT INTO agent_key (device, spki, from_ms) VALUES (:device, :spki, :now)"
                " ON CONFLICT (spki) DO UPDATE SET to_ms = NULL",
    [REGION_ADD] = "INSERT INTO region (name) VALUES (:name)"
                   " ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
    [MERCHANT_ADD] = "INSERT INTO merchant (code, name) VALUES (:code, :name)"
                     " ON CONFLICT (code) DO UPDATE SET name = excluded.name",
    [MERCHANT_FIND] = "SELECT id FROM merchant WHERE code = :code",
    [STORE_ADD] = "INSERT INTO store (merchant, code, name, region)"
                  " VALUES (:merchant, :code, :name, :region)"
                  " ON CONFLICT (merchant, code) DO UPDATE SET name = excluded.name,"
                  " region = coalesce(excluded.region, region)",
    [STORE_FIND] = "SELECT id FROM store WHERE merchant = :merchant AND code = :code",
    [TERMINAL_ADD] = "INSERT INTO logical_terminal (acquirer, tid, mid, merchant)"
                     " VALUES (:acquirer, :tid, :mid, :merchant)"
                     " ON CONFLICT (acquirer, tid, mid) DO UPDATE SET merchant = excluded.merchant",
    [TERMINAL_FIND] = "SELECT id FROM logical_terminal"
                      " WHERE acquirer = :acquirer AND tid = :tid AND mid = :mid",
    [CARRIED_SAME] = "SELECT count(*) FROM device_terminal WHERE device = :device AND slot = :slot"
                     " AND logical_terminal = :terminal AND to_ms IS NULL",
    [CARRY_END] = "UPDATE device_terminal SET to_ms = :now WHERE to_ms IS NULL"
                  " AND (logical_terminal = :terminal OR device = :device AND slot = :slot)",
    [CARRY_OTHERS_END] = "UPDATE device_terminal SET to_ms = :now"
                         " WHERE device = :device AND to_ms IS NULL AND slot NOT IN"
                         " (SELECT value FROM json_each(:slots))",
    [CARRY_BEGIN] = "INSERT INTO device_terminal (device, slot, logical_terminal, from_ms)"
                    " VALUES (:device, :slot, :terminal, :now)",
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
    sqlite3_stmt *statement = query_of(db, AUDIT);
    sqlite_bind_int(statement, ":now", now_ms);
    sqlite_bind_text(statement, ":who", who);
    sqlite_bind_text(statement, ":what", what);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_text(statement, ":text", text);
    return sqlite_run(db->sqlite, statement, err);
}

/* ---- enrolment ---- */

/* Finds the device or makes it; a name, serial number or key that is another's is a conflict. */
static bool claim_device(struct fleetdb *db, const struct fleetdb_enrolment *enrolment,
                         int64_t now_ms, int64_t *ret_device, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, OWNER_OF_SERIAL);
    sqlite_bind_text(statement, ":model", enrolment->model);
    sqlite_bind_text(statement, ":serial", enrolment->serial);
    int64_t by_serial = 0, by_key = 0;
    if (!sqlite_value(db->sqlite, statement, 0, &by_serial, err))
        return false;
    statement = query_of(db, OWNER_OF_KEY);
    sqlite_bind_bytes(statement, ":spki", enrolment->agent_key);
    if (!sqlite_value(db->sqlite, statement, 0, &by_key, err))
        return false;

    struct fleetdb_device known = {0};
    struct err why = {0};
    if (!fleetdb_device_find(db, enrolment->id, &known, &why) && why.code != ERR_NOT_FOUND)
        return err_set(err, why.code, "%s", why.text);
    if (by_serial != 0 && by_serial != known.device)
        return err_set(err, ERR_CONFLICT, "%s %s is enrolled under another id", enrolment->model,
                       enrolment->serial);
    if (by_key != 0 && by_key != known.device)
        return err_set(err, ERR_CONFLICT, "the agent key is another device's");
    if (known.device != 0 && by_serial == 0)
        return err_set(err, ERR_CONFLICT, "%s has another model or serial number", enrolment->id);
    if (known.device != 0 && known.life == FLEETDB_RETIRED)
        return err_set(err, ERR_CONFLICT, "%s is retired", enrolment->id);
    *ret_device = known.device;
    if (known.device != 0)
        return true;

    statement = query_of(db, DEVICE_ADD);
    sqlite_bind_text(statement, ":id", enrolment->id);
    sqlite_bind_text(statement, ":serial", enrolment->serial);
    sqlite_bind_text(statement, ":model", enrolment->model);
    sqlite_bind_int(statement, ":now", now_ms);
    return sqlite_value(db->sqlite, statement, 0, ret_device, err);
}

static bool give_key(struct fleetdb *db, int64_t device, struct bytes spki, int64_t now_ms,
                     struct err *err)
{
    if (spki.length == 0 || spki.length > FLEETDB_KEY_BYTES)
        return err_set(err, ERR_INVALID, "the agent key is not 1 to %d bytes", FLEETDB_KEY_BYTES);
    sqlite3_stmt *statement = query_of(db, KEYS_END);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":now", now_ms);
    sqlite_bind_bytes(statement, ":spki", spki);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    statement = query_of(db, KEY_ADD);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":now", now_ms);
    sqlite_bind_bytes(statement, ":spki", spki);
    return sqlite_run(db->sqlite, statement, err);
}

static bool place(struct fleetdb *db, const struct fleetdb_enrolment *enrolment, int64_t device,
                  int64_t now_ms, int64_t *ret_merchant, struct err *err)
{
    int64_t region = 0, merchant = 0, store = 0;
    sqlite3_stmt *statement = NULL;
    if (enrolment->region[0] != '\0') {
        statement = query_of(db, REGION_ADD);
        sqlite_bind_text(statement, ":name", enrolment->region);
        if (!sqlite_value(db->sqlite, statement, 0, &region, err))
            return false;
    }
    statement = query_of(db, MERCHANT_ADD);
    sqlite_bind_text(statement, ":code", enrolment->merchant_id);
    sqlite_bind_text(statement, ":name", enrolment->merchant_name);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    statement = query_of(db, MERCHANT_FIND);
    sqlite_bind_text(statement, ":code", enrolment->merchant_id);
    if (!sqlite_value(db->sqlite, statement, 0, &merchant, err))
        return false;
    statement = query_of(db, STORE_ADD);
    sqlite_bind_int(statement, ":merchant", merchant);
    sqlite_bind_text(statement, ":code", enrolment->store_id);
    sqlite_bind_text(statement, ":name", enrolment->store_name);
    if (region != 0)
        sqlite_bind_int(statement, ":region", region);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    statement = query_of(db, STORE_FIND);
    sqlite_bind_int(statement, ":merchant", merchant);
    sqlite_bind_text(statement, ":code", enrolment->store_id);
    if (!sqlite_value(db->sqlite, statement, 0, &store, err))
        return false;
    statement = query_of(db, DEVICE_UPDATE);
    sqlite_bind_int(statement, ":store", store);
    sqlite_bind_int(statement, ":now", now_ms);
    sqlite_bind_int(statement, ":device", device);
    *ret_merchant = merchant;
    const struct fleetdb_change change = {.who = "api", .why = "enrolled", .now_ms = now_ms};
    return sqlite_run(db->sqlite, statement, err) &&
           fleetdb_standing_follow_store(db, store, &change, err);
}

/* From now on `device` carries the logical terminal in its slot, and nobody else does. */
static bool carry(struct fleetdb *db, int64_t device, const struct fleetdb_terminal *terminal,
                  int64_t merchant, int64_t now_ms, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, TERMINAL_ADD);
    sqlite_bind_text(statement, ":acquirer", terminal->acquirer);
    sqlite_bind_text(statement, ":tid", terminal->tid);
    sqlite_bind_text(statement, ":mid", terminal->mid);
    sqlite_bind_int(statement, ":merchant", merchant);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    statement = query_of(db, TERMINAL_FIND);
    sqlite_bind_text(statement, ":acquirer", terminal->acquirer);
    sqlite_bind_text(statement, ":tid", terminal->tid);
    sqlite_bind_text(statement, ":mid", terminal->mid);
    int64_t logical = 0, same = 0;
    if (!sqlite_value(db->sqlite, statement, 0, &logical, err))
        return false;

    statement = query_of(db, CARRIED_SAME);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_int(statement, ":slot", terminal->index);
    sqlite_bind_int(statement, ":terminal", logical);
    if (!sqlite_value(db->sqlite, statement, 0, &same, err))
        return false;
    if (same > 0)
        return true;
    static const enum query steps[] = {CARRY_END, CARRY_BEGIN};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        statement = query_of(db, steps[i]);
        sqlite_bind_int(statement, ":device", device);
        sqlite_bind_int(statement, ":slot", terminal->index);
        sqlite_bind_int(statement, ":terminal", logical);
        sqlite_bind_int(statement, ":now", now_ms);
        if (!sqlite_run(db->sqlite, statement, err))
            return false;
    }
    return true;
}

/* Slots that the enrolment does not name carry nothing any more. */
static bool drop_other_slots(struct fleetdb *db, const struct fleetdb_enrolment *enrolment,
                             int64_t device, int64_t now_ms, struct err *err)
{
    struct buf slots = {0};
    bool done = buf_append(&slots, "[", 1, err);
    for (size_t i = 0; done && i < enrolment->terminal_count; i++) {
        char number[16];
        int n = snprintf(number, sizeof number, "%s%u", i > 0 ? "," : "",
                         enrolment->terminals[i].index);
        done = buf_append(&slots, number, (size_t)n, err);
    }
    done = done && buf_append(&slots, "]", sizeof "]", err);
    if (done) {
        sqlite3_stmt *statement = query_of(db, CARRY_OTHERS_END);
        sqlite_bind_int(statement, ":device", device);
        sqlite_bind_int(statement, ":now", now_ms);
        sqlite_bind_text(statement, ":slots", (const char *)slots.data);
        done = sqlite_run(db->sqlite, statement, err);
    }
    buf_done(&slots);
    return done;
}

static bool enrol(struct fleetdb *db, const struct fleetdb_enrolment *enrolment, int64_t now_ms,
                  int64_t *ret_device, struct err *err)
{
    int64_t device = 0, merchant = 0;
    if (!claim_device(db, enrolment, now_ms, &device, err) ||
        !give_key(db, device, enrolment->agent_key, now_ms, err) ||
        !place(db, enrolment, device, now_ms, &merchant, err) ||
        !drop_other_slots(db, enrolment, device, now_ms, err))
        return false;
    for (size_t i = 0; i < enrolment->terminal_count; i++) {
        if (!carry(db, device, &enrolment->terminals[i], merchant, now_ms, err))
            return false;
    }
    *ret_device = device;
    return fleetdb_audit(db, now_ms, "api", "enrol", device, enrolment->id, err);
}

bool fleetdb_enrol(struct fleetdb *db, const struct fleetdb_enrolment *enrolment, int64_t now_ms,
                   int64_t *ret_device, struct err *err)
{
    int64_t device = 0;
    if (!fleetdb_begin(db, err))
        return false;
    bool done = enrol(db, enrolment, now_ms, &device, err);
    if (done && enrolment->dry_run)
        fleetdb_rollback(db);
    else if (!fleetdb_leave(db, true, done, err))
        return false;
    *ret_device = device;
    return true;
}
