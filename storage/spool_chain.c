/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_chain.h"

#include "base/file.h"
#include "storage/spool_segment.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MAGIC_BYTES = 8,
    CRC_AT = MAGIC_BYTES,
    CRC_FROM = CRC_AT + 4, /* covers from here on */
    COUNT_AT = CRC_FROM,
    EDITION_AT = COUNT_AT + 4,
    STARTS_AT = EDITION_AT + 8,
    DEVICE_AT = STARTS_AT + 8,
    HEAD_BYTES = DEVICE_AT + SPOOL_CHAIN_DEVICE_BYTES,
    ENTRY_BYTES = 8 * (1 + SPOOL_LANES),
    FILE_MODE = 0600,
};

_Static_assert(HEAD_BYTES + SPOOL_CHAIN_ENTRIES * ENTRY_BYTES <= SPOOL_CHAIN_SLOT_BYTES,
               "a full chain fits into its slot");

static const uint8_t magic[MAGIC_BYTES] = {'M', 'U', 'S', 'T', 'E', 'R', 'C', '2'};
static const uint8_t magic_before[MAGIC_BYTES] = {'M', 'U', 'S', 'T', 'E', 'R', 'C', '1'};
enum { NUMBER_SHIFT = 40 };
static const uint32_t settled_bit = UINT32_C(1) << 31;
#define CEILING_MASK ((UINT64_C(1) << NUMBER_SHIFT) - 1)

static void put_int(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_int(const uint8_t *in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

/* Bytes that the slot takes up if it is sound, 0 if not. */
static size_t slot_length(struct bytes slot, unsigned number)
{
    if (slot.length < HEAD_BYTES || (memcmp(slot.data, magic, MAGIC_BYTES) != 0 &&
                                     memcmp(slot.data, magic_before, MAGIC_BYTES) != 0))
        return 0;
    uint64_t count = get_int(slot.data + COUNT_AT, 4) & ~settled_bit;
    if (count > SPOOL_CHAIN_ENTRIES || count > (slot.length - HEAD_BYTES) / ENTRY_BYTES)
        return 0;
    size_t length = HEAD_BYTES + (size_t)count * ENTRY_BYTES;
    if (spool_segment_crc(0, bytes_of(slot.data + CRC_FROM, length - CRC_FROM)) !=
        get_int(slot.data + CRC_AT, 4))
        return 0;
    uint64_t edition = get_int(slot.data + EDITION_AT, 8);
    return edition > 0 && edition % 2 == number ? length : 0;
}

/* The newer sound slot; empty if there is none. */
static struct bytes newest_slot(struct bytes file)
{
    struct bytes newest = {0};
    for (unsigned i = 0; i < 2 && file.length > (size_t)i * SPOOL_CHAIN_SLOT_BYTES; i++) {
        size_t begin = (size_t)i * SPOOL_CHAIN_SLOT_BYTES;
        size_t rest = file.length - begin;
        struct bytes slot = bytes_of(file.data + begin,
                                     rest < SPOOL_CHAIN_SLOT_BYTES ? rest : SPOOL_CHAIN_SLOT_BYTES);
        slot.length = slot_length(slot, i);
        if (slot.length > 0 && (newest.length == 0 || get_int(slot.data + EDITION_AT, 8) >
                                                          get_int(newest.data + EDITION_AT, 8)))
            newest = slot;
    }
    return newest;
}

static bool parse(struct bytes slot, struct spool_chain *ret_chain, struct err *err)
{
    struct spool_chain chain = {
        .starts = get_int(slot.data + STARTS_AT, 8),
        .count = (slot.length - HEAD_BYTES) / ENTRY_BYTES,
        .edition = get_int(slot.data + EDITION_AT, 8),
        .settled = (get_int(slot.data + COUNT_AT, 4) & settled_bit) != 0,
        .closes = memcmp(slot.data, magic, MAGIC_BYTES) == 0,
    };
    memcpy(chain.device, slot.data + DEVICE_AT, SPOOL_CHAIN_DEVICE_BYTES);
    chain.entries = calloc(chain.count + 1, sizeof *chain.entries);
    if (chain.entries == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    const uint8_t *in = slot.data + HEAD_BYTES;
    for (size_t i = 0; i < chain.count; i++, in += ENTRY_BYTES) {
        chain.entries[i].incarnation = get_int(in, 8);
        for (unsigned lane = 0; lane < SPOOL_LANES; lane++)
            chain.entries[i].ceiling[lane] = get_int(in + 8 * (1 + lane), 8);
        if (chain.closes)
            chain.entries[i].number = (uint32_t)(chain.entries[i].ceiling[0] >> NUMBER_SHIFT);
        chain.entries[i].ceiling[0] &= CEILING_MASK;
    }
    *ret_chain = chain;
    return true;
}

bool spool_chain_of(struct bytes file, struct spool_chain *ret_chain, struct err *err)
{
    struct bytes slot = newest_slot(file);
    return slot.length > 0 ? parse(slot, ret_chain, err)
                           : err_set(err, ERR_IO, "neither slot is sound");
}

bool spool_chain_read(const char *path, struct spool_chain *ret_chain, struct err *err)
{
    struct buf file = {0};
    struct err why = {0};
    if (!file_read(path, SPOOL_CHAIN_BYTES, &file, &why)) {
        bool known = why.code == ERR_NOT_FOUND || why.code == ERR_NO_MEMORY;
        return err_set(err, known ? why.code : ERR_IO, "chain of incarnations: %s", why.text);
    }
    bool ok = spool_chain_of(buf_bytes(&file), ret_chain, err);
    buf_done(&file);
    return ok || err_context(err, "chain of incarnations %s", path);
}

/* Fills `slot`, which is all zeros; returns the bytes used. */
static size_t format(const struct spool_chain *chain, uint64_t edition, uint8_t *slot)
{
    size_t count = chain->count < SPOOL_CHAIN_ENTRIES ? chain->count : SPOOL_CHAIN_ENTRIES;
    memcpy(slot, magic, MAGIC_BYTES);
    put_int(slot + COUNT_AT, count | (chain->settled ? settled_bit : 0), 4);
    put_int(slot + EDITION_AT, edition, 8);
    put_int(slot + STARTS_AT, chain->starts, 8);
    memcpy(slot + DEVICE_AT, chain->device, strlen(chain->device));
    uint8_t *out = slot + HEAD_BYTES;
    for (size_t i = chain->count - count; i < chain->count; i++, out += ENTRY_BYTES) {
        put_int(out, chain->entries[i].incarnation, 8);
        for (unsigned lane = 0; lane < SPOOL_LANES; lane++)
            put_int(out + 8 * (1 + lane), chain->entries[i].ceiling[lane], 8);
        put_int(out + 8,
                (chain->entries[i].ceiling[0] & CEILING_MASK) | (uint64_t)chain->entries[i].number
                                                                    << NUMBER_SHIFT,
                8);
    }
    size_t length = HEAD_BYTES + count * ENTRY_BYTES;
    put_int(slot + CRC_AT, spool_segment_crc(0, bytes_of(slot + CRC_FROM, length - CRC_FROM)), 4);
    return length;
}

bool spool_chain_write(const char *path, struct spool_chain *chain, struct err *err)
{
    if (memchr(chain->device, '\0', sizeof chain->device) == NULL)
        return err_set(err, ERR_INVALID, "chain of incarnations %s: device name too long", path);
    uint64_t edition = chain->edition + 1;
    struct spool_chain held = {0};
    struct err why = {0};
    if (chain->edition == 0 && spool_chain_read(path, &held, &why))
        edition = held.edition + 1;
    spool_chain_done(&held);
    if (why.code == ERR_NO_MEMORY)
        return err_set(err, why.code, "%s", why.text);
    uint8_t *file = calloc(1, SPOOL_CHAIN_BYTES);
    if (file == NULL)
        return err_set(err, ERR_NO_MEMORY, "chain of incarnations %s: out of memory", path);
    size_t at = edition % 2 * SPOOL_CHAIN_SLOT_BYTES;
    size_t length = format(chain, edition, file + at);
    struct stat st;
    bool fits = lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == SPOOL_CHAIN_BYTES;
    bool ok = fits ? file_patch(path, at, bytes_of(file + at, length), err)
                   : file_write(path, bytes_of(file, SPOOL_CHAIN_BYTES), FILE_MODE, err);
    free(file);
    if (!ok)
        return err_context(err, "chain of incarnations");
    chain->edition = edition;
    return true;
}

void spool_chain_done(struct spool_chain *chain)
{
    free(chain->entries);
    *chain = (struct spool_chain){0};
}
