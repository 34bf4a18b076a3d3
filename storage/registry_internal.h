/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REGISTRY_INTERNAL_H
#define STORAGE_REGISTRY_INTERNAL_H

#include "base/file.h"
#include "storage/registry.h"

enum { REGISTRY_DIR_BYTES = 512 };

struct registry {
    char dir[REGISTRY_DIR_BYTES];
    char floors[REGISTRY_PATH_BYTES]; /* the second place of the floors */
    void (*digest)(struct bytes data, uint8_t ret_digest[32]);
};

/* <dir>/<folder>/<name>; `folder` may be NULL. */
bool registry_path(const struct registry *registry, const char *folder, const char *name,
                   char *path, struct err *err) MUSTER_CHECK;

bool registry_is_folder(const char *path); /* itself, not what a link leads to */
/* A folder that is there, whatever file or link stood in its place. */
bool registry_folder(const char *path, bool *mended, struct err *err) MUSTER_CHECK;

/*
 * A sheet is a small text file of the registry's own: lines of tab-separated fields, and a last
 * line "sum <hex>" over everything before it.
 */
enum { SHEET_LIMIT_BYTES = 256 * 1024, SHEET_FIELDS = 16 };

bool sheet_line(struct buf *sheet, struct err *err, const char *fmt, ...) MUSTER_PRINTF(3, 4);
bool sheet_sum(const struct registry *registry, struct buf *sheet, struct err *err) MUSTER_CHECK;
/* Adds the sum and writes it. */
bool sheet_write(const struct registry *registry, const char *path, struct buf *sheet,
                 struct err *err) MUSTER_CHECK;
/* ERR_NOT_FOUND: no such file; ERR_INVALID: the sum is wrong. `ret_sheet` is NUL-ended text
 * without the sum; the caller calls buf_done. */
bool sheet_read(const struct registry *registry, const char *path, struct buf *ret_sheet,
                struct err *err) MUSTER_CHECK;
/* Cuts the next line off `*rest` into its fields, in place; returns how many, 0 at the end. */
size_t sheet_next(char **rest, char *fields[SHEET_FIELDS]);
bool sheet_number(const char *field, uint64_t *ret_value) MUSTER_CHECK;
bool sheet_digest(const char *field, uint8_t ret_digest[32]) MUSTER_CHECK;

#endif
