/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/sqlite_internal.h"

#include "base/clock.h"
#include "base/log.h"

enum {
    MIB = 1024 * 1024,
    TELL_EVERY_MS = 30 * 1000,
    PROGRESS_STEPS = 100 * 1000, /* of SQLite's machine, from one look at the clock to the next */
};

/* Who waits for a start that takes minutes is to see that it gets on. */
struct progress {
    const struct sqlite *db;
    const char *what, *migration;
    int64_t every_ms, began_ms, told_ms;
};

static int on_progress(void *ctx)
{
    struct progress *progress = ctx;
    const int64_t now_ms = clock_boot_ms(&clock_real);
    if (now_ms - progress->told_ms < progress->every_ms)
        return 0;
    progress->told_ms = now_ms;
    log_info("%s %s: migration %s goes on, %lld s so far; with its WAL it has %lld MiB",
             progress->what, sqlite_path(progress->db), progress->migration,
             (long long)((now_ms - progress->began_ms) / 1000),
             (long long)(sqlite_size_bytes(progress->db) / MIB));
    return 0;
}

static bool migrate_step(struct sqlite *db, const char *sql, const char *name, unsigned version,
                         int32_t application_id, struct err *err)
{
    int64_t ignored = 0;
    if (!sqlite_begin(db, err))
        return false;
    bool done = sqlite_exec_named(db, sql, name, err) &&
                sqlite_pragma(db, &ignored, err, "PRAGMA user_version=%u", version) &&
                sqlite_pragma(db, &ignored, err, "PRAGMA application_id=%d", application_id) &&
                sqlite_commit(db, err);
    if (done)
        return true;
    sqlite_rollback(db);
    return err_context(err, "migration %s", name);
}

/* One of a database with something in it, which may be much. */
static bool migrate_told(struct sqlite *db, const struct sqlite_settings *settings, unsigned index,
                         struct err *err)
{
    const int64_t now_ms = clock_boot_ms(&clock_real), before = sqlite_size_bytes(db);
    struct progress progress = {
        .db = db,
        .what = settings->what,
        .migration = settings->migration_names[index],
        .every_ms = settings->tell_every_ms > 0 ? settings->tell_every_ms : TELL_EVERY_MS,
        .began_ms = now_ms,
        .told_ms = now_ms,
    };
    log_info("%s %s: migration %s begins, this may take long; do not stop it", settings->what,
             settings->path, progress.migration);
    sqlite3_progress_handler(sqlite_connection(db), PROGRESS_STEPS, on_progress, &progress);
    const bool done = migrate_step(db, settings->migrations[index], progress.migration, index + 1,
                                   settings->application_id, err);
    sqlite3_progress_handler(sqlite_connection(db), 0, NULL, NULL);
    if (done || err == NULL || err->code != ERR_FULL)
        return done;
    return err_context(err,
                       "no room to make it over, nothing has changed: have %lld MiB free beside it "
                       "and start again",
                       (long long)(before / 2 * 5 / MIB + 1));
}

bool sqlite_migrate(struct sqlite *db, const struct sqlite_settings *settings, unsigned version,
                    struct err *err)
{
    for (unsigned i = version; i < settings->migration_count; i++) {
        if (version > 0 ? !migrate_told(db, settings, i, err)
                        : !migrate_step(db, settings->migrations[i], settings->migration_names[i],
                                        i + 1, settings->application_id, err))
            return false;
    }
    return true;
}
