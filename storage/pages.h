/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_PAGES_H
#define STORAGE_PAGES_H

#include "base/buf.h"

/*
 * The pages of an SQLite database with its WAL, read without SQLite: for one that SQLite calls
 * damaged. Nothing is written. A page belongs to the table that its chain of parents in the pointer
 * map ends in, so a table's leaves are found when the interior pages above them are gone; where the
 * pointer map itself is gone, what is left of the interior pages names them. Pages on the freelist,
 * which may hold rows deleted long ago, are never read. The file must keep a pointer map
 * (auto_vacuum). Format: https://www.sqlite.org/fileformat2.html
 */
struct pages;

/* `page_bytes` is believed where the header makes no sense. */
bool pages_open(const char *path, uint32_t page_bytes, struct pages **ret_pages,
                struct err *err) MUSTER_CHECK;
void pages_close(struct pages *pages);

/* Whether committed transactions stand in the database's WAL behind a frame that does not add up:
 * SQLite would take it for the torn end of a power cut and leave them out without a word. */
bool pages_wal_damaged(const char *path, uint32_t page_bytes, bool *ret_damaged,
                       struct err *err) MUSTER_CHECK;

enum { PAGES_COLUMNS = 8 };

struct pages_value {
    int64_t integer;
    struct bytes data;
    bool is_data, is_null;
};

struct pages_row {
    int64_t rowid; /* 0 in a table without */
    size_t count;
    struct pages_value columns[PAGES_COLUMNS];
};

struct pages_place {
    uint32_t page;
    uint16_t index;
};

/* Calls `each` with every row of the table at `root` that can be read, in no order; those longer
 * than `max_bytes` cannot. What does not add up is passed over. A false from `each` ends it. */
bool pages_rows(struct pages *pages, uint32_t root, size_t max_bytes,
                bool (*each)(void *ctx, struct pages_place place, const struct pages_row *row,
                             struct err *err),
                void *ctx, struct err *err) MUSTER_CHECK;
/* One of them again; it is good until the next call. */
bool pages_row(struct pages *pages, struct pages_place place, size_t max_bytes,
               struct pages_row *ret_row);

#endif
