/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_carry.h"
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_places.h"

enum query {
    OWNER_OF_SERIAL,
    OWNER_OF_KEY,
    DEVICE_ADD,
    KEYS_END,
    KEY_ADD,
    QUERIES,
};

static const char *const texts[QUERIES] = {
    [OWNER_OF_SERIAL] = "SELECT id FROM device WHERE model = :model AND serial = :serial",
    [OWNER_OF_KEY] = "SELECT device FROM agent_key WHERE spki = :spki",
    [DEVICE_ADD] = "INSERT INTO device (name, serial, model, life_cycle, enrolled_ms, updated_ms)"
                   " VALUES (:id, :serial, :model, :life, :now, :now) RETURNING id",
    [KEYS_END] = "UPDATE agent_key SET to_ms = :now WHERE device = :device AND to_ms IS NULL"
                 " AND spki <> :spki",
    [KEY_ADD] = "INSERT INTO agent_key (device, spki, from_ms) VALUES (:device, :spki, :now)"
                " ON CONFLICT (spki) DO UPDATE SET to_ms = NULL WHERE to_ms IS NOT NULL",
};

const struct fleetdb_queries fleetdb_enrol_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_ENROL, query);
}

/* Finds the device or makes it; a name, serial number or key that is another's is a conflict. */
static bool claim_device(struct fleetdb *db, const struct fleetdb_enrolment *enrolment,
                         int64_t now_ms, struct fleetdb_device *ret_device, struct err *err)
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
    *ret_device = known;
    if (known.device != 0)
        return true;

    statement = query_of(db, DEVICE_ADD);
    sqlite_bind_text(statement, ":id", enrolment->id);
    sqlite_bind_text(statement, ":serial", enrolment->serial);
    sqlite_bind_text(statement, ":model", enrolment->model);
    sqlite_bind_text(statement, ":life", fleetdb_life_name(enrolment->life));
    sqlite_bind_int(statement, ":now", now_ms);
    int64_t row = 0;
    return sqlite_value(db->sqlite, statement, 0, &row, err) &&
           fleetdb_device_find(db, enrolment->id, ret_device, err);
}

static bool give_key(struct fleetdb *db, int64_t device, struct bytes spki, int64_t now_ms,
                     struct err *err)
{
    if (spki.length == 0)
        return true;
    if (spki.length > FLEETDB_KEY_BYTES)
        return err_set(err, ERR_INVALID, "the agent key is longer than %d bytes",
                       FLEETDB_KEY_BYTES);
    static const enum query steps[] = {KEYS_END, KEY_ADD};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        sqlite3_stmt *statement = query_of(db, steps[i]);
        sqlite_bind_int(statement, ":device", device);
        sqlite_bind_int(statement, ":now", now_ms);
        sqlite_bind_bytes(statement, ":spki", spki);
        if (!sqlite_run(db->sqlite, statement, err))
            return false;
    }
    return true;
}

/* Where it stands and what it carries there. */
static bool place(struct fleetdb *db, const struct fleetdb_enrolment *enrolment,
                  const struct fleetdb_device *device, const struct fleetdb_change *change,
                  struct err *err)
{
    struct fleetdb_move move = {.store = enrolment->store,
                                .keep_terminals = enrolment->keep_terminals,
                                .terminals = enrolment->terminals,
                                .terminal_count = enrolment->terminal_count};
    const bool has_region = enrolment->region != NULL && enrolment->region[0] != '\0';
    const struct fleetdb_store store = {.merchant = enrolment->merchant_id,
                                        .merchant_name = enrolment->merchant_name,
                                        .store = enrolment->store_id,
                                        .store_name = enrolment->store_name,
                                        .region = has_region ? enrolment->region : NULL,
                                        .time_zone = enrolment->time_zone,
                                        .opening_hours = enrolment->opening_hours,
                                        .address = enrolment->address};
    return (move.store != 0 || store.merchant == NULL ||
            fleetdb_store_put(db, &store, change, &move.store, err)) &&
           fleetdb_device_move(db, device, &move, change, err);
}

static bool enrol(struct fleetdb *db, const struct fleetdb_enrolment *enrolment, int64_t now_ms,
                  int64_t *ret_device, struct err *err)
{
    struct fleetdb_device device = {0};
    const struct fleetdb_change change = {
        .who = enrolment->who != NULL ? enrolment->who : "musterd",
        .why = enrolment->why != NULL ? enrolment->why : "enrolled",
        .now_ms = now_ms,
    };
    const bool is_placed = enrolment->merchant_id != NULL || !enrolment->keep_terminals;
    if (!claim_device(db, enrolment, now_ms, &device, err) ||
        !give_key(db, device.device, enrolment->agent_key, now_ms, err) ||
        (is_placed && !place(db, enrolment, &device, &change, err)) ||
        !fleetdb_standing_follow(db, device.device, &change, err))
        return false;
    *ret_device = device.device;
    return true;
}

bool fleetdb_enrol(struct fleetdb *db, const struct fleetdb_enrolment *enrolment, int64_t now_ms,
                   int64_t *ret_device, struct err *err)
{
    bool own = false;
    if (!fleetdb_enter(db, &own, err))
        return false;
    bool done = enrol(db, enrolment, now_ms, ret_device, err);
    return fleetdb_leave(db, own, done, err);
}
