/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_rollups.h"
#include "storage/fleetdb_standing.h"

#include <stdlib.h>
#include <string.h>

enum query { SOFTWARE_FIND, SOFTWARE_ADD, QUERIES };

static const char *const texts[QUERIES] = {
    [SOFTWARE_FIND] = "SELECT s.id FROM device d JOIN software s ON s.model = d.model"
                      " AND s.firmware = :firmware AND s.app = :app WHERE d.id = :device",
    [SOFTWARE_ADD] = "INSERT INTO software (model, firmware, app)"
                     " SELECT model, :firmware, :app FROM device WHERE id = :device RETURNING id",
};

const struct fleetdb_queries fleetdb_stamp_queries = {texts, QUERIES};

enum { SLOTS = 4, WORD_BYTES = 64 };

/* A batch is of one device, and most of its records of one moment in the device's life: what was
 * read last is good for the next one as long as the transaction lasts. */
struct fleetdb_stamps {
    int64_t device; /* 0: nothing is known */
    struct fleetdb_stand standing;
    struct {
        bool known;
        uint32_t slot;
        struct fleetdb_carried carried;
    } slots[SLOTS];
    int64_t software; /* 0: nothing is known */
    size_t firmware_length, app_length;
    uint8_t firmware[WORD_BYTES], app[WORD_BYTES];
};

bool fleetdb_stamps_open(struct fleetdb *db, struct err *err)
{
    db->stamps = calloc(1, sizeof *db->stamps);
    return db->stamps != NULL || err_set(err, ERR_NO_MEMORY, "fleet database: out of memory");
}

void fleetdb_stamps_close(struct fleetdb *db)
{
    free(db->stamps);
}

void fleetdb_stamps_forget(struct fleetdb *db)
{
    db->stamps->device = 0;
}

static bool within(int64_t at_ms, int64_t from_ms, int64_t to_ms)
{
    return at_ms >= from_ms && at_ms < to_ms;
}

static bool know_standing(struct fleetdb *db, int64_t device, int64_t at_ms, struct err *err)
{
    struct fleetdb_stamps *stamps = db->stamps;
    if (stamps->device == device && within(at_ms, stamps->standing.from_ms, stamps->standing.to_ms))
        return true;
    bool other = stamps->device != device;
    stamps->device = 0;
    if (!fleetdb_standing_at(db, device, at_ms, &stamps->standing, err))
        return false;
    if (other)
        memset(stamps->slots, 0, sizeof stamps->slots);
    if (other)
        stamps->software = 0;
    stamps->device = device;
    return true;
}

static bool know_carried(struct fleetdb *db, int64_t device, uint32_t slot, int64_t at_ms,
                         int64_t *ret_carried, struct err *err)
{
    struct fleetdb_stamps *stamps = db->stamps;
    size_t at = slot % SLOTS;
    bool known = stamps->slots[at].known && stamps->slots[at].slot == slot &&
                 within(at_ms, stamps->slots[at].carried.from_ms, stamps->slots[at].carried.to_ms);
    stamps->slots[at].known = false;
    if (!known && !fleetdb_carried_at(db, device, slot, at_ms, &stamps->slots[at].carried, err))
        return false;
    stamps->slots[at].known = true;
    stamps->slots[at].slot = slot;
    *ret_carried = stamps->slots[at].carried.carried;
    return true;
}

static bool find_software(struct fleetdb *db, int64_t device, struct bytes firmware,
                          struct bytes app, int64_t *ret_software, struct err *err)
{
    int64_t software = 0;
    for (enum query query = SOFTWARE_FIND; query <= SOFTWARE_ADD && software == 0; query++) {
        sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_STAMP, query);
        sqlite_bind_int(statement, ":device", device);
        sqlite_bind_words(statement, ":firmware", firmware);
        sqlite_bind_words(statement, ":app", app);
        if (!sqlite_value(db->sqlite, statement, 0, &software, err))
            return false;
    }
    *ret_software = software;
    return true;
}

static bool know_software(struct fleetdb *db, int64_t device, struct bytes firmware,
                          struct bytes app, int64_t *ret_software, struct err *err)
{
    struct fleetdb_stamps *stamps = db->stamps;
    *ret_software = stamps->software;
    if (stamps->software != 0 &&
        bytes_equal(firmware, bytes_of(stamps->firmware, stamps->firmware_length)) &&
        bytes_equal(app, bytes_of(stamps->app, stamps->app_length)))
        return true;
    stamps->software = 0;
    if (!find_software(db, device, firmware, app, ret_software, err))
        return false;
    if (firmware.length > WORD_BYTES || app.length > WORD_BYTES)
        return true;
    stamps->firmware_length = firmware.length;
    stamps->app_length = app.length;
    if (firmware.length > 0)
        memcpy(stamps->firmware, firmware.data, firmware.length);
    if (app.length > 0)
        memcpy(stamps->app, app.data, app.length);
    stamps->software = *ret_software;
    return true;
}

bool fleetdb_stamp_at(struct fleetdb *db, int64_t device, uint32_t slot, int64_t at_ms,
                      struct bytes firmware, struct bytes app, struct fleetdb_stamp *ret_stamp,
                      struct err *err)
{
    int64_t carried = 0, software = 0;
    if (!know_standing(db, device, at_ms, err) ||
        !know_carried(db, device, slot, at_ms, &carried, err) ||
        !know_software(db, device, firmware, app, &software, err))
        return false;
    *ret_stamp = (struct fleetdb_stamp){
        .standing = db->stamps->standing.standing,
        .carried = carried,
        .software = software,
        .in_service = db->stamps->standing.life == FLEETDB_IN_SERVICE,
    };
    return true;
}
