/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bare.h"

#include "storage/sqlite.h"

#include <stdlib.h>
#include <string.h>

/* As storage/fleetdb.c. */
enum { CACHE_KB = 16 * 1024, CHECKPOINT_PAGES = 4096, WAL_KEEP_BYTES = 16 * 1024 * 1024 };

#define OWN "device, incarnation, seq, received_ms, at_ms, bound_ms, digest, standing, carried"
enum { OWN_COLUMNS = 9 };

struct bare {
    struct sqlite *sqlite;
    size_t columns;
    struct buf table, insert; /* the texts, which the connection keeps */
};

static bool add(struct buf *text, const char *piece, struct err *err)
{
    return buf_append(text, piece, strlen(piece), err);
}

/* A column without a type takes each value as it is, for no more and no less than one with. */
static bool make_texts(struct bare *bare, struct err *err)
{
    const char *const *names = fleetdb_columns(1, &bare->columns);
    bool done = add(&bare->table, "CREATE TABLE result (id INTEGER PRIMARY KEY, " OWN, err) &&
                add(&bare->insert, "INSERT INTO result (" OWN, err);
    for (size_t i = 0; done && i < bare->columns; i++)
        done = add(&bare->table, ", ", err) && add(&bare->table, names[i], err) &&
               add(&bare->insert, ", ", err) && add(&bare->insert, names[i], err);
    done = done && add(&bare->table, ")", err) && buf_append(&bare->table, "", 1, err) &&
           add(&bare->insert, ") VALUES (?", err);
    for (size_t i = 1; done && i < OWN_COLUMNS + bare->columns; i++)
        done = add(&bare->insert, ", ?", err);
    return done && add(&bare->insert, ")", err) && buf_append(&bare->insert, "", 1, err);
}

bool bare_open(const char *path, struct bare **ret_bare, struct err *err)
{
    struct bare *bare = calloc(1, sizeof *bare);
    if (bare == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the bare rows");
    bool done = make_texts(bare, err);
    const char *table = (const char *)bare->table.data, *insert = (const char *)bare->insert.data;
    static const char *const name = "bare";
    const struct sqlite_settings settings = {
        .path = path,
        .what = "bare rows",
        .application_id = 1,
        .cache_kb = CACHE_KB,
        .checkpoint_pages = CHECKPOINT_PAGES,
        .wal_keep_bytes = WAL_KEEP_BYTES,
        .migrations = &table,
        .migration_names = &name,
        .migration_count = 1,
        .queries = &insert,
        .query_count = 1,
    };
    if (!done || !sqlite_open(&settings, &bare->sqlite, err)) {
        bare_close(bare);
        return false;
    }
    *ret_bare = bare;
    return true;
}

void bare_close(struct bare *bare)
{
    if (bare == NULL)
        return;
    if (bare->sqlite != NULL)
        sqlite_close(bare->sqlite);
    buf_done(&bare->table);
    buf_done(&bare->insert);
    free(bare);
}

bool bare_begin(struct bare *bare, struct err *err)
{
    return sqlite_begin(bare->sqlite, err);
}

bool bare_commit(struct bare *bare, struct err *err)
{
    return sqlite_commit(bare->sqlite, err);
}

static int bind(sqlite3_stmt *statement, int place, const struct fleetdb_value *value)
{
    const char *data = value->data != NULL ? (const char *)value->data : "";
    if (value->type == FLEETDB_INTEGER)
        return sqlite3_bind_int64(statement, place, value->integer);
    if (value->type == FLEETDB_TEXT)
        return sqlite3_bind_text64(statement, place, data, value->length, SQLITE_STATIC,
                                   SQLITE_UTF8);
    return sqlite3_bind_blob64(statement, place, data, value->length, SQLITE_STATIC);
}

bool bare_append(struct bare *bare, const struct fleetdb_record *record, struct err *err)
{
    const int64_t own[OWN_COLUMNS] = {record->device,          (int64_t)record->incarnation,
                                      (int64_t)record->seq,    record->received_ms,
                                      record->at_ms,           record->bound_ms,
                                      (int64_t)record->digest, record->device,
                                      record->device};
    sqlite3_stmt *statement = sqlite_query(bare->sqlite, 0);
    int rc = SQLITE_OK, place = 0;
    for (size_t i = 0; rc == SQLITE_OK && i < OWN_COLUMNS; i++)
        rc = sqlite3_bind_int64(statement, ++place, own[i]);
    for (size_t i = 0; rc == SQLITE_OK && i < bare->columns; i++)
        rc = bind(statement, ++place, &record->values[i]);
    return rc == SQLITE_OK ? sqlite_run(bare->sqlite, statement, err)
                           : err_set(err, ERR_IO, "bare rows: a value cannot be bound");
}
