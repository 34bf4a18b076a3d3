/* SPDX-License-Identifier: Apache-2.0 */
/* What a damaged disk may give back of the spool's own forms: a segment's body, plain or
 * compressed, the list of what has been receipted, the chain of incarnations. The first byte
 * chooses. */
#include "storage/spool_acked.h"
#include "storage/spool_chain.h"
#include "storage/spool_codec.h"
#include "storage/spool_segment.h"
#include "storage/spool_slots.h"
#include "tests/fuzz/world.h"

#include <stdio.h>
#include <string.h>

enum { FRAMES = 32 };

/* Any bytes: what reads as records one after the other is the same when it is written anew. */
static void try_segment(struct bytes in)
{
    struct spool_frame frames[FRAMES], frame;
    struct bytes rest = in;
    struct buf again = {0};
    size_t count = 0;
    while (rest.length && spool_segment_next(&rest, &frame, NULL)) {
        HOLDS(frame.key.length <= SPOOL_KEY_BYTES && frame.record.length > 0);
        HOLDS(spool_segment_put(&again, frame.key, frame.record, NULL));
        count++;
    }
    bool sound = rest.length == 0 && count <= FRAMES;
    spool_segment_split(in, sound ? count : FRAMES, frames);
    for (size_t i = 0; sound && i < count; i++)
        HOLDS(frames[i].record.length > 0);
    /* A varint may be written longer than need be, so only the length tells. */
    HOLDS(again.length <= in.length - rest.length);
    buf_done(&again);
}

static struct spool_codec *codec_with_dictionary(void)
{
    static const char content[] = "records of a terminal have much in common: declined, 57, host";
    static struct spool_codec *codec;
    if (!codec)
        HOLDS(spool_codec_open(&codec, NULL) &&
              spool_codec_learn(codec, 1, bytes_of(content, sizeof content - 1), NULL));
    return codec;
}

/* Any bytes as a stored body of some kind. */
static void try_stored(struct bytes in)
{
    struct spool_frame frames[FRAMES];
    int64_t kind = fuzz_byte(&in) % 4, id = fuzz_byte(&in);
    size_t count = 1 + fuzz_byte(&in) % FRAMES;
    HOLDS(spool_codec_split(codec_with_dictionary(), kind, id, in, count, frames, NULL));
    for (size_t i = 0; i < count; i++)
        HOLDS(frames[i].key.length <= SPOOL_KEY_BYTES);
}

/* The body as it would be stored, then changed: no record comes out as another. With `other` it is
 * read as another row's: then none may come out at all, but of a plain one. */
static void try_codec(struct bytes plain, const struct bytes *wanted, size_t count,
                      struct bytes changes)
{
    struct spool_frame frames[FRAMES];
    struct bytes stored = {0};
    struct buf damaged = {0};
    int kind = 0;
    bool other = fuzz_byte(&changes) % 4 == 0, same = true;
    HOLDS(spool_codec_encode(codec_with_dictionary(), 7, plain, count, &kind, &stored, NULL));
    HOLDS(buf_append(&damaged, stored.data, stored.length, NULL));
    while (changes.length >= 3) {
        size_t at = (size_t)fuzz_number(&changes, 2) % damaged.length;
        uint8_t bits = fuzz_byte(&changes);
        damaged.data[at] ^= bits;
        same = same && bits == 0;
    }
    HOLDS(spool_codec_split(codec_with_dictionary(), kind, other ? 8 : 7, buf_bytes(&damaged),
                            count, frames, NULL));
    for (size_t i = 0; i < count; i++) {
        bool given = frames[i].record.length > 0;
        HOLDS(!given || bytes_equal(frames[i].record, wanted[i]));
        HOLDS(given || !same || other);
        HOLDS(!given || !other || !same || kind == SPOOL_CODEC_PLAIN);
    }
    buf_done(&damaged);
}

/* Records of these lengths, then bytes of the body changed: each comes out as it went in, or
 * not at all. */
static void try_damage(struct bytes in)
{
    struct bytes wanted[FRAMES];
    struct spool_frame frames[FRAMES];
    struct buf body = {0}, damaged = {0};
    size_t count = 1 + fuzz_byte(&in) % FRAMES, records = in.length / 2;
    struct bytes content = fuzz_take(&in, records);
    for (size_t i = 0; i < count; i++) {
        struct bytes key = fuzz_take(&content, fuzz_byte(&content) % (SPOOL_KEY_BYTES + 1));
        wanted[i] = fuzz_take(&content, 1 + fuzz_byte(&content));
        if (wanted[i].length == 0)
            wanted[i] = bytes_of("x", 1);
        HOLDS(spool_segment_put(&body, key, wanted[i], NULL));
    }
    try_codec(buf_bytes(&body), wanted, count, in);
    HOLDS(buf_append(&damaged, body.data, body.length, NULL));
    while (in.length >= 3) {
        size_t at = (size_t)fuzz_number(&in, 2) % damaged.length;
        damaged.data[at] ^= fuzz_byte(&in);
    }
    if (in.length && in.data[0] < damaged.length)
        damaged.length -= in.data[0];
    spool_segment_split(buf_bytes(&damaged), count, frames);
    bool same = bytes_equal(buf_bytes(&damaged), buf_bytes(&body));
    for (size_t i = 0; i < count; i++) {
        HOLDS(!same || frames[i].record.length > 0);
        HOLDS(frames[i].record.length == 0 || bytes_equal(frames[i].record, wanted[i]));
    }
    buf_done(&body);
    buf_done(&damaged);
}

static void check_ranges(const struct spool_acked *acked)
{
    uint64_t below = 0, total = 0;
    for (size_t i = 0; i < acked->count; i++) {
        const struct spool_acked_range *range = &acked->ranges[i];
        HOLDS(range->first > below && range->last >= range->first && range->at_ms >= 0);
        HOLDS(spool_acked_next_in(acked, range->first) == range->first);
        HOLDS(spool_acked_next_out(acked, range->first) > range->last);
        below = range->last;
        total += range->last - range->first + 1;
    }
    HOLDS(spool_acked_total(acked) == total && spool_acked_highest(acked) == below);
}

static void try_acked(struct bytes in)
{
    struct spool_acked acked = {0}, again = {0};
    struct buf bytes = {0};
    struct err err = {0};
    uint64_t first = 1 + fuzz_number(&in, 3), span = fuzz_number(&in, 2);
    if (!spool_acked_decode(in, &acked, &err)) {
        HOLDS(err.code == ERR_IO);
        return;
    }
    check_ranges(&acked);
    HOLDS(spool_acked_encode(&acked, &bytes, NULL));
    HOLDS(spool_acked_decode(buf_bytes(&bytes), &again, NULL) && again.count == acked.count);
    HOLDS(spool_acked_total(&again) == spool_acked_total(&acked));
    uint64_t before = spool_acked_total(&acked);
    HOLDS(spool_acked_add(&acked, first, first + span, 1000, NULL));
    check_ranges(&acked);
    HOLDS(spool_acked_total(&acked) >= before);
    HOLDS(spool_acked_keep(&acked, &again, NULL));
    check_ranges(&acked);
    HOLDS(spool_acked_total(&acked) <= spool_acked_total(&again));
    buf_done(&bytes);
    spool_acked_done(&acked);
    spool_acked_done(&again);
}

/* The checksum of a slot put right, so that what it guards is read too. */
static void seal_slot(uint8_t *slot)
{
    enum { CRC_AT = 8, CRC_FROM = 12, HEAD = 64, ENTRY = 32 };
    size_t count = (size_t)slot[12] | (size_t)slot[13] << 8;
    size_t length = HEAD + count % (SPOOL_CHAIN_ENTRIES + 1) * ENTRY;
    uint32_t crc = spool_segment_crc(0, bytes_of(slot + CRC_FROM, length - CRC_FROM));
    memcpy(slot, "MUSTERC1", 8);
    for (unsigned i = 0; i < 4; i++)
        slot[CRC_AT + i] = (uint8_t)(crc >> (8 * i));
}

/* Written down, it reads the same. */
static void check_chain(const struct spool_chain *chain)
{
    struct spool_chain again = {0}, held = *chain;
    HOLDS(chain->count <= SPOOL_CHAIN_ENTRIES && chain->edition > 0);
    HOLDS(memchr(chain->device, 0, sizeof chain->device));
    if (chain->edition == UINT64_MAX)
        return;
    char path[FUZZ_PATH_BYTES];
    (void)fuzz_dir();
    fuzz_path("chain", path);
    HOLDS(spool_chain_write(path, &held, NULL) && held.edition == chain->edition + 1);
    HOLDS(spool_chain_read(path, &again, NULL));
    HOLDS(again.count == chain->count && again.starts == chain->starts);
    HOLDS(strcmp(again.device, chain->device) == 0);
    HOLDS(chain->count == 0 ||
          memcmp(again.entries, chain->entries, chain->count * sizeof *chain->entries) == 0);
    spool_chain_done(&again);
}

/* The first half goes into one slot, the second into the other. */
static void try_chain(struct bytes in)
{
    static uint8_t file[SPOOL_CHAIN_BYTES];
    uint8_t how = fuzz_byte(&in);
    size_t half = in.length / 2;
    struct spool_chain chain = {0};
    struct err err = {0};
    memset(file, 0, sizeof file);
    if (half) {
        memcpy(file, in.data, half);
        memcpy(file + SPOOL_CHAIN_SLOT_BYTES, in.data + half, in.length - half);
    }
    for (unsigned slot = 0; slot < 2; slot++)
        if (how >> slot & 1)
            seal_slot(file + (size_t)slot * SPOOL_CHAIN_SLOT_BYTES);
    size_t length = how & 4 ? in.length : sizeof file;
    if (spool_chain_read(fuzz_file(bytes_of(file, length)), &chain, &err))
        check_chain(&chain);
    else
        HOLDS(err.code == ERR_IO && err.text[0]);
    spool_chain_done(&chain);
}

/* The checksum of the blob put right now and then. Whatever stands in slots, taken one after the
 * other, segments that come out of them have all their bytes. */
static void try_slots(struct bytes in)
{
    static struct spool_slots slots;
    uint8_t body[SPOOL_SLOT_BYTES];
    uint8_t how = fuzz_byte(&in);
    spool_slots_clear(&slots);
    for (int64_t number = 256; in.length > 0 && number < 256 + SPOOL_SLOTS; number++) {
        size_t length = in.length < sizeof body ? in.length : sizeof body;
        struct spool_slot slot;
        memset(body, 0, sizeof body);
        memcpy(body, in.data, length);
        in = bytes_of(in.data + length, in.length - length);
        if (how & 1) {
            uint8_t own[4] = {(uint8_t)number, (uint8_t)(number >> 8)};
            uint32_t crc = spool_segment_crc(0, bytes_of(own, sizeof own));
            crc = spool_segment_crc(crc, bytes_of(body + 4, sizeof body - 4));
            for (unsigned i = 0; i < 4; i++)
                body[i] = (uint8_t)(crc >> (8 * i));
        }
        if (!spool_slot_decode(number, bytes_of(body, sizeof body), &slot))
            continue;
        HOLDS(slot.bytes.length <= SPOOL_SLOT_ROOM && slot.bytes.length <= slot.length);
        if (!spool_slots_take(&slots, &slot, NULL))
            break;
    }
    size_t end = 0;
    for (size_t i = 0; i < slots.count; i++) {
        HOLDS(slots.entries[i].at == end && slots.entries[i].length > 0);
        end += slots.entries[i].length;
    }
    HOLDS(end <= slots.bodies.length && slots.used <= SPOOL_SLOTS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct bytes in) = {try_segment, try_damage, try_acked,
                                                     try_chain,   try_stored, try_slots};
    struct bytes in = bytes_of(data, size);
    if (size == 0)
        return 0;
    size_t which = fuzz_byte(&in) % (sizeof tries / sizeof tries[0]);
    tries[which](in);
    return 0;
}
