/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SQLITE_H
#define STORAGE_SQLITE_H

#include "base/buf.h"
#include "storage/sqlite_rows.h"

#include <sqlite3.h>

/*
 * A thin helper over stock SQLite, for the stores in this folder only. It opens one connection
 * (WAL, synchronous=FULL), brings the schema up to date, prepares the store's statements, and
 * turns every failure into a text with path, what was done, and why.
 *
 * ERR_FULL: disk, quota or max_bytes; the transaction is rolled back. ERR_UNAVAILABLE: another
 * process has it. ERR_IO: damaged or unreadable. After a failed fsync nobody knows what is on the
 * disk: every later call is refused until the store is opened anew.
 */
struct sqlite;

struct sqlite_settings {
    const char *path;
    const char *what;        /* for error texts: "spool", "fleet database" */
    int32_t application_id;  /* marks the file; a file of another kind is refused */
    int page_bytes;          /* of a new file; 0: SQLite's own choice */
    int cache_kb;            /* 0: SQLite's own choice */
    int checkpoint_pages;    /* WAL length that starts a checkpoint; 0: 1000 */
    int64_t wal_keep_bytes;  /* the WAL is cut back to this; 0: to nothing */
    bool exclusive;          /* one process, no shared memory file */
    bool incremental_vacuum; /* of a new file */
    bool keep_wal; /* a close leaves the files as they are, and so does an open that fails:
                    * damage is evidence, and another database may stand under the name
                    * by now */
    int busy_ms;   /* how long to wait for another process's lock */
    /* Numbered migrations in order, as muster_embed makes them. Append only. */
    const char *const *migrations;
    const char *const *migration_names;
    unsigned migration_count;
    int64_t tell_every_ms; /* so often one that takes long says that it goes on; 0: 30 s */
    /* Statements, indexed by the store's own enum; parameters are named (":lane"). */
    const char *const *queries;
    unsigned query_count;
    const struct sqlite_rows *const *rows; /* tables in memory that the statements read */
    unsigned rows_count;
    bool *damaged; /* becomes true when SQLite calls the file damaged, now or later; NULL: nobody
                    * asks. A failing disk is no damage. */
};

/* Each missing migration is a transaction of its own, its number kept in user_version. A newer
 * schema than ours is ERR_REFUSED and not touched. */
bool sqlite_open(const struct sqlite_settings *settings, struct sqlite **ret_db,
                 struct err *err) MUSTER_CHECK;
/* Another connection to the same database, which only reads, and reads what was committed when it
 * was opened. */
bool sqlite_open_snapshot(const struct sqlite *of, struct sqlite **ret_db,
                          struct err *err) MUSTER_CHECK;
void sqlite_close(struct sqlite *db);
/* With `keep_wal`: the close that follows writes the WAL back and removes it all the same. */
void sqlite_fold_wal(struct sqlite *db);
/* False after a failed fsync or rollback: every call is refused. */
bool sqlite_usable(const struct sqlite *db, struct err *err);

/* BEGIN IMMEDIATE. commit rolls back when it fails; rollback without a transaction is nothing. */
bool sqlite_begin(struct sqlite *db, struct err *err) MUSTER_CHECK;
bool sqlite_commit(struct sqlite *db, struct err *err) MUSTER_CHECK;
void sqlite_rollback(struct sqlite *db);

/* The prepared statement, reset, nothing bound. */
sqlite3_stmt *sqlite_query(struct sqlite *db, unsigned query);
/* A statement that is not one of the store's own; the caller finalizes it. */
bool sqlite_compile(struct sqlite *db, const char *sql, sqlite3_stmt **ret_statement,
                    struct err *err) MUSTER_CHECK;
/* Binding by name; what a pointer names must live until the statement is reset. A name that the
 * statement does not have is a bug and aborts. */
void sqlite_bind_int(sqlite3_stmt *statement, const char *name, int64_t value);
void sqlite_bind_real(sqlite3_stmt *statement, const char *name, double value);
void sqlite_bind_text(sqlite3_stmt *statement, const char *name,
                      const char *value); /* NULL: null */
/* Text that is not NUL-ended. */
void sqlite_bind_words(sqlite3_stmt *statement, const char *name, struct bytes value);
void sqlite_bind_bytes(sqlite3_stmt *statement, const char *name, struct bytes value);
/* A u64 keeps its bits in SQLite's signed integer. */
static inline void sqlite_bind_u64(sqlite3_stmt *statement, const char *name, uint64_t value)
{
    sqlite_bind_int(statement, name, (int64_t)value);
}

/* Next row: true with *ret_row telling whether there is one; reset after the last and on failure.
 * Who stops before the last calls sqlite3_reset. */
bool sqlite_row(struct sqlite *db, sqlite3_stmt *statement, bool *ret_row,
                struct err *err) MUSTER_CHECK;
/* All rows of a bound statement; it is reset afterwards in every case. */
bool sqlite_each(struct sqlite *db, sqlite3_stmt *statement,
                 bool (*each)(void *ctx, sqlite3_stmt *row, struct err *err), void *ctx,
                 struct err *err) MUSTER_CHECK;
/* To its end, ignoring rows. */
bool sqlite_run(struct sqlite *db, sqlite3_stmt *statement, struct err *err) MUSTER_CHECK;
/* First column of the first row as an integer; `missing` if there is no row or it is null. */
bool sqlite_value(struct sqlite *db, sqlite3_stmt *statement, int64_t missing, int64_t *ret_value,
                  struct err *err) MUSTER_CHECK;
/* Text that may hold several statements, without parameters. */
bool sqlite_exec(struct sqlite *db, const char *sql, struct err *err) MUSTER_CHECK;
/* One formatted PRAGMA (sqlite3_mprintf's formats) and its integer answer. */
bool sqlite_pragma(struct sqlite *db, int64_t *ret_value, struct err *err, const char *fmt,
                   ...) MUSTER_CHECK;

struct bytes sqlite_column_bytes(sqlite3_stmt *statement, int column);
/* Never NULL; "" for null. */
const char *sqlite_column_text(sqlite3_stmt *statement, int column);
static inline uint64_t sqlite_column_u64(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

/* Rows that the last INSERT, UPDATE or DELETE changed. */
int64_t sqlite_changes(struct sqlite *db);
/* And all of them since it was opened. */
int64_t sqlite_all_changes(struct sqlite *db);
/* The row that the last INSERT has made. */
int64_t sqlite_last_row(struct sqlite *db);
const char *sqlite_path(const struct sqlite *db);
/* Of the file and its WAL. */
int64_t sqlite_size_bytes(const struct sqlite *db);

#endif
