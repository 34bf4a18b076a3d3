/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/sqlite_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sqlite {
    sqlite3 *connection;
    char *path;
    const char *what;
    unsigned query_count;
    int checkpoint_pages;
    bool unusable; /* a sync or a rollback failed */
    bool opening;  /* a statement that makes no sense to the schema means another schema */
    bool *damaged;
    sqlite3_stmt *rollback;
    sqlite3_stmt *statements[];
};

static enum err_code code_of(int rc, int errnum)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_UNAVAILABLE;
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
        return ERR_INVALID;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        /* SQLite itself takes only ENOSPC for a full disk. */
        return errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG ? ERR_FULL : ERR_IO;
    default:
        return ERR_IO;
    }
}

static bool sync_failed(int rc)
{
    return rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC;
}

/* errno was 0 before the call: a failed COMMIT does not tell sqlite3_system_errno. */
static bool fail(struct sqlite *db, int rc, const char *doing, struct err *err)
{
    int errnum = errno;
    int extended = sqlite3_extended_errcode(db->connection);
    if (sqlite3_system_errno(db->connection) != 0)
        errnum = sqlite3_system_errno(db->connection);
    if ((extended & 0xff) != (rc & 0xff))
        extended = rc;
    if (sync_failed(extended))
        db->unusable = true;
    int kind = rc & 0xff;
    if (db->damaged != NULL &&
        (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB || (kind == SQLITE_ERROR && db->opening)))
        *db->damaged = true;
    bool io = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
    /* A statement may be longer than all that is kept of an error, and would hide why. */
    return err_set(err, code_of(extended, errnum), "%s %s: %.120s: %s (SQLite %d)%s%s", db->what,
                   db->path, doing, sqlite3_errmsg(db->connection), extended,
                   io && errnum != 0 ? ": " : "", io && errnum != 0 ? strerror(errnum) : "");
}

bool sqlite_usable(const struct sqlite *db, struct err *err)
{
    if (!db->unusable)
        return true;
    return err_set(err, ERR_IO,
                   "%s %s: an fsync or a rollback failed earlier; close and open it again",
                   db->what, db->path);
}

bool sqlite_exec_named(struct sqlite *db, const char *sql, const char *doing, struct err *err)
{
    if (!sqlite_usable(db, err))
        return false;
    errno = 0;
    int rc = sqlite3_exec(db->connection, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK || fail(db, rc, doing, err);
}

bool sqlite_exec(struct sqlite *db, const char *sql, struct err *err)
{
    return sqlite_exec_named(db, sql, sql, err);
}

bool sqlite_begin(struct sqlite *db, struct err *err)
{
    return sqlite_exec(db, "BEGIN IMMEDIATE", err);
}

bool sqlite_commit(struct sqlite *db, struct err *err)
{
    if (sqlite_exec(db, "COMMIT", err))
        return true;
    sqlite_rollback(db);
    return false;
}

/* Prepared at open: to parse it takes memory, and a lack of that may be why. What could not be
 * rolled back must not be seen, and not be committed with what comes later. */
void sqlite_rollback(struct sqlite *db)
{
    if (sqlite3_get_autocommit(db->connection))
        return;
    (void)sqlite3_step(db->rollback);
    (void)sqlite3_reset(db->rollback);
    if (!sqlite3_get_autocommit(db->connection))
        db->unusable = true;
}

sqlite3_stmt *sqlite_query(struct sqlite *db, unsigned query)
{
    if (query >= db->query_count)
        abort();
    (void)sqlite3_reset(db->statements[query]);
    (void)sqlite3_clear_bindings(db->statements[query]);
    return db->statements[query];
}

static void bound(int rc)
{
    if (rc != SQLITE_OK)
        abort();
}

static int parameter(sqlite3_stmt *statement, const char *name)
{
    int index = sqlite3_bind_parameter_index(statement, name);
    if (index == 0)
        abort();
    return index;
}

void sqlite_bind_int(sqlite3_stmt *statement, const char *name, int64_t value)
{
    bound(sqlite3_bind_int64(statement, parameter(statement, name), value));
}

void sqlite_bind_real(sqlite3_stmt *statement, const char *name, double value)
{
    bound(sqlite3_bind_double(statement, parameter(statement, name), value));
}

void sqlite_bind_text(sqlite3_stmt *statement, const char *name, const char *value)
{
    bound(sqlite3_bind_text(statement, parameter(statement, name), value, -1, SQLITE_STATIC));
}

void sqlite_bind_words(sqlite3_stmt *statement, const char *name, struct bytes value)
{
    const char *text = value.data != NULL ? (const char *)value.data : "";
    bound(sqlite3_bind_text64(statement, parameter(statement, name), text, value.length,
                              SQLITE_STATIC, SQLITE_UTF8));
}

void sqlite_bind_bytes(sqlite3_stmt *statement, const char *name, struct bytes value)
{
    /* A null pointer would bind NULL, not the empty blob. */
    const void *data = value.data != NULL ? (const void *)value.data : "";
    bound(sqlite3_bind_blob64(statement, parameter(statement, name), data, value.length,
                              SQLITE_STATIC));
}

bool sqlite_row(struct sqlite *db, sqlite3_stmt *statement, bool *ret_row, struct err *err)
{
    if (!sqlite_usable(db, err))
        return false;
    errno = 0;
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        if (rc == SQLITE_DONE)
            (void)sqlite3_reset(statement);
        *ret_row = rc == SQLITE_ROW;
        return true;
    }
    (void)fail(db, rc, sqlite3_sql(statement), err);
    (void)sqlite3_reset(statement);
    return false;
}

bool sqlite_each(struct sqlite *db, sqlite3_stmt *statement,
                 bool (*each)(void *ctx, sqlite3_stmt *row, struct err *err), void *ctx,
                 struct err *err)
{
    bool more = false;
    while (sqlite_row(db, statement, &more, err)) {
        if (!more)
            return true;
        if (!each(ctx, statement, err)) {
            (void)sqlite3_reset(statement);
            return false;
        }
    }
    return false;
}

bool sqlite_run(struct sqlite *db, sqlite3_stmt *statement, struct err *err)
{
    bool row = true;
    while (row) {
        if (!sqlite_row(db, statement, &row, err))
            return false;
    }
    return true;
}

bool sqlite_value(struct sqlite *db, sqlite3_stmt *statement, int64_t missing, int64_t *ret_value,
                  struct err *err)
{
    bool row = false;
    if (!sqlite_row(db, statement, &row, err))
        return false;
    bool null = !row || sqlite3_column_type(statement, 0) == SQLITE_NULL;
    *ret_value = null ? missing : sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return true;
}

/* For SQL that is run once, at open. */
static bool value_of(struct sqlite *db, const char *sql, int64_t *ret_value, struct err *err)
{
    if (!sqlite_usable(db, err))
        return false;
    sqlite3_stmt *statement = NULL;
    errno = 0;
    int rc = sqlite3_prepare_v2(db->connection, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK)
        return fail(db, rc, sql, err);
    bool ok = sqlite_value(db, statement, 0, ret_value, err);
    (void)sqlite3_finalize(statement);
    return ok;
}

bool sqlite_pragma(struct sqlite *db, int64_t *ret_value, struct err *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *sql = sqlite3_vmprintf(fmt, args);
    va_end(args);
    if (sql == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s %s: out of memory", db->what, db->path);
    bool ok = value_of(db, sql, ret_value, err);
    sqlite3_free(sql);
    return ok;
}

struct bytes sqlite_column_bytes(sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);
    return bytes_of(data, (size_t)sqlite3_column_bytes(statement, column));
}

const char *sqlite_column_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    return text != NULL ? (const char *)text : "";
}

int64_t sqlite_changes(struct sqlite *db)
{
    return sqlite3_changes64(db->connection);
}

int64_t sqlite_last_row(struct sqlite *db)
{
    return sqlite3_last_insert_rowid(db->connection);
}

int64_t sqlite_all_changes(struct sqlite *db)
{
    return sqlite3_total_changes64(db->connection);
}

sqlite3 *sqlite_connection(struct sqlite *db)
{
    return db->connection;
}

const char *sqlite_path(const struct sqlite *db)
{
    return db->path;
}

int64_t sqlite_size_bytes(const struct sqlite *db)
{
    char wal[4096];
    struct stat file;
    int64_t size = 0;
    if (stat(db->path, &file) == 0)
        size += file.st_size;
    int n = snprintf(wal, sizeof wal, "%s-wal", db->path);
    if (n > 0 && (size_t)n < sizeof wal && stat(wal, &file) == 0)
        size += file.st_size;
    return size;
}

/* SQLite's own hook would let a failed fsync of the database file pass unseen. Any other failure
 * of a checkpoint leaves all in the WAL, and the next one tries again. */
static int after_commit(void *ctx, sqlite3 *connection, const char *schema, int wal_pages)
{
    struct sqlite *db = ctx;
    if (wal_pages < db->checkpoint_pages)
        return SQLITE_OK;
    int rc = sqlite3_wal_checkpoint_v2(connection, schema, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (sync_failed(rc))
        db->unusable = true;
    return SQLITE_OK;
}

/* Holds only for a file without tables; setting the vacuum mode of another would write to it. */
static bool configure_new(struct sqlite *db, const struct sqlite_settings *settings,
                          struct err *err)
{
    int64_t ignored = 0;
    if (settings->page_bytes > 0 &&
        !sqlite_pragma(db, &ignored, err, "PRAGMA page_size=%d", settings->page_bytes))
        return false;
    return !settings->incremental_vacuum || sqlite_exec(db, "PRAGMA auto_vacuum=INCREMENTAL", err);
}

static bool configure(struct sqlite *db, const struct sqlite_settings *settings, struct err *err)
{
    int64_t ignored = 0;
    if (!sqlite_exec(db,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                     "PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;"
                     "PRAGMA secure_delete=FAST; PRAGMA automatic_index=OFF",
                     err))
        return false;
    if (settings->cache_kb > 0 &&
        !sqlite_pragma(db, &ignored, err, "PRAGMA cache_size=-%d", settings->cache_kb))
        return false;
    db->checkpoint_pages = settings->checkpoint_pages > 0 ? settings->checkpoint_pages : 1000;
    (void)sqlite3_wal_hook(db->connection, after_commit, db);
    return sqlite_pragma(db, &ignored, err, "PRAGMA journal_size_limit=%lld",
                         (long long)settings->wal_keep_bytes);
}

/* All that the schema says, in the order in which it came about. */
static const char schema_sql[] =
    "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY rowid)";

static bool text_of(sqlite3 *connection, char **ret_text)
{
    sqlite3_stmt *statement = NULL;
    bool ok = sqlite3_prepare_v2(connection, schema_sql, -1, &statement, NULL) == SQLITE_OK &&
              sqlite3_step(statement) == SQLITE_ROW;
    const unsigned char *text = ok ? sqlite3_column_text(statement, 0) : NULL;
    *ret_text = text != NULL ? strdup((const char *)text) : NULL;
    (void)sqlite3_finalize(statement);
    return *ret_text != NULL;
}

/* What the migrations up to `version` make. */
static bool schema_at(const struct sqlite_settings *settings, unsigned version, char **ret_text)
{
    sqlite3 *fresh = NULL;
    *ret_text = NULL;
    bool ok = sqlite3_open(":memory:", &fresh) == SQLITE_OK;
    for (unsigned i = 0; ok && i < version; i++)
        ok = sqlite3_exec(fresh, settings->migrations[i], NULL, NULL, NULL) == SQLITE_OK;
    ok = ok && text_of(fresh, ret_text);
    (void)sqlite3_close(fresh);
    return ok;
}

/* A file whose marks are wrong and whose tables are just ours is no other program's, and of no
 * later version: the marks are what is damaged. Only who can deal with that is told. */
static bool marks_damaged(struct sqlite *db, const struct sqlite_settings *settings)
{
    char *held = NULL;
    bool ours = false;
    if (db->damaged == NULL || !text_of(db->connection, &held))
        return false;
    for (unsigned version = settings->migration_count; version > 0 && !ours; version--) {
        char *made = NULL;
        ours = schema_at(settings, version, &made) && strcmp(held, made) == 0;
        free(made);
    }
    free(held);
    *db->damaged = *db->damaged || ours;
    return ours;
}

/* A file that we may write says that only a later SQLite may: ours say no such thing. */
static bool forbids_writing(struct sqlite *db)
{
    const bool forbids = db->damaged != NULL && access(db->path, W_OK) == 0 &&
                         sqlite3_db_readonly(db->connection, "main") == 1;
    if (forbids)
        *db->damaged = true;
    return forbids;
}

/* Before anything is written: is it ours, and do we understand it? An exclusive lock taken before
 * WAL needs no shared memory file. */
static bool identify(struct sqlite *db, const struct sqlite_settings *settings, bool *ret_new,
                     unsigned *ret_version, struct err *err)
{
    if (settings->exclusive && !sqlite_exec(db, "PRAGMA locking_mode=EXCLUSIVE", err))
        return false;
    int64_t version = 0, application_id = 0, tables = 0;
    if (!value_of(db, "PRAGMA user_version", &version, err) ||
        !value_of(db, "PRAGMA application_id", &application_id, err) ||
        !value_of(db, "SELECT count(*) FROM sqlite_schema", &tables, err))
        return false;
    if (forbids_writing(db))
        return err_set(err, ERR_IO, "%s %s: the version of SQLite that may write it is damaged",
                       db->what, db->path);
    bool marked = application_id == settings->application_id && version >= 0 &&
                  version <= (int64_t)settings->migration_count;
    if (tables > 0 && !marked && marks_damaged(db, settings))
        return err_set(err, ERR_IO, "%s %s: its application id or schema number is damaged",
                       db->what, db->path);
    if (tables > 0 && application_id != settings->application_id)
        return err_set(err, ERR_CONFLICT,
                       "%s %s: the file is another program's database; move it away", db->what,
                       db->path);
    if (version < 0 || version > (int64_t)settings->migration_count)
        return err_set(err, ERR_REFUSED,
                       "%s %s: schema %lld is not one of this program's %u; use the version that "
                       "wrote it",
                       db->what, db->path, (long long)version, settings->migration_count);
    if (tables == 0 && version > 0) {
        if (db->damaged != NULL)
            *db->damaged = true;
        return err_set(err, ERR_IO, "%s %s: schema %lld without a table", db->what, db->path,
                       (long long)version);
    }
    *ret_new = tables == 0;
    *ret_version = (unsigned)version;
    return true;
}

static bool prepare(struct sqlite *db, const char *sql, sqlite3_stmt **ret_statement,
                    struct err *err)
{
    errno = 0;
    int rc =
        sqlite3_prepare_v3(db->connection, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL);
    return rc == SQLITE_OK || fail(db, rc, sql, err);
}

bool sqlite_compile(struct sqlite *db, const char *sql, sqlite3_stmt **ret_statement,
                    struct err *err)
{
    return prepare(db, sql, ret_statement, err);
}

static bool prepare_all(struct sqlite *db, const struct sqlite_settings *settings, struct err *err)
{
    for (unsigned i = 0; i < settings->rows_count; i++) {
        if (!sqlite_rows_add(db->connection, settings->rows[i], err))
            return false;
    }
    for (unsigned i = 0; i < settings->query_count; i++) {
        if (!prepare(db, settings->queries[i], &db->statements[i], err))
            return false;
    }
    return true;
}

static void keep_wal(struct sqlite *db, bool keep)
{
    (void)sqlite3_db_config(db->connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)keep, NULL);
}

void sqlite_fold_wal(struct sqlite *db)
{
    keep_wal(db, false);
}

/* Nobody asks SQLite how much memory it uses, and to count takes a lock for each piece. Too late
 * when SQLite is in use already, which does no harm. */
static void count_no_memory(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

bool sqlite_open(const struct sqlite_settings *settings, struct sqlite **ret_db, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, count_no_memory);
    struct sqlite *db = calloc(1, sizeof *db + settings->query_count * sizeof(sqlite3_stmt *));
    if (db == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s %s: out of memory", settings->what, settings->path);
    db->what = settings->what;
    db->damaged = settings->damaged;
    db->opening = true;
    db->query_count = settings->query_count;
    db->path = strdup(settings->path);
    if (db->path == NULL) {
        sqlite_close(db);
        return err_set(err, ERR_NO_MEMORY, "%s %s: out of memory", settings->what, settings->path);
    }
    errno = 0;
    int rc = sqlite3_open_v2(db->path, &db->connection,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_EXRESCODE,
                             NULL);
    if (rc != SQLITE_OK) {
        (void)fail(db, rc, "open", err);
        sqlite_close(db);
        return false;
    }
    keep_wal(db, settings->keep_wal);
    (void)sqlite3_busy_timeout(db->connection, settings->busy_ms);
    bool is_new = false;
    unsigned version = 0;
    if (!prepare(db, "ROLLBACK", &db->rollback, err) ||
        !identify(db, settings, &is_new, &version, err) ||
        (is_new && !configure_new(db, settings, err)) || !configure(db, settings, err) ||
        !sqlite_migrate(db, settings, version, err) || !prepare_all(db, settings, err)) {
        sqlite_close(db);
        return false;
    }
    db->opening = false;
    *ret_db = db;
    return true;
}

bool sqlite_open_snapshot(const struct sqlite *of, struct sqlite **ret_db, struct err *err)
{
    struct sqlite *db = calloc(1, sizeof *db);
    int64_t first = 0;
    if (db == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s %s: out of memory", of->what, of->path);
    db->what = of->what;
    db->path = strdup(of->path);
    if (db->path == NULL) {
        sqlite_close(db);
        return err_set(err, ERR_NO_MEMORY, "%s %s: out of memory", of->what, of->path);
    }
    errno = 0;
    int rc =
        sqlite3_open_v2(db->path, &db->connection,
                        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    /* The first read, not BEGIN, is what it stays with. */
    if ((rc != SQLITE_OK && !fail(db, rc, "open", err)) ||
        !sqlite_exec(db,
                     "PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY;"
                     "PRAGMA automatic_index=OFF; BEGIN",
                     err) ||
        !value_of(db, "SELECT count(*) FROM sqlite_schema", &first, err)) {
        sqlite_close(db);
        return false;
    }
    *ret_db = db;
    return true;
}

void sqlite_close(struct sqlite *db)
{
    if (db == NULL)
        return;
    for (unsigned i = 0; i < db->query_count; i++)
        (void)sqlite3_finalize(db->statements[i]);
    (void)sqlite3_finalize(db->rollback);
    (void)sqlite3_close(db->connection);
    free(db->path);
    free(db);
}
