/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_told.h"

#include "storage/fleetdb_internal.h"

#include <stdio.h>

enum query {
    APPLY_CLEAR,
    APPLY_WRITE,
    APPLY_READ,
    KEYS_READ,
    KEYS_WRITE,
    SLOTS_CLEAR,
    SLOT_WRITE,
    SLOTS_READ,
    ALL_SLOTS_READ,
    SILENT,
    PACKAGE_SAID,
    PACKAGE_WRITE,
    PACKAGES_TRIM,
    PACKAGES_READ,
    QUERIES,
};

static const char *const texts[QUERIES] = {
    [APPLY_CLEAR] = "DELETE FROM device_apply WHERE device = :device",
    [APPLY_WRITE] = "INSERT OR REPLACE INTO device_apply (device, step, manifest_version,"
                    " generation, good_generation, waits_for, waited_ms, asks_after_ms,"
                    " opens_after_ms, results, suspect, before_results, before_suspect,"
                    " results_needed, probation_left_ms, why, refusal, received_ms, digest)"
                    " VALUES (:device, :step, :manifest, :generation, :good, :waits_for, :waited,"
                    " :asks_after, :opens_after, :results, :suspect, :before_results,"
                    " :before_suspect, :needed, :left, :why, :refusal, :received, :digest)",
    [APPLY_READ] = "SELECT step, manifest_version, generation, good_generation, waits_for,"
                   " waited_ms, asks_after_ms, opens_after_ms, results, suspect, before_results,"
                   " before_suspect, results_needed, probation_left_ms, why, refusal, received_ms,"
                   " digest FROM device_apply WHERE device = :device",
    [KEYS_READ] = "SELECT incarnation, boot_ms, wall_ms, sign_on_known, sign_on_age_ms,"
                  " received_ms, why FROM device_keys WHERE device = :device",
    [KEYS_WRITE] = "INSERT OR REPLACE INTO device_keys (device, incarnation, boot_ms, wall_ms,"
                   " sign_on_known, sign_on_age_ms, received_ms, why)"
                   " VALUES (:device, :incarnation, :boot, :wall, :known, :age, :received, :why)",
    [SLOTS_CLEAR] = "DELETE FROM key_slot WHERE device = :device",
    [SLOT_WRITE] = "INSERT OR REPLACE INTO key_slot (device, slot, usage, algorithm, key_version,"
                   " kcv_method, kcv, state, why)"
                   " VALUES (:device, :slot, :usage, :algorithm, :version, :method, :kcv, :state,"
                   " :why)",
    [SLOTS_READ] = "SELECT slot, usage, algorithm, key_version, kcv_method, kcv, state, why"
                   " FROM key_slot WHERE device = :device ORDER BY slot",
    [ALL_SLOTS_READ] =
        "SELECT slot, usage, algorithm, key_version, kcv_method, kcv, state, key_slot.why, "
        "device.name,"
        " received_ms FROM key_slot JOIN device ON device.id = key_slot.device"
        " JOIN device_keys ON device_keys.device = key_slot.device ORDER BY device.name, slot",
    [SILENT] = "SELECT count(*) FROM device WHERE life_cycle = 'in_service'"
               " AND NOT EXISTS (SELECT 1 FROM device_keys WHERE device_keys.device = device.id)",
    [PACKAGE_SAID] = "SELECT incarnation, boot_ms, wall_ms FROM device_package"
                     " WHERE device = :device AND name = :name",
    [PACKAGE_WRITE] = "INSERT OR REPLACE INTO device_package (device, name, incarnation, boot_ms,"
                      " wall_ms, wanted, running, text, received_ms)"
                      " VALUES (:device, :name, :incarnation, :boot, :wall, :wanted, :running,"
                      " :text, :received)",
    /* A device that names ever new ones does not fill the disk. */
    [PACKAGES_TRIM] = "DELETE FROM device_package WHERE device = :device AND name NOT IN"
                      " (SELECT name FROM device_package WHERE device = :device"
                      "  ORDER BY received_ms DESC, name LIMIT 32)",
    [PACKAGES_READ] = "SELECT name, wanted, running, text, incarnation, boot_ms, wall_ms,"
                      " received_ms FROM device_package WHERE device = :device ORDER BY name",
};

const struct fleetdb_queries fleetdb_told_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query, int64_t device)
{
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_TOLD, query);
    sqlite_bind_int(statement, ":device", device);
    return statement;
}

/* Steps to the only row of a query; without one the err says `missing`. */
static bool one_row(struct fleetdb *db, sqlite3_stmt *row, const char *missing, struct err *err)
{
    bool found = false;
    return sqlite_row(db->sqlite, row, &found, err) &&
           (found || err_set(err, ERR_NOT_FOUND, "%s", missing));
}

static struct fleetdb_moment moment_of(sqlite3_stmt *row, int column)
{
    return (struct fleetdb_moment){.incarnation = sqlite_column_u64(row, column),
                                   .boot_ms = sqlite3_column_int64(row, column + 1),
                                   .wall_ms = sqlite3_column_int64(row, column + 2)};
}

static void bind_moment(sqlite3_stmt *statement, const struct fleetdb_moment *moment)
{
    sqlite_bind_u64(statement, ":incarnation", moment->incarnation);
    sqlite_bind_int(statement, ":boot", moment->boot_ms);
    sqlite_bind_int(statement, ":wall", moment->wall_ms);
}

/* ---- how state is put in force ---- */

bool fleetdb_apply_write(struct fleetdb *db, int64_t device, const struct fleetdb_apply *apply,
                         struct err *err)
{
    sqlite3_stmt *statement = query_of(db, apply == NULL ? APPLY_CLEAR : APPLY_WRITE, device);
    if (apply == NULL)
        return sqlite_run(db->sqlite, statement, err);
    sqlite_bind_int(statement, ":step", apply->step);
    sqlite_bind_u64(statement, ":manifest", apply->manifest_version);
    sqlite_bind_u64(statement, ":generation", apply->generation);
    sqlite_bind_u64(statement, ":good", apply->good_generation);
    sqlite_bind_text(statement, ":waits_for", apply->waits_for);
    sqlite_bind_u64(statement, ":waited", apply->waited_ms);
    sqlite_bind_u64(statement, ":asks_after", apply->asks_after_ms);
    sqlite_bind_u64(statement, ":opens_after", apply->opens_after_ms);
    sqlite_bind_int(statement, ":results", apply->results);
    sqlite_bind_int(statement, ":suspect", apply->suspect);
    sqlite_bind_int(statement, ":before_results", apply->before_results);
    sqlite_bind_int(statement, ":before_suspect", apply->before_suspect);
    sqlite_bind_int(statement, ":needed", apply->results_needed);
    sqlite_bind_u64(statement, ":left", apply->probation_left_ms);
    sqlite_bind_text(statement, ":why", apply->why);
    sqlite_bind_int(statement, ":refusal", apply->refusal);
    sqlite_bind_int(statement, ":received", apply->received_ms);
    sqlite_bind_bytes(statement, ":digest", apply->digest);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_view_apply(struct fleetdb *db, int64_t device,
                        bool (*each)(void *ctx, const struct fleetdb_apply *apply, struct err *err),
                        void *ctx, struct err *err)
{
    sqlite3_stmt *row = query_of(db, APPLY_READ, device);
    bool found = false;
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    if (!found)
        return true;
    const struct fleetdb_apply apply = {
        .step = (int)sqlite3_column_int64(row, 0),
        .manifest_version = sqlite_column_u64(row, 1),
        .generation = sqlite_column_u64(row, 2),
        .good_generation = sqlite_column_u64(row, 3),
        .waits_for = sqlite_column_text(row, 4),
        .waited_ms = sqlite_column_u64(row, 5),
        .asks_after_ms = sqlite_column_u64(row, 6),
        .opens_after_ms = sqlite_column_u64(row, 7),
        .results = (uint32_t)sqlite3_column_int64(row, 8),
        .suspect = (uint32_t)sqlite3_column_int64(row, 9),
        .before_results = (uint32_t)sqlite3_column_int64(row, 10),
        .before_suspect = (uint32_t)sqlite3_column_int64(row, 11),
        .results_needed = (uint32_t)sqlite3_column_int64(row, 12),
        .probation_left_ms = sqlite_column_u64(row, 13),
        .why = sqlite_column_text(row, 14),
        .refusal = (int)sqlite3_column_int64(row, 15),
        .received_ms = sqlite3_column_int64(row, 16),
        .digest = sqlite_column_bytes(row, 17),
    };
    bool done = each(ctx, &apply, err);
    (void)sqlite3_reset(row);
    return done;
}

/* ---- key slots ---- */

bool fleetdb_keys_read(struct fleetdb *db, int64_t device, struct fleetdb_keys *ret_keys,
                       struct err *err)
{
    sqlite3_stmt *row = query_of(db, KEYS_READ, device);
    if (!one_row(db, row, "the device has told nothing of its key slots", err))
        return false;
    *ret_keys = (struct fleetdb_keys){.said = moment_of(row, 0),
                                      .sign_on_known = sqlite3_column_int64(row, 3) != 0,
                                      .sign_on_age_ms = sqlite_column_u64(row, 4),
                                      .received_ms = sqlite3_column_int64(row, 5)};
    (void)snprintf(ret_keys->why, sizeof ret_keys->why, "%s", sqlite_column_text(row, 6));
    (void)sqlite3_reset(row);
    return true;
}

bool fleetdb_keys_write(struct fleetdb *db, int64_t device, const struct fleetdb_keys *keys,
                        struct err *err)
{
    sqlite3_stmt *statement = query_of(db, KEYS_WRITE, device);
    bind_moment(statement, &keys->said);
    sqlite_bind_int(statement, ":known", keys->sign_on_known);
    sqlite_bind_u64(statement, ":age", keys->sign_on_age_ms);
    sqlite_bind_int(statement, ":received", keys->received_ms);
    sqlite_bind_text(statement, ":why", keys->why);
    return sqlite_run(db->sqlite, statement, err) &&
           sqlite_run(db->sqlite, query_of(db, SLOTS_CLEAR, device), err);
}

bool fleetdb_key_slot_write(struct fleetdb *db, int64_t device, const struct fleetdb_key_slot *slot,
                            struct err *err)
{
    sqlite3_stmt *statement = query_of(db, SLOT_WRITE, device);
    sqlite_bind_text(statement, ":slot", slot->slot);
    sqlite_bind_text(statement, ":usage", slot->usage);
    sqlite_bind_text(statement, ":algorithm", slot->algorithm);
    sqlite_bind_int(statement, ":version", slot->key_version);
    sqlite_bind_int(statement, ":method", slot->kcv_method);
    sqlite_bind_bytes(statement, ":kcv", slot->kcv);
    sqlite_bind_int(statement, ":state", slot->state);
    sqlite_bind_text(statement, ":why", slot->why);
    return sqlite_run(db->sqlite, statement, err);
}

static struct fleetdb_key_slot slot_of(sqlite3_stmt *row)
{
    return (struct fleetdb_key_slot){
        .slot = sqlite_column_text(row, 0),
        .usage = sqlite_column_text(row, 1),
        .algorithm = sqlite_column_text(row, 2),
        .key_version = (uint32_t)sqlite3_column_int64(row, 3),
        .kcv_method = (int)sqlite3_column_int64(row, 4),
        .kcv = sqlite_column_bytes(row, 5),
        .state = (int)sqlite3_column_int64(row, 6),
        .why = sqlite_column_text(row, 7),
    };
}

bool fleetdb_view_all_key_slots(struct fleetdb *db,
                                bool (*each)(void *ctx, const char *device, int64_t received_ms,
                                             const struct fleetdb_key_slot *slot, struct err *err),
                                void *ctx, uint64_t *ret_silent, struct err *err)
{
    sqlite3_stmt *row = fleetdb_query(db, FLEETDB_PART_TOLD, SILENT);
    bool more = false;
    if (!one_row(db, row, "no count of devices", err))
        return false;
    *ret_silent = sqlite_column_u64(row, 0);
    (void)sqlite3_reset(row);
    row = fleetdb_query(db, FLEETDB_PART_TOLD, ALL_SLOTS_READ);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_key_slot slot = slot_of(row);
        if (!each(ctx, sqlite_column_text(row, 8), sqlite3_column_int64(row, 9), &slot, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

bool fleetdb_view_key_slots(struct fleetdb *db, int64_t device,
                            bool (*each)(void *ctx, const struct fleetdb_key_slot *slot,
                                         struct err *err),
                            void *ctx, struct err *err)
{
    sqlite3_stmt *row = query_of(db, SLOTS_READ, device);
    bool more = false;
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_key_slot slot = slot_of(row);
        if (!each(ctx, &slot, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

/* ---- packages ---- */

bool fleetdb_package_said(struct fleetdb *db, int64_t device, const char *name,
                          struct fleetdb_moment *ret_said, struct err *err)
{
    sqlite3_stmt *row = query_of(db, PACKAGE_SAID, device);
    sqlite_bind_text(row, ":name", name);
    if (!one_row(db, row, "the device has told nothing of that package", err))
        return false;
    *ret_said = moment_of(row, 0);
    (void)sqlite3_reset(row);
    return true;
}

bool fleetdb_package_write(struct fleetdb *db, int64_t device,
                           const struct fleetdb_package *package, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, PACKAGE_WRITE, device);
    sqlite_bind_text(statement, ":name", package->name);
    bind_moment(statement, &package->said);
    sqlite_bind_text(statement, ":wanted", package->wanted);
    sqlite_bind_text(statement, ":running", package->running);
    sqlite_bind_text(statement, ":text", package->text);
    sqlite_bind_int(statement, ":received", package->received_ms);
    return sqlite_run(db->sqlite, statement, err) &&
           sqlite_run(db->sqlite, query_of(db, PACKAGES_TRIM, device), err);
}

bool fleetdb_view_packages(struct fleetdb *db, int64_t device,
                           bool (*each)(void *ctx, const struct fleetdb_package *package,
                                        struct err *err),
                           void *ctx, struct err *err)
{
    sqlite3_stmt *row = query_of(db, PACKAGES_READ, device);
    bool more = false;
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_package package = {
            .name = sqlite_column_text(row, 0),
            .wanted = sqlite_column_text(row, 1),
            .running = sqlite_column_text(row, 2),
            .text = sqlite_column_text(row, 3),
            .said = moment_of(row, 4),
            .received_ms = sqlite3_column_int64(row, 7),
        };
        if (!each(ctx, &package, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}
