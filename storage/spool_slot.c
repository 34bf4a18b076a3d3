/* SPDX-License-Identifier: Apache-2.0 */
/* A slot as it stands in its row, and segments put together again. */
#include "storage/spool_segment.h"
#include "storage/spool_slots.h"

#include <string.h>

enum { CRC_BYTES = 4, NUMBER_BYTES = 4 };

static uint8_t *put(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * i));
    return out + bytes;
}

static uint64_t get(const uint8_t **in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)(*in)[i] << (8 * i);
    *in += bytes;
    return value;
}

/* The number too, so that a slot that has strayed into another's place is known for it. */
static uint32_t sum_of(int64_t number, const uint8_t body[SPOOL_SLOT_BYTES])
{
    uint8_t own[NUMBER_BYTES];
    (void)put(own, (uint64_t)number, sizeof own);
    return spool_segment_crc(spool_segment_crc(0, bytes_of(own, sizeof own)),
                             bytes_of(body + CRC_BYTES, SPOOL_SLOT_BYTES - CRC_BYTES));
}

void spool_slot_encode(int64_t number, const struct spool_slot *slot,
                       uint8_t ret_body[SPOOL_SLOT_BYTES])
{
    memset(ret_body, 0, SPOOL_SLOT_BYTES);
    uint8_t *out = put(ret_body + CRC_BYTES, slot->round, 4);
    out = put(out, (uint64_t)slot->id, 8);
    out = put(out, (uint64_t)slot->powered_ms, 8);
    out = put(out, slot->count, 2);
    out = put(out, slot->length, 2);
    out = put(out, slot->part, 1);
    out = put(out, slot->codec, 1);
    if (slot->bytes.length > 0)
        memcpy(out, slot->bytes.data, slot->bytes.length);
    (void)put(ret_body, sum_of(number, ret_body), CRC_BYTES);
}

bool spool_slot_decode(int64_t number, struct bytes body, struct spool_slot *ret_slot)
{
    if (body.length != SPOOL_SLOT_BYTES)
        return false;
    const uint8_t *in = body.data;
    if (get(&in, CRC_BYTES) != sum_of(number, body.data))
        return false;
    struct spool_slot slot = {.round = (uint32_t)get(&in, 4)};
    slot.id = (int64_t)get(&in, 8);
    slot.powered_ms = (int64_t)get(&in, 8);
    slot.count = (uint16_t)get(&in, 2);
    slot.length = (uint16_t)get(&in, 2);
    slot.part = (uint8_t)get(&in, 1);
    slot.codec = (uint8_t)get(&in, 1);
    size_t before = (size_t)slot.part * SPOOL_SLOT_ROOM;
    if (before > 0 && before >= slot.length)
        return false;
    size_t left = slot.length - before;
    slot.bytes = bytes_of(in, left < SPOOL_SLOT_ROOM ? left : SPOOL_SLOT_ROOM);
    *ret_slot = slot;
    return true;
}

bool spool_slots_take(struct spool_slots *slots, const struct spool_slot *slot, struct err *err)
{
    struct spool_slot_entry *entry = &slots->entries[slots->count];
    bool begins = slots->parts == 0;
    if (slots->used >= SPOOL_SLOTS || slot->count == 0 || slot->length == 0 ||
        begins != (slot->part == 0))
        return false;
    if (begins) {
        *entry = (struct spool_slot_entry){.id = slot->id,
                                           .powered_ms = slot->powered_ms,
                                           .count = slot->count,
                                           .codec = slot->codec,
                                           .at = slots->bodies.length,
                                           .length = slot->length};
        slots->parts = spool_slots_for(slot->length);
    } else if (slot->id != entry->id || slot->count != entry->count ||
               slot->length != entry->length ||
               slot->part != spool_slots_for(slot->length) - slots->parts) {
        return false;
    }
    if (!buf_append(&slots->bodies, slot->bytes.data, slot->bytes.length, err))
        return false;
    slots->used++;
    if (--slots->parts == 0)
        slots->count++;
    return true;
}

void spool_slots_clear(struct spool_slots *slots)
{
    slots->used = slots->parts = 0;
    slots->count = 0;
    buf_clear(&slots->bodies);
}
