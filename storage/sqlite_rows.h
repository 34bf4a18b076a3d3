/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SQLITE_ROWS_H
#define STORAGE_SQLITE_ROWS_H

#include "base/err.h"

#include <sqlite3.h>
#include <stddef.h>

/*
 * A table whose rows are in memory, which statements read by its name: INSERT ... SELECT takes many
 * rows for the price of one statement. Only the store's own statements see it, no view or trigger
 * does (SQLite's documentation, "The Virtual Table Mechanism": eponymous-only tables).
 */
struct sqlite_rows {
    const char *name;
    const char *columns; /* "bucket, acquirer, ..." */
    size_t (*count)(void *ctx);
    /* Puts one value into `ret`, with sqlite3_result_...; what that names must live until the
     * statement is reset. Nothing put is null. */
    void (*value)(void *ctx, size_t row, int column, sqlite3_context *ret);
    void *ctx;
};

/* `rows` must live as long as the connection. Before a statement that names it is prepared. */
bool sqlite_rows_add(sqlite3 *connection, const struct sqlite_rows *rows,
                     struct err *err) MUSTER_CHECK;

#endif
