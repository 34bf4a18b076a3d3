/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SPOOL_SLOTS_H
#define STORAGE_SPOOL_SLOTS_H

#include "base/buf.h"

/*
 * Where the newest segments of a lane stand before they become rows of `segment`: a ring of slots,
 * each of them a row that fills one small page and is written over in place. So a commit writes the
 * pages of its own bytes; no page is taken or given back, none above it changes.
 *
 * A slot:
 *   crc32c, 4 bytes | round, 4 | id, 8 | powered_ms, 8 | count, 2 | length, 2 | part, 1 | codec, 1
 *   | bytes of the segment's body, zeros behind its end
 * all little-endian. The CRC covers the slot's number (4 bytes) and what follows it; `length` is
 * the whole body's, of which a slot has part `part`.
 *
 * Slots are filled from the first on; when what is in them has become rows, or is gone, the next
 * round begins at the first again. What counts is what has the first slot's round; a round that
 * nothing was put into yet has a first slot with count 0.
 */
enum {
    SPOOL_SLOT_BYTES = 473, /* the longest blob that a page of 512 bytes takes whole */
    SPOOL_SLOT_HEAD = 30,
    SPOOL_SLOT_ROOM = SPOOL_SLOT_BYTES - SPOOL_SLOT_HEAD,
    SPOOL_SLOTS = 128,       /* of lane 1, whose records are many */
    SPOOL_SLOTS_OTHERS = 32, /* of each other lane */
    SPOOL_SLOTS_SHARE = 4,   /* a longer segment than this part of them becomes a row at once */
};

struct spool_slot {
    uint32_t round;
    int64_t id;
    int64_t powered_ms;
    uint16_t count;  /* records; 0: a round that has not begun */
    uint16_t length; /* of the body */
    uint8_t part;
    uint8_t codec;
    struct bytes bytes; /* of the body, in this slot */
};

/* The number of a lane's slot, and back. */
static inline int64_t spool_slot_number(int lane, unsigned index)
{
    return (int64_t)lane * 256 + index;
}
static inline unsigned spool_slots_of(int lane)
{
    return lane == 1 ? SPOOL_SLOTS : SPOOL_SLOTS_OTHERS;
}
/* How many slots a body of so many bytes takes. */
static inline unsigned spool_slots_for(size_t length)
{
    return length == 0 ? 1 : (unsigned)((length + SPOOL_SLOT_ROOM - 1) / SPOOL_SLOT_ROOM);
}

void spool_slot_encode(int64_t number, const struct spool_slot *slot,
                       uint8_t ret_body[SPOOL_SLOT_BYTES]);
/* False: it is damaged. `bytes` of the slot point into `body`. */
bool spool_slot_decode(int64_t number, struct bytes body, struct spool_slot *ret_slot);

/* A segment out of slots, which come by their numbers. */
struct spool_slot_entry {
    int64_t id;
    int64_t powered_ms;
    uint64_t count;
    int codec;
    size_t at, length; /* of the body, in `bodies` */
};

struct spool_slots {
    uint32_t round;
    unsigned used; /* of this round */
    struct spool_slot_entry entries[SPOOL_SLOTS];
    size_t count;
    struct buf bodies;
    unsigned parts; /* of the newest entry that are missing, while slots are taken */
};

/* Takes the next slot of a round. False: it does not belong there, or (err) there is no memory. */
bool spool_slots_take(struct spool_slots *slots, const struct spool_slot *slot,
                      struct err *err) MUSTER_CHECK;
/* Forgets what was taken. */
void spool_slots_clear(struct spool_slots *slots);

#endif
