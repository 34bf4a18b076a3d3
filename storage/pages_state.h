/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_PAGES_STATE_H
#define STORAGE_PAGES_STATE_H

#include "storage/pages.h"

/* What the pages*.c files share; nobody else includes it. */

enum {
    PAGES_MAX = 1 << 22,
    PAGES_SIZE_MIN = 512,
    PAGES_SIZE_MAX = 65536,
};

/* Kinds of page in the pointer map. */
enum pages_kind {
    PAGES_UNKNOWN = 0,
    PAGES_ROOT = 1,
    PAGES_FREE = 2,
    PAGES_OVERFLOW_FIRST = 3,
    PAGES_OVERFLOW_NEXT = 4,
    PAGES_TREE = 5,
};

enum pages_flag {
    PAGES_INDEX_INTERIOR = 0x02,
    PAGES_TABLE_INTERIOR = 0x05,
    PAGES_INDEX_LEAF = 0x0a,
    PAGES_TABLE_LEAF = 0x0d,
};

struct pages {
    char *path;
    int fd, wal;
    uint32_t page_bytes, count;
    uint64_t file_bytes;
    bool wal_damaged;
    unsigned searches_left;
    /* Of each page, [number]: */
    uint32_t *frame;  /* the newest sound one in the WAL, from 1; 0: none */
    uint32_t *parent; /* as the pointer map has it */
    uint8_t *kind;
    uint8_t *page;     /* the page read last */
    uint8_t *overflow; /* the same for the pages that continue a row */
    struct buf row;
};

static inline uint32_t pages_u32(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}
static inline uint32_t pages_u16(const uint8_t *in)
{
    return (uint32_t)in[0] << 8 | in[1];
}

/* false: not there. */
bool pages_read(const struct pages *pages, uint32_t number, uint8_t *out);
/* Fills `frame` from the WAL, if there is one. */
bool pages_read_wal(struct pages *pages, struct err *err) MUSTER_CHECK;
/* Finds the places of pages whose entry in the map is gone, from what is left of those above. */
void pages_repair_map(struct pages *pages);
/* The root page that the chain of parents ends in; 0: none. */
uint32_t pages_owner(const struct pages *pages, uint32_t number);

#endif
