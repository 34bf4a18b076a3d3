/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_rollups.h"
#include "storage/fleetdb_standing.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4 };

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
    bool folded;
    size_t firmware_length, app_length;
    uint8_t firmware[FLEETDB_WORD_BYTES], app[FLEETDB_WORD_BYTES];
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

static void remember(struct bytes word, size_t *length, uint8_t room[FLEETDB_WORD_BYTES])
{
    *length = word.length;
    if (word.length > 0)
        memcpy(room, word.data, word.length);
}

static bool know_software(struct fleetdb *db, const struct fleetdb_sale *sale,
                          int64_t *ret_software, struct err *err)
{
    struct fleetdb_stamps *stamps = db->stamps;
    const struct fleetdb_software told = {.device = sale->device,
                                          .now_ms = sale->received_ms,
                                          .firmware = sale->firmware,
                                          .app = sale->app};
    const bool known =
        stamps->software != 0 &&
        bytes_equal(told.firmware, bytes_of(stamps->firmware, stamps->firmware_length)) &&
        bytes_equal(told.app, bytes_of(stamps->app, stamps->app_length));
    *ret_software = stamps->software;
    stamps->software = 0;
    if (!known && !fleetdb_software_find(db, &told, ret_software, &stamps->folded, err))
        return false;
    db->folded += stamps->folded;
    if (known ||
        (told.firmware.length <= FLEETDB_WORD_BYTES && told.app.length <= FLEETDB_WORD_BYTES))
        stamps->software = *ret_software;
    if (!known && stamps->software != 0) {
        remember(told.firmware, &stamps->firmware_length, stamps->firmware);
        remember(told.app, &stamps->app_length, stamps->app);
    }
    return true;
}

uint64_t fleetdb_folded(const struct fleetdb *db)
{
    return db->folded;
}

bool fleetdb_stamp_at(struct fleetdb *db, const struct fleetdb_sale *sale,
                      struct fleetdb_stamp *ret_stamp, struct err *err)
{
    int64_t carried = 0, software = 0;
    if (!know_standing(db, sale->device, sale->at_ms, err) ||
        !know_carried(db, sale->device, sale->slot, sale->at_ms, &carried, err) ||
        !know_software(db, sale, &software, err))
        return false;
    *ret_stamp = (struct fleetdb_stamp){
        .standing = db->stamps->standing.standing,
        .carried = carried,
        .software = software,
        .in_service = db->stamps->standing.life == FLEETDB_IN_SERVICE,
    };
    return true;
}
