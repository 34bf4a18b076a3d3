/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_TABLEDIFF_H
#define FLEET_TABLEDIFF_H

#include "base/buf.h"

/*
 * Two versions of a text, compared row by row. In a table (tab-separated, one header line) a row is
 * told from others by one column, in settings (INI) by section and name; rows that share it are
 * taken in their order. Pure; what it gives points into what it was given.
 */
enum tablediff_form { TABLEDIFF_TABLE, TABLEDIFF_SETTINGS };

enum tablediff_what { TABLEDIFF_ADDED, TABLEDIFF_REMOVED, TABLEDIFF_CHANGED };

struct tablediff_row {
    enum tablediff_what what;
    struct bytes section;       /* settings: where it stands; else empty */
    struct bytes before, after; /* the line, without its end; empty where there is none */
};

struct tablediff {
    struct tablediff_row *rows; /* by section and key */
    size_t count;
    size_t added, removed, changed, same;
    struct bytes header_before, header_after; /* of a table */
    bool reordered; /* the rows are the same, the bytes are not: order, or what is between rows */
};

/* `key`: the column's name; NULL: the first one. ERR_NOT_FOUND: one of the two has no such column.
 * ERR_INVALID: more rows than can be compared. Without `before` (length 0) all is added. */
bool tablediff_make(enum tablediff_form form, const char *key, struct bytes before,
                    struct bytes after, struct tablediff *ret_diff, struct err *err) MUSTER_CHECK;
void tablediff_done(struct tablediff *diff);

#endif
