/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What opening does, in this order, so that a power cut anywhere in between is made good by the
 * next open: the chain is read; the database is opened, or set aside and begun anew; one
 * transaction counts the start and declares what the chain proves to be missing; only then the
 * chain is written, and only then a push may come.
 */
#include "storage/spool_state.h"

#include "base/file.h"
#include "storage/pages.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const int64_t CLOCK_AHEAD_MS = INT64_C(30) * 24 * 3600 * 1000;

/* What the start writes, however full the spool is. */
enum { START_BYTES = 256 * 1024 };

enum { TRIES = 4 }; /* a foreign one, a damaged one, a full disk; then it works or it does not */

/* What was found, and what becomes of it. */
struct opening {
    struct spool_chain chain; /* edition 0: none that could be read */
    uint8_t boot[16];
    bool held; /* the database knows whose it is: it is not new */
    bool foreign;
    bool chain_foreign;
    char device[SPOOL_CHAIN_DEVICE_BYTES + 1]; /* whose they are then */
    uint64_t starts;                           /* as the database has it */
    uint64_t unknown;
    bool salvaged; /* once is enough: what comes of it must not be salvaged for ever */
};

void spool_remark(struct spool *spool, const char *fmt, ...)
{
    size_t length = strlen(spool->opened);
    va_list args;
    if (length > 0 && length + 3 < sizeof spool->opened) {
        memcpy(spool->opened + length, "; ", 3);
        length += 2;
    }
    va_start(args, fmt);
    (void)vsnprintf(spool->opened + length, sizeof spool->opened - length, fmt, args);
    va_end(args);
}

void spool_database_close(struct spool *spool)
{
    sqlite_close(spool->db);
    spool->db = NULL;
    spool->limit_pages = 0;
    spool_slots_done(spool);
    spool_streams_done(spool);
    spool_keys_done(&spool->keys);
}

/* The newest segment may know better than the row, which is written now and then. One that is far
 * ahead of it is damaged: no checksum covers its time, and believed it would age all that is held.
 */
static void set_clock(struct spool *spool, int64_t written_ms)
{
    if (spool->saved_ms < written_ms || spool->saved_ms - CLOCK_AHEAD_MS > written_ms)
        spool->saved_ms = written_ms;
}

/* Whose spool it is, how often it was opened, and whether the clock of powered-on time runs on or
 * starts a new leg. What passed between the last commit and a power cut is not counted: grace is
 * rather too long. */
static bool read_meta(struct spool *spool, struct opening *opening, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_META_READ);
    if (!sqlite_row(spool->db, query, &opening->held, err))
        return false;
    bool same_boot = false;
    if (opening->held) {
        const char *device = sqlite_column_text(query, 0);
        opening->foreign = strcmp(device, spool->device) != 0;
        (void)snprintf(opening->device, sizeof opening->device, "%s", device);
        same_boot = bytes_equal(sqlite_column_bytes(query, 1),
                                bytes_of(opening->boot, sizeof opening->boot));
        spool->base_ms = sqlite3_column_int64(query, 2);
        set_clock(spool, sqlite3_column_int64(query, 3));
        opening->starts = sqlite_column_u64(query, 4);
        (void)sqlite3_reset(query);
    }
    if (!same_boot || spool_powered_ms(spool) < spool->saved_ms)
        spool->base_ms = spool->saved_ms;
    return true;
}

/* All that reading in the streams leaves open until the clock is known. */
static bool finish_streams(struct spool *spool, struct err *err)
{
    for (size_t i = 0; i < spool->stream_count; i++) {
        if (!spool_stream_age(spool, &spool->streams[i], err))
            return false;
    }
    return spool_number(spool, err);
}

/* SQLite would leave out, without a word, what stands behind a damaged place in the WAL. */
static bool look_at_wal(struct spool *spool, struct err *err)
{
    char wal[PATH_MAX];
    struct stat held;
    bool damaged = false;
    int length = snprintf(wal, sizeof wal, "%s-wal", spool->path);
    if (length < 0 || (size_t)length >= sizeof wal)
        return err_set(err, ERR_INVALID, "spool %s: the path is too long", spool->path);
    if (stat(wal, &held) != 0 || held.st_size == 0 || !file_exists(spool->path))
        return true;
    if (!pages_wal_damaged(spool->path, SPOOL_PAGE_BYTES, &damaged, err))
        return err->code != ERR_NO_MEMORY;
    if (!damaged)
        return true;
    spool->damaged = true;
    return err_set(err, ERR_IO, "spool %s: its WAL is damaged in the middle", spool->path);
}

/* Another's stays as it is. */
static bool is_foreign(struct spool *spool, bool *ret_foreign, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_META_READ);
    bool row = false;
    if (!sqlite_row(spool->db, query, &row, err))
        return false;
    *ret_foreign = row && strcmp(sqlite_column_text(query, 0), spool->device) != 0;
    (void)sqlite3_reset(query);
    return true;
}

static bool settle_slots(struct spool *spool, struct err *err)
{
    bool foreign = false;
    return is_foreign(spool, &foreign, err) && (foreign || spool_slots_open(spool, err));
}

static bool read_database(struct spool *spool, struct opening *opening, struct err *err)
{
    opening->held = opening->foreign = false;
    opening->starts = 0;
    spool->saved_ms = spool->base_ms = 0;
    spool->damaged = false;
    return spool_database_open(spool, err) && settle_slots(spool, err) &&
           spool_streams_load(spool, err) && read_meta(spool, opening, err) &&
           finish_streams(spool, err) &&
           spool_keys_init(&spool->keys, spool->key_window, SPOOL_PUSH_RECORDS, err) &&
           spool_keys_load(spool, err);
}

/* A chain of ours stays: it tells what a database of ours would have held. */
static bool set_foreign_aside(struct spool *spool, const struct opening *opening, struct err *err)
{
    char why[64 + SPOOL_CHAIN_DEVICE_BYTES];
    (void)snprintf(why, sizeof why, "the spool of device %.*s was found", SPOOL_CHAIN_DEVICE_BYTES,
                   opening->device);
    return spool_set_aside(spool, "foreign", opening->chain.edition == 0, why, err);
}

static bool set_damaged_aside(struct spool *spool, const struct opening *opening, const char *why,
                              struct err *err)
{
    return opening->salvaged ? spool_set_aside(spool, "damaged", false, why, err)
                             : spool_set_aside_for_salvage(spool, why, err);
}

/* One more try is of use: what was in the way has been put out of it. */
static bool clear_the_way(struct spool *spool, struct opening *opening, const struct err *why,
                          struct err *err)
{
    spool_database_close(spool);
    if (opening->foreign)
        return set_foreign_aside(spool, opening, err);
    if (spool->damaged)
        return set_damaged_aside(spool, opening, why->text, err);
    if (why->code == ERR_FULL && file_exists(spool->ballast_path))
        return file_remove(spool->ballast_path, err);
    return err_set(err, why->code, "%s", why->text);
}

/* The database is new, or what an earlier try has put in. It is read in again with all of it. */
static bool salvage(struct spool *spool, struct opening *opening, struct err *err)
{
    char source[PATH_MAX];
    bool waits = false;
    if (!spool_salvage_waits(spool, source, &waits, err))
        return false;
    if (!waits)
        return true;
    if (opening->salvaged) {
        spool_remark(spool, "its salvage is given up");
        return spool_salvage_finish(spool, err);
    }
    opening->salvaged = true;
    spool_database_size(spool, 0);
    if (!spool_salvage(spool, &opening->chain, source, err))
        return false;
    spool_database_close(spool);
    if (!read_database(spool, opening, err))
        return false;
    spool_database_size(spool, 0);
    return spool_salvage_declare(spool, err) && spool_salvage_finish(spool, err);
}

static bool open_database(struct spool *spool, struct opening *opening, struct err *err)
{
    for (int tries = 1;; tries++) {
        struct err why = {0};
        if (look_at_wal(spool, &why) && read_database(spool, opening, &why) && !opening->foreign &&
            salvage(spool, opening, &why))
            return true;
        if (tries == TRIES)
            return err_set(err, why.code, "%s", why.text);
        if (!clear_the_way(spool, opening, &why, err))
            return false;
    }
}

/* Where another device's chain lies beside a database, that may be ours all the same. */
static bool foreign_chain(struct spool *spool, struct opening *opening, struct err *err)
{
    memcpy(opening->device, opening->chain.device, sizeof opening->device);
    spool_chain_done(&opening->chain);
    if (!file_exists(spool->path))
        return set_foreign_aside(spool, opening, err);
    opening->chain_foreign = true;
    return true;
}

static bool read_chain(struct spool *spool, struct opening *opening, struct err *err)
{
    struct err why = {0};
    if (spool_chain_read(spool->chain_path, &opening->chain, &why)) {
        return strcmp(opening->chain.device, spool->device) == 0 ||
               foreign_chain(spool, opening, err);
    }
    if (why.code == ERR_NO_MEMORY)
        return err_set(err, why.code, "%s", why.text);
    if (why.code != ERR_NOT_FOUND)
        spool_remark(spool, "%s; it was begun anew", why.text);
    return true;
}

static bool write_start(struct spool *spool, void *ctx, struct err *err)
{
    struct opening *opening = ctx;
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_META_WRITE);
    sqlite_bind_text(query, ":device", spool->device);
    sqlite_bind_bytes(query, ":boot", bytes_of(opening->boot, sizeof opening->boot));
    sqlite_bind_int(query, ":base", spool->base_ms);
    sqlite_bind_int(query, ":powered", spool->saved_ms);
    sqlite_bind_u64(query, ":starts", spool->starts);
    if (!sqlite_run(spool->db, query, err) || !spool_dictionary_save(spool, err))
        return false;
    bool back_in_time =
        !opening->held || opening->starts < opening->chain.starts || opening->chain.settled;
    return !back_in_time || spool_chain_declare(spool, &opening->chain, &opening->unknown, err);
}

/* Counts the start; streams that the chain alone knows of are read in like all others. */
static bool start_database(struct spool *spool, struct opening *opening, struct err *err)
{
    uint64_t before = opening->starts;
    if (opening->chain.starts > before)
        before = opening->chain.starts;
    spool->starts = before + 1;
    if (!spool_reserved(spool, write_start, opening, err))
        return false;
    if (opening->unknown == 0)
        return true;
    spool_remark(spool, "%s, up to %" PRIu64 " records are unknown",
                 !opening->held                            ? "the database was lost"
                 : opening->starts < opening->chain.starts ? "the database is an older copy"
                                                           : "the newest of it was lost",
                 opening->unknown);
    spool_streams_done(spool);
    return spool_streams_load(spool, err) && finish_streams(spool, err);
}

/* The first chain needs room on the disk. */
static bool start_chain(struct spool *spool, struct opening *opening, struct err *err)
{
    static const uint64_t none_given[SPOOL_LANES] = {1, 1, 1};
    struct err why = {0};
    spool->chain_edition = opening->chain.edition;
    if (spool_chain_cover(spool, none_given, &why))
        return true;
    if (why.code == ERR_FULL && spool_ballast_release(spool))
        return spool_chain_cover(spool, none_given, err);
    return err_set(err, why.code, "%s", why.text);
}

static bool start(struct spool *spool, struct opening *opening, struct err *err)
{
    char dir[PATH_MAX];
    if (!clock_boot_id(opening->boot, err) || !file_sweep_beside(spool->path, err) ||
        !read_chain(spool, opening, err))
        return false;
    if (spool_is_marked(spool) &&
        (!spool_set_aside_for_salvage(spool, "the database was found damaged", err) ||
         !spool_unmark(spool, err)))
        return false;
    if (!open_database(spool, opening, err) ||
        (opening->chain_foreign && !spool_set_chain_aside(spool, err)))
        return false;
    spool_database_size(spool, spool_aside_bytes(spool));
    return start_database(spool, opening, err) && start_chain(spool, opening, err) &&
           spool_ballast(spool, err) && spool_limit(spool, err) &&
           spool_directory(spool, dir, err) && file_sync_dir(dir, err);
}

bool spool_start(struct spool *spool, struct err *err)
{
    struct opening opening = {0};
    bool ok = start(spool, &opening, err);
    spool_chain_done(&opening.chain);
    if (ok)
        spool_know_wal(spool);
    if (!ok && err != NULL && err->code == ERR_FULL)
        return err_context(err, "no room to open the spool: its disk needs %d KiB free",
                           START_BYTES / 1024);
    return ok;
}
