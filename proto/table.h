/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_TABLE_H
#define PROTO_TABLE_H

#include "base/buf.h"

/*
 * Documents that are tables: UTF-8 (RFC 3629), tab-separated; a header line of different, non-empty
 * names and at least one row; every row has as many columns; no byte order mark, no NUL, no empty
 * line; lines end in LF or CRLF, the last may go without. ERR_INVALID names the row (the header is
 * row 1) and the column.
 */
enum { TABLE_COLUMNS_MAX = 64 };

struct table_lines {
    struct bytes rest;
    size_t row; /* of the line last given, from 1 */
};

/* The next line without its end; false when there is none. */
bool table_line(struct table_lines *lines, struct bytes *ret_line);
/* No byte order mark, which would be a part of the first name; spreadsheets like to write one. */
bool table_start_check(struct bytes content, struct err *err) MUSTER_CHECK;
/* Text without control characters but the tab; `row` and the byte's place go into the error. */
bool table_line_check(struct bytes line, size_t row, struct err *err) MUSTER_CHECK;

/* Looks at each row after the header, with as many cells as there are columns. */
struct table_check {
    bool (*header)(struct table_check *check, const struct bytes *names, size_t count,
                   struct err *err);
    bool (*row)(struct table_check *check, const struct bytes *cells, size_t row, struct err *err);
};

/* `check` NULL: any table. */
bool table_check(struct bytes content, struct table_check *check, struct err *err) MUSTER_CHECK;

#endif
