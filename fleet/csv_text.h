/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CSV_TEXT_H
#define FLEET_CSV_TEXT_H

#include "base/buf.h"

#include <stdio.h>

/* Comma-separated values as RFC 4180 has them, read by libcsv: quotes inside a cell that is not
 * quoted are refused, lines may end with CR LF or LF, a UTF-8 mark in front is passed over, empty
 * lines are no rows, blanks around a cell that is not quoted are none of it. */
enum { CSV_CELLS_MAX = 64, CSV_CELL_BYTES = 64 * 1024 };

/* Gives each row with the line that it begins on, from 1; cells are UTF-8 and live during the call.
 * ERR_INVALID says on which line the text is not what it should be. False from `row` ends it. */
bool csv_read(struct bytes text,
              bool (*row)(void *ctx, size_t line, const char *const *cells, size_t count,
                          struct err *err),
              void *ctx, struct err *err) MUSTER_CHECK;

/* One row with its CR LF, quoted where it must be; errors are the stream's. */
void csv_write_row(FILE *out, const char *const *cells, size_t count);

#endif
