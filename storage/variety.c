/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/variety.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 32, FIRST_DEVICES = 64 };

static bool make_room(struct variety *variety, size_t device, struct err *err)
{
    size_t count = variety->count == 0 ? FIRST_DEVICES : variety->count;
    if (device < variety->count)
        return true;
    while (count <= device)
        count *= 2;
    struct variety_device *list = realloc(variety->list, count * sizeof *list);
    if (list == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for what %zu devices tell of", count);
    for (size_t i = variety->count; i < count; i++)
        list[i] = (struct variety_device){0};
    variety->list = list;
    variety->count = count;
    return true;
}

/* Where the hash is, or the free place where it belongs. */
static uint32_t *slot_of(const struct variety_device *device, uint32_t hash)
{
    uint32_t at = hash & (device->slot_count - 1);
    while (device->slots[at] != 0 && device->slots[at] != hash)
        at = (at + 1) & (device->slot_count - 1);
    return &device->slots[at];
}

/* At the most half of the slots are used. */
static bool grow(struct variety_device *device, struct err *err)
{
    struct variety_device larger = {.hour = device->hour, .count = device->count};
    larger.slot_count = device->slot_count == 0 ? FIRST_SLOTS : device->slot_count * 2;
    larger.slots = calloc(larger.slot_count, sizeof *larger.slots);
    if (larger.slots == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for what a device tells of");
    for (uint32_t i = 0; i < device->slot_count; i++) {
        if (device->slots[i] != 0)
            *slot_of(&larger, device->slots[i]) = device->slots[i];
    }
    free(device->slots);
    *device = larger;
    return true;
}

static void begin_anew(struct variety_device *device, int64_t hour)
{
    free(device->slots);
    *device = (struct variety_device){.hour = hour};
}

bool variety_look(struct variety *variety, int64_t device_number, int64_t hour, uint32_t hash,
                  bool *ret_beyond, struct err *err)
{
    if (!make_room(variety, (size_t)device_number, err))
        return false;
    struct variety_device *device = &variety->list[device_number];
    hash += hash == 0;
    if (device->hour != hour)
        begin_anew(device, hour);
    if (device->count * 2 == device->slot_count && device->count < VARIETY_MAX &&
        !grow(device, err))
        return false;
    uint32_t *slot = slot_of(device, hash);
    *ret_beyond = *slot == 0 && device->count == VARIETY_MAX;
    if (*slot == 0 && !*ret_beyond) {
        *slot = hash;
        device->count++;
    }
    return true;
}

void variety_done(struct variety *variety)
{
    for (size_t i = 0; i < variety->count; i++)
        free(variety->list[i].slots);
    free(variety->list);
    *variety = (struct variety){0};
}
