/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_peek.h"

#include "base/file.h"
#include "storage/fleetdb_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { URI_BYTES = PATH_MAX * 3 + 64, PEEK_BUSY_MS = 2000 };

/* A path as SQLite's URIs want it; `out` takes three times as much. */
static void put_escaped(const char *path, char *out)
{
    for (; *path != '\0'; path++) {
        *out++ = *path;
        if (*path != '?' && *path != '#' && *path != '%')
            continue;
        out[-1] = '%';
        hex_encode(path, 1, out);
        out += 2;
    }
    *out = '\0';
}

/* Beside a WAL its changes count, and SQLite takes care of who writes; without one the file is all
 * there is, and nothing at all is made beside it. */
static bool make_uri(const char *path, char uri[URI_BYTES], struct err *err)
{
    char real[PATH_MAX], wal[PATH_MAX + 8], escaped[PATH_MAX * 3 + 1];
    if (realpath(path, real) == NULL)
        return err_errno(err, errno, "fleet database %s", path);
    (void)snprintf(wal, sizeof wal, "%s-wal", real);
    put_escaped(real, escaped);
    (void)snprintf(uri, URI_BYTES, "file:%s?mode=ro%s", escaped,
                   file_exists(wal) ? "" : "&immutable=1");
    return true;
}

static bool failed(sqlite3 *db, const char *path, struct err *err)
{
    int code = sqlite3_errcode(db); /* SQLITE_NOMEM without one */
    return err_set(err,
                   code == SQLITE_NOTADB     ? ERR_INVALID
                   : code == SQLITE_CANTOPEN ? ERR_REFUSED
                                             : ERR_IO,
                   "fleet database %s: %s", path, sqlite3_errmsg(db));
}

static bool number(sqlite3 *db, const char *path, const char *sql, int64_t *ret_value,
                   struct err *err)
{
    sqlite3_stmt *statement = NULL;
    bool ok = sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
              sqlite3_step(statement) == SQLITE_ROW;
    if (ok)
        *ret_value = sqlite3_column_int64(statement, 0);
    else
        (void)failed(db, path, err);
    (void)sqlite3_finalize(statement);
    return ok;
}

static bool walk(sqlite3 *db, const char *path,
                 bool (*each)(void *ctx, uint64_t version, struct bytes envelope, struct err *err),
                 void *ctx, struct err *err)
{
    sqlite3_stmt *all = NULL;
    bool ok = sqlite3_prepare_v2(db, "SELECT version, envelope FROM root ORDER BY version", -1,
                                 &all, NULL) == SQLITE_OK;
    int code = ok ? sqlite3_step(all) : SQLITE_ERROR;
    for (; ok && code == SQLITE_ROW; code = sqlite3_step(all))
        if (!each(ctx, sqlite_column_u64(all, 0), sqlite_column_bytes(all, 1), err)) {
            (void)sqlite3_finalize(all);
            return false;
        }
    ok = code == SQLITE_DONE || failed(db, path, err);
    (void)sqlite3_finalize(all);
    return ok;
}

bool fleetdb_peek_roots(const char *path,
                        bool (*each)(void *ctx, uint64_t version, struct bytes envelope,
                                     struct err *err),
                        void *ctx, struct err *err)
{
    char uri[URI_BYTES];
    sqlite3 *db = NULL;
    int64_t kind = 0, any = 0;
    if (!make_uri(path, uri, err))
        return false;
    bool ok = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK;
    if (!ok)
        (void)failed(db, path, err);
    else
        (void)sqlite3_busy_timeout(db, PEEK_BUSY_MS);
    ok = ok && number(db, path, "PRAGMA application_id", &kind, err) &&
         number(db, path, "SELECT count(*) FROM sqlite_schema WHERE name = 'root'", &any, err);
    if (ok && kind != FLEETDB_APPLICATION_ID)
        ok = err_set(err, ERR_INVALID, "%s is not a fleet database", path);
    ok = ok && (any == 0 || walk(db, path, each, ctx, err));
    (void)sqlite3_close(db);
    return ok;
}
