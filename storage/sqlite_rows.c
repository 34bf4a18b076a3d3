/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/sqlite_rows.h"

#include <stdlib.h>

struct table {
    sqlite3_vtab base; /* SQLite's own part comes first */
    const struct sqlite_rows *rows;
};

struct cursor {
    sqlite3_vtab_cursor base;
    size_t row, count;
};

static const struct sqlite_rows *rows_of(const struct cursor *cursor)
{
    return ((const struct table *)cursor->base.pVtab)->rows;
}

static int connect(sqlite3 *connection, void *aux, int argc, const char *const *argv,
                   sqlite3_vtab **ret_table, char **ret_error)
{
    (void)argc, (void)argv, (void)ret_error;
    const struct sqlite_rows *rows = aux;
    char *sql = sqlite3_mprintf("CREATE TABLE %s (%s)", rows->name, rows->columns);
    struct table *table = calloc(1, sizeof *table);
    int rc = SQLITE_NOMEM;
    if (sql != NULL && table != NULL)
        rc = sqlite3_declare_vtab(connection, sql);
    if (rc == SQLITE_OK)
        rc = sqlite3_vtab_config(connection, SQLITE_VTAB_DIRECTONLY);
    sqlite3_free(sql);
    if (rc != SQLITE_OK) {
        free(table);
        return rc;
    }
    table->rows = rows;
    *ret_table = &table->base;
    return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *base)
{
    free((struct table *)base);
    return SQLITE_OK;
}

/* There is one way to read it: from the first row to the last. */
static int best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    (void)base;
    info->estimatedCost = 1;
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **ret_cursor)
{
    (void)base;
    struct cursor *cursor = calloc(1, sizeof *cursor);
    if (cursor == NULL)
        return SQLITE_NOMEM;
    *ret_cursor = &cursor->base;
    return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *base)
{
    free((struct cursor *)base);
    return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text, int argc,
                  sqlite3_value **argv)
{
    (void)plan, (void)plan_text, (void)argc, (void)argv;
    struct cursor *cursor = (struct cursor *)base;
    const struct sqlite_rows *rows = rows_of(cursor);
    cursor->row = 0;
    cursor->count = rows->count(rows->ctx);
    return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *base)
{
    ((struct cursor *)base)->row++;
    return SQLITE_OK;
}

static int at_end(sqlite3_vtab_cursor *base)
{
    const struct cursor *cursor = (const struct cursor *)base;
    return cursor->row >= cursor->count;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *ret, int place)
{
    const struct cursor *cursor = (const struct cursor *)base;
    const struct sqlite_rows *rows = rows_of(cursor);
    rows->value(rows->ctx, cursor->row, place, ret);
    return SQLITE_OK;
}

static int row_id(sqlite3_vtab_cursor *base, sqlite3_int64 *ret_row)
{
    *ret_row = (sqlite3_int64)((const struct cursor *)base)->row;
    return SQLITE_OK;
}

/* Without xCreate: it is there by its name alone, and never in the schema of a file. */
static const sqlite3_module module = {
    .xConnect = connect,
    .xBestIndex = best_index,
    .xDisconnect = disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = at_end,
    .xColumn = column,
    .xRowid = row_id,
};

bool sqlite_rows_add(sqlite3 *connection, const struct sqlite_rows *rows, struct err *err)
{
    int rc = sqlite3_create_module(connection, rows->name, &module, (void *)rows);
    return rc == SQLITE_OK ||
           err_set(err, ERR_NO_MEMORY, "SQLite: no table %s of rows in memory: %s", rows->name,
                   sqlite3_errstr(rc));
}
