/* SPDX-License-Identifier: Apache-2.0 */
/* Segments that stood in slots. */
#include "storage/spool_salvage.h"

#include <stdlib.h>
#include <string.h>

enum { SLOT_BODY = 1, SLOT_COLUMNS };

/* Sound slots, wherever their rows were found. */
struct found {
    bool there[SPOOL_LANES][SPOOL_SLOTS];
    uint8_t bodies[SPOOL_LANES][SPOOL_SLOTS][SPOOL_SLOT_BYTES];
};

static bool slot_at(const struct found *found, int lane, unsigned index,
                    struct spool_slot *ret_slot)
{
    return index < spool_slots_of(lane) && found->there[lane - 1][index] &&
           spool_slot_decode(spool_slot_number(lane, index),
                             bytes_of(found->bodies[lane - 1][index], SPOOL_SLOT_BYTES), ret_slot);
}

static bool take_slot(void *ctx, struct pages_place place, const struct pages_row *row,
                      struct err *err)
{
    struct found *found = ctx;
    struct spool_slot slot, before;
    (void)place;
    (void)err;
    if (row->count != SLOT_COLUMNS || !row->columns[SLOT_BODY].is_data ||
        row->rowid < spool_slot_number(1, 0) || row->rowid >= spool_slot_number(SPOOL_LANES + 1, 0))
        return true;
    int lane = (int)(row->rowid / spool_slot_number(1, 0));
    unsigned index = (unsigned)(row->rowid - spool_slot_number(lane, 0));
    if (index >= spool_slots_of(lane) ||
        !spool_slot_decode(row->rowid, row->columns[SLOT_BODY].data, &slot) ||
        (slot_at(found, lane, index, &before) && before.round > slot.round))
        return true;
    memcpy(found->bodies[lane - 1][index], row->columns[SLOT_BODY].data.data, SPOOL_SLOT_BYTES);
    found->there[lane - 1][index] = true;
    return true;
}

/* The first slot tells which round counts; where it is gone, the newest that is left. */
static bool round_of(const struct found *found, int lane, uint32_t *ret_round)
{
    struct spool_slot slot;
    bool any = false;
    for (unsigned i = 0; i < spool_slots_of(lane); i++) {
        if (!slot_at(found, lane, i, &slot) || (any && slot.round <= *ret_round))
            continue;
        *ret_round = slot.round;
        if (i == 0)
            return true;
        any = true;
    }
    return any;
}

/* Whether the segment that begins at `index` is there with all its parts. */
static bool is_whole(const struct found *found, int lane, unsigned index, uint32_t round)
{
    struct spool_slot first, slot;
    if (!slot_at(found, lane, index, &first) || first.part != 0 || first.length == 0 ||
        first.count == 0 || first.count > SPOOL_PUSH_RECORDS || spool_id_lane(first.id) != lane)
        return false;
    for (unsigned part = 0; part < spool_slots_for(first.length); part++) {
        if (!slot_at(found, lane, index + part, &slot) || slot.round != round ||
            slot.id != first.id || slot.count != first.count || slot.length != first.length ||
            slot.part != part)
            return false;
    }
    return true;
}

static bool take_lane(const struct found *found, int lane, struct spool_slots *slots,
                      struct err *err)
{
    struct spool_slot slot;
    uint32_t round = 0;
    if (!round_of(found, lane, &round))
        return true;
    for (unsigned i = 0; i < spool_slots_of(lane); i++) {
        if (!is_whole(found, lane, i, round))
            continue;
        do {
            if (!slot_at(found, lane, i, &slot) || !spool_slots_take(slots, &slot, err))
                return false;
        } while (slots->parts > 0 && ++i > 0);
    }
    return true;
}

bool salvage_find_slots(struct salvage *salvage, struct err *err)
{
    uint32_t root = 0;
    struct found *found = calloc(1, sizeof *found);
    if (found == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to salvage %s", salvage->spool->path);
    bool ok = salvage_root(salvage, "slot", &root, err) &&
              pages_rows(salvage->pages, root, SPOOL_SLOT_BYTES * 2, take_slot, found, err);
    for (int lane = 1; ok && lane <= SPOOL_LANES; lane++)
        ok = take_lane(found, lane, &salvage->slots[lane - 1], err);
    free(found);
    return ok;
}
