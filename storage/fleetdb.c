/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_erase_internal.h"
#include "storage/fleetdb_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

extern const char *const fleetdb_migrations[];
extern const char *const fleetdb_migrations_names[];
extern const unsigned fleetdb_migrations_count;

enum {
    CACHE_KB = 16 * 1024,
    /* Keys are random, so each commit touches their index all over: the fewer checkpoints, the
     * fewer of its pages are written again and again. */
    CHECKPOINT_PAGES = 4096,
    WAL_KEEP_BYTES = 16 * 1024 * 1024,
};

static const struct fleetdb_queries *const parts[FLEETDB_PARTS] = {
    [FLEETDB_PART_DEVICES] = &fleetdb_device_queries,
    [FLEETDB_PART_RECORDS] = &fleetdb_record_queries,
    [FLEETDB_PART_RESULTS] = &fleetdb_result_queries,
    [FLEETDB_PART_RUNS] = &fleetdb_run_queries,
    [FLEETDB_PART_SPANS] = &fleetdb_span_queries,
    [FLEETDB_PART_STREAMS] = &fleetdb_stream_queries,
    [FLEETDB_PART_ACCOUNT] = &fleetdb_account_queries,
    [FLEETDB_PART_SUMS] = &fleetdb_sum_queries,
    [FLEETDB_PART_REPORTS] = &fleetdb_report_queries,
    [FLEETDB_PART_VIEWS] = &fleetdb_view_queries,
    [FLEETDB_PART_BLOBS] = &fleetdb_blob_queries,
    [FLEETDB_PART_DOCUMENTS] = &fleetdb_document_queries,
    [FLEETDB_PART_DESIRED] = &fleetdb_desired_queries,
    [FLEETDB_PART_CLOCK] = &fleetdb_clock_queries,
    [FLEETDB_PART_ROOTS] = &fleetdb_root_queries,
    [FLEETDB_PART_SEALING] = &fleetdb_sealing_queries,
    [FLEETDB_PART_FINAL] = &fleetdb_final_queries,
    [FLEETDB_PART_TOLD] = &fleetdb_told_queries,
    [FLEETDB_PART_ACTIONS] = &fleetdb_action_queries,
    [FLEETDB_PART_PROPOSALS] = &fleetdb_proposal_queries,
    [FLEETDB_PART_STANDING] = &fleetdb_standing_queries,
    [FLEETDB_PART_CARRY] = &fleetdb_carry_queries,
    [FLEETDB_PART_PLACES] = &fleetdb_place_queries,
    [FLEETDB_PART_ENROL] = &fleetdb_enrol_queries,
    [FLEETDB_PART_LABELS] = &fleetdb_label_queries,
    [FLEETDB_PART_SCOPE] = &fleetdb_scope_queries,
    [FLEETDB_PART_TOKENS] = &fleetdb_token_queries,
    [FLEETDB_PART_CHANGES] = &fleetdb_change_queries,
    [FLEETDB_PART_FEED] = &fleetdb_feed_queries,
    [FLEETDB_PART_WEBHOOKS] = &fleetdb_webhook_queries,
    [FLEETDB_PART_SOFTWARE] = &fleetdb_software_queries,
    [FLEETDB_PART_ROLLUPS] = &fleetdb_rollup_queries,
    [FLEETDB_PART_ROLLUP_NUMBERS] = &fleetdb_rollup_number_queries,
    [FLEETDB_PART_RATES] = &fleetdb_rate_queries,
    [FLEETDB_PART_FIND] = &fleetdb_find_queries,
    [FLEETDB_PART_ASKED] = &fleetdb_asked_queries,
    [FLEETDB_PART_KEEPING] = &fleetdb_keeping_queries,
    [FLEETDB_PART_ERASE] = &fleetdb_erase_queries,
    [FLEETDB_PART_ERASE_STEP] = &fleetdb_erase_step_queries,
    [FLEETDB_PART_ERASE_TEXTS] = &fleetdb_erase_text_queries,
    [FLEETDB_PART_ERASE_LOOK] = &fleetdb_erase_look_queries,
    [FLEETDB_PART_PRESENCE] = &fleetdb_presence_queries,
    [FLEETDB_PART_PORTRAIT] = &fleetdb_portrait_queries,
    [FLEETDB_PART_ZONE] = &fleetdb_zone_queries,
};

/* All parts' texts in one array, as the connection wants them. */
static bool join_queries(struct fleetdb *db, unsigned *ret_count, struct err *err)
{
    unsigned count = 0;
    for (size_t part = 0; part < FLEETDB_PARTS; part++) {
        db->first_query[part] = count;
        count += parts[part]->count;
    }
    db->queries = calloc(count, sizeof *db->queries);
    if (db->queries == NULL)
        return err_set(err, ERR_NO_MEMORY, "fleet database: out of memory");
    for (size_t part = 0; part < FLEETDB_PARTS; part++) {
        for (unsigned i = 0; i < parts[part]->count; i++)
            db->queries[db->first_query[part] + i] = parts[part]->texts[i];
    }
    *ret_count = count;
    return true;
}

/* One process writes, so that SQLite's WAL is never reset by two at once; others may read beside it
 * (backups), which SQLite's own exclusive mode would forbid. */
static bool lock(struct fleetdb *db, const char *path, struct err *err)
{
    char name[4096];
    int n = snprintf(name, sizeof name, "%s-lock", path);
    if (n < 0 || (size_t)n >= sizeof name)
        return err_set(err, ERR_INVALID, "fleet database %s: the name is too long", path);
    db->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (db->lock < 0)
        return err_errno(err, errno, "fleet database: %s", name);
    if (flock(db->lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    return errno == EWOULDBLOCK
               ? err_set(err, ERR_UNAVAILABLE, "fleet database %s: another process has it", path)
               : err_errno(err, errno, "fleet database: lock %s", name);
}

/* The secrets that webhooks are signed with are in it: it is made for its owner alone, what others
 * may do is taken away, and SQLite gives what it puts beside it the same mode. */
static bool keep_private(const char *path, struct err *err)
{
    struct stat st;
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "fleet database: %s", path);
    const bool done =
        fstat(fd, &st) == 0 && ((st.st_mode & S_IRWXO) == 0 || fchmod(fd, st.st_mode & 0770) == 0);
    const int why = errno;
    (void)close(fd);
    return done || err_errno(err, why, "fleet database: %s: its mode", path);
}

bool fleetdb_open(const char *path, struct fleetdb **ret_db, struct err *err)
{
    struct fleetdb *db = calloc(1, sizeof *db);
    if (db == NULL)
        return err_set(err, ERR_NO_MEMORY, "fleet database: out of memory");
    db->lock = -1;
    unsigned query_count = 0;
    if (!lock(db, path, err) || !keep_private(path, err) || !fleetdb_stamps_open(db, err) ||
        !join_queries(db, &query_count, err)) {
        fleetdb_close(db);
        return false;
    }
    fleetdb_come_open(&db->come);
    fleetdb_spans_open(&db->spans);
    fleetdb_sums_to_add(db);
    const struct sqlite_rows *const rows[] = {&db->come.rows, &db->spans.rows, &db->adding.rows};
    struct sqlite_settings settings = {
        .path = path,
        .what = "fleet database",
        .application_id = FLEETDB_APPLICATION_ID,
        .cache_kb = CACHE_KB,
        .checkpoint_pages = CHECKPOINT_PAGES,
        .wal_keep_bytes = WAL_KEEP_BYTES,
        .incremental_vacuum = true,
        .busy_ms = FLEETDB_BUSY_MS,
        .migrations = fleetdb_migrations,
        .migration_names = fleetdb_migrations_names,
        .migration_count = fleetdb_migrations_count,
        .queries = db->queries,
        .query_count = query_count,
        .rows = rows,
        .rows_count = sizeof rows / sizeof *rows,
    };
    if (!sqlite_open(&settings, &db->sqlite, err) || !fleetdb_kept_load(db, err) ||
        !fleetdb_erasure_load(db, err)) {
        fleetdb_close(db);
        return false;
    }
    *ret_db = db;
    return true;
}

void fleetdb_close(struct fleetdb *db)
{
    if (db == NULL)
        return;
    if (db->sqlite != NULL) {
        fleetdb_rollback(db);
        sqlite_close(db->sqlite);
    }
    if (db->lock >= 0)
        (void)close(db->lock);
    fleetdb_stamps_close(db);
    fleetdb_come_close(&db->come);
    fleetdb_erase_words_forget(db);
    rollup_sums_done(&db->sums);
    rollup_numbers_done(&db->numbers);
    variety_done(&db->variety);
    free(db->spans.list);
    free(db->queries);
    free(db);
}

bool fleetdb_begin(struct fleetdb *db, struct err *err)
{
    if (db->in_transaction)
        abort();
    db->in_transaction = sqlite_begin(db->sqlite, err);
    fleetdb_stamps_forget(db);
    return db->in_transaction;
}

bool fleetdb_commit(struct fleetdb *db, struct err *err)
{
    if (!fleetdb_runs_write(db, err) || !fleetdb_spans_write(db, err) ||
        !fleetdb_rollups_write(db, err)) {
        fleetdb_rollback(db);
        return false;
    }
    db->in_transaction = false;
    if (sqlite_commit(db->sqlite, err))
        return true;
    rollup_numbers_forget(&db->numbers);
    return false;
}

void fleetdb_rollback(struct fleetdb *db)
{
    db->in_transaction = false;
    rollup_sums_clear(&db->sums);
    rollup_numbers_forget(&db->numbers);
    db->run.first.device = 0;
    db->spans.count = 0;
    sqlite_rollback(db->sqlite);
}

bool fleetdb_enter(struct fleetdb *db, bool *ret_own, struct err *err)
{
    *ret_own = !db->in_transaction;
    return db->in_transaction || fleetdb_begin(db, err);
}

bool fleetdb_leave(struct fleetdb *db, bool own, bool done, struct err *err)
{
    if (!own)
        return done;
    if (done)
        return fleetdb_commit(db, err);
    fleetdb_rollback(db);
    return false;
}

int64_t fleetdb_writes(const struct fleetdb *db)
{
    return sqlite_all_changes(db->sqlite);
}

int64_t fleetdb_size_bytes(const struct fleetdb *db)
{
    return sqlite_size_bytes(db->sqlite);
}
