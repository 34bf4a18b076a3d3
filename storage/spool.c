/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_state.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

extern const char *const spool_schema[];
extern const char *const spool_schema_names[];
extern const unsigned spool_schema_count;

/* :from and :to bound one stream or lane; ids ascend with seq inside of them. */
static const char *const queries[SPOOL_QUERIES] = {
    [SPOOL_META_READ] = "SELECT device, boot, base_ms, powered_ms FROM meta",
    [SPOOL_META_INSERT] = "INSERT INTO meta (id, device, boot, base_ms, powered_ms)"
                          " VALUES (1, :device, :boot, :base, :powered)",
    [SPOOL_META_CLOCK] = "UPDATE meta SET boot = coalesce(:boot, boot), base_ms = :base,"
                         " powered_ms = :powered",
    [SPOOL_STREAM_LIST] = "SELECT number, lane, incarnation, last_seq, acked"
                          " FROM stream ORDER BY number, lane",
    [SPOOL_STREAM_INSERT] = "INSERT INTO stream (number, lane, incarnation, last_seq, acked)"
                            " VALUES (:number, :lane, :incarnation, 0, x'')",
    [SPOOL_STREAM_UPDATE] = "UPDATE stream SET last_seq = :last_seq, acked = :acked"
                            " WHERE number = :number AND lane = :lane",
    [SPOOL_STREAM_DELETE] = "DELETE FROM stream WHERE number = :number AND lane = :lane",
    [SPOOL_SEGMENT_INSERT] = "INSERT INTO segment (id, count, codec, powered_ms, body)"
                             " VALUES (:id, :count, 0, :powered, :body)",
    [SPOOL_SEGMENT_SIZES] = "SELECT id, count, powered_ms, length(body) FROM segment ORDER BY id",
    [SPOOL_SEGMENT_POWERED] = "SELECT powered_ms FROM segment"
                              " WHERE id BETWEEN :from AND :to ORDER BY id DESC LIMIT 1",
    [SPOOL_SEGMENT_FROM] = "SELECT id, count, body FROM segment WHERE id <= :to AND id >="
                           " coalesce((SELECT max(id) FROM segment WHERE id BETWEEN :low AND"
                           " :from), :from) ORDER BY id",
    [SPOOL_SEGMENT_NEXT] = "SELECT id FROM segment WHERE id > :from AND id <= :to"
                           " ORDER BY id LIMIT 1",
    [SPOOL_SEGMENT_NEWEST] = "SELECT id, count, body FROM segment"
                             " WHERE id BETWEEN :from AND :to ORDER BY id DESC",
    [SPOOL_SEGMENT_LIST] = "SELECT id, count, powered_ms, length(body),"
                           " CASE WHEN id + count > :keys THEN body END FROM segment"
                           " WHERE id BETWEEN :from AND :to ORDER BY id",
    [SPOOL_SEGMENT_SPANS] = "SELECT id, count FROM segment WHERE id <= :to AND id >="
                            " coalesce((SELECT max(id) FROM segment WHERE id BETWEEN :low AND"
                            " :from), :from) ORDER BY id",
    [SPOOL_SEGMENT_DELETE] = "DELETE FROM segment WHERE id BETWEEN :from AND :to",
    [SPOOL_LOST_LIST] = "SELECT id, last, reason FROM lost ORDER BY id",
    [SPOOL_LOST_INSERT] = "INSERT INTO lost (id, last, reason) VALUES (:id, :last, :reason)",
    [SPOOL_LOST_DELETE] = "DELETE FROM lost WHERE id BETWEEN :from AND :to",
    [SPOOL_SPENT_INSERT] = "INSERT INTO spent (id, incarnation, keys)"
                           " VALUES (:id, :incarnation, :keys)",
    [SPOOL_SPENT_AT] = "SELECT id, incarnation, keys FROM spent"
                       " WHERE id BETWEEN :from AND :to ORDER BY id DESC LIMIT 1",
    [SPOOL_SPENT_TRIM] = "DELETE FROM spent WHERE id BETWEEN :from AND"
                         " CASE WHEN :oldest > :to THEN :to ELSE coalesce((SELECT max(id) FROM"
                         " spent WHERE id BETWEEN :from AND :oldest), :from) - 1 END",
    [SPOOL_SPENT_LAST] = "SELECT max(id) FROM spent WHERE id BETWEEN :from AND :to",
    [SPOOL_KEYS_NEWEST] = "SELECT id, count, body FROM segment WHERE id BETWEEN :from AND :to"
                          " UNION ALL"
                          " SELECT id, 0, keys FROM spent WHERE id BETWEEN :from AND :to"
                          " ORDER BY id DESC",
    [SPOOL_NOTE_WRITE] = "INSERT INTO note (name, value) VALUES (:name, :value)"
                         " ON CONFLICT (name) DO UPDATE SET value = :value",
    [SPOOL_NOTE_READ] = "SELECT value FROM note WHERE name = :name",
};

enum {
    APPLICATION_ID = 0x4d735370, /* "MsSp" */
    PAGE_BYTES = 512,            /* least bytes on the disk per record; tests/bench/spool.c */
    CACHE_KB = 512,
    WAL_BYTES = 2 * SPOOL_CHECKPOINT_BYTES + SPOOL_PUSH_BYTES,
    RESERVE_BYTES = 128 * 1024,
};

/* Whose spool it is, and whether the clock of powered-on time runs on or starts a new leg. What
 * passed between the last commit and a power cut is not counted: grace is rather too long. */
static bool load_meta(struct spool *spool, const char *device, struct err *err)
{
    uint8_t boot[16];
    if (!clock_boot_id(boot, err))
        return false;
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_META_READ);
    bool held = false, same_boot = false;
    if (!sqlite_row(spool->db, query, &held, err))
        return false;
    if (held && strcmp(sqlite_column_text(query, 0), device) != 0) {
        (void)err_set(err, ERR_CONFLICT, "spool %s belongs to device %s, not to %s", spool->path,
                      sqlite_column_text(query, 0), device);
        (void)sqlite3_reset(query);
        return false;
    }
    if (held) {
        same_boot = bytes_equal(sqlite_column_bytes(query, 1), bytes_of(boot, sizeof boot));
        spool->base_ms = sqlite3_column_int64(query, 2);
        if (sqlite3_column_int64(query, 3) > spool->saved_ms)
            spool->saved_ms = sqlite3_column_int64(query, 3);
    }
    (void)sqlite3_reset(query);
    if (held && same_boot && spool_powered_ms(spool) >= spool->saved_ms)
        return true;
    spool->base_ms = spool->saved_ms;
    query = sqlite_query(spool->db, held ? SPOOL_META_CLOCK : SPOOL_META_INSERT);
    if (!held)
        sqlite_bind_text(query, ":device", device);
    sqlite_bind_bytes(query, ":boot", bytes_of(boot, sizeof boot));
    sqlite_bind_int(query, ":base", spool->base_ms);
    sqlite_bind_int(query, ":powered", spool->saved_ms);
    return sqlite_run(spool->db, query, err);
}

static bool open_database(struct spool *spool, struct err *err)
{
    const struct sqlite_settings settings = {
        .path = spool->path,
        .what = "spool",
        .application_id = APPLICATION_ID,
        .page_bytes = PAGE_BYTES,
        .cache_kb = CACHE_KB,
        .checkpoint_pages = SPOOL_CHECKPOINT_BYTES / PAGE_BYTES,
        .wal_keep_bytes = 2 * SPOOL_CHECKPOINT_BYTES,
        .exclusive = true,
        .incremental_vacuum = true,
        .migrations = spool_schema,
        .migration_names = spool_schema_names,
        .migration_count = spool_schema_count,
        .queries = queries,
        .query_count = SPOOL_QUERIES,
    };
    if (!sqlite_open(&settings, &spool->db, err) ||
        !sqlite_pragma(spool->db, &spool->page_bytes, err, "PRAGMA page_size"))
        return false;
    int64_t database_bytes = spool->quota_bytes - WAL_BYTES - SPOOL_BALLAST_BYTES;
    spool->all_pages = database_bytes / spool->page_bytes;
    spool->push_pages = (database_bytes - RESERVE_BYTES) / spool->page_bytes;
    return true;
}

static bool load(struct spool *spool, const struct spool_settings *settings, struct err *err)
{
    if (!open_database(spool, err) || !spool_streams_load(spool, err) ||
        !spool_number(spool, err) || !load_meta(spool, settings->device, err))
        return false;
    for (size_t i = 0; i < spool->stream_count; i++) {
        if (!spool_stream_age(spool, &spool->streams[i], err))
            return false;
    }
    return spool_keys_init(&spool->keys, (size_t)settings->key_window, SPOOL_PUSH_RECORDS, err) &&
           spool_keys_load(spool, err) && spool_ballast(spool, err) && spool_limit(spool, err);
}

bool spool_open(const struct spool_settings *settings, const struct clock *clock,
                struct spool **ret_spool, struct err *err)
{
    if (settings->quota_bytes < SPOOL_QUOTA_MIN_BYTES || settings->grace_ms < 0 ||
        settings->key_window < 0)
        return err_set(err, ERR_INVALID,
                       "spool %s: quota must be at least %d bytes, grace and key window not "
                       "negative",
                       settings->path, SPOOL_QUOTA_MIN_BYTES);
    struct spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL)
        return err_set(err, ERR_NO_MEMORY, "spool %s: out of memory", settings->path);
    spool->clock = clock;
    spool->quota_bytes = settings->quota_bytes;
    spool->grace_ms = settings->grace_ms;
    memcpy(spool->lanes, settings->lanes, sizeof spool->lanes);
    spool->path = strdup(settings->path);
    if (spool->path == NULL || asprintf(&spool->ballast_path, "%s.ballast", settings->path) < 0) {
        spool->ballast_path = NULL;
        spool_close(spool);
        return err_set(err, ERR_NO_MEMORY, "spool %s: out of memory", settings->path);
    }
    if (!load(spool, settings, err)) {
        spool_close(spool);
        return false;
    }
    spool->loaded = true;
    *ret_spool = spool;
    return true;
}

bool spool_clock_save(struct spool *spool, struct err *err)
{
    if (spool_powered_ms(spool) > spool->saved_ms)
        spool->saved_ms = spool_powered_ms(spool);
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_META_CLOCK);
    sqlite_bind_int(query, ":base", spool->base_ms);
    sqlite_bind_int(query, ":powered", spool->saved_ms);
    return sqlite_run(spool->db, query, err);
}

void spool_close(struct spool *spool)
{
    if (spool == NULL)
        return;
    /* Without it the next open falls back on the newest segment's time. */
    if (spool->loaded)
        (void)!spool_clock_save(spool, NULL);
    sqlite_close(spool->db);
    spool_streams_done(spool);
    for (size_t i = 0; i < SPOOL_LANES; i++)
        buf_done(&spool->pending[i]);
    spool_keys_done(&spool->keys);
    free(spool->path);
    free(spool->ballast_path);
    free(spool);
}

uint64_t spool_incarnation(const struct spool *spool)
{
    return spool->incarnation;
}

struct note {
    const char *name;
    struct bytes value;
};

static bool write_note(struct spool *spool, void *ctx, struct err *err)
{
    const struct note *note = ctx;
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_NOTE_WRITE);
    sqlite_bind_text(query, ":name", note->name);
    sqlite_bind_bytes(query, ":value", note->value);
    return sqlite_run(spool->db, query, err);
}

bool spool_note_write(struct spool *spool, const char *name, struct bytes value, struct err *err)
{
    struct note note = {.name = name, .value = value};
    return spool_reserved(spool, write_note, &note, err) || err_context(err, "note %s", name);
}

bool spool_note_read(struct spool *spool, const char *name, struct buf *ret_value, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_NOTE_READ);
    sqlite_bind_text(query, ":name", name);
    bool row = false;
    if (!sqlite_row(spool->db, query, &row, err))
        return err_context(err, "note %s", name);
    buf_clear(ret_value);
    struct bytes value = row ? sqlite_column_bytes(query, 0) : bytes_of(NULL, 0);
    bool ok = value.length == 0 || buf_append(ret_value, value.data, value.length, err);
    (void)sqlite3_reset(query);
    return ok;
}

static uint64_t file_bytes(const char *path, const char *suffix)
{
    char name[4096];
    struct stat held;
    int length = snprintf(name, sizeof name, "%s%s", path, suffix);
    if (length < 0 || (size_t)length >= sizeof name || stat(name, &held) != 0)
        return 0;
    return (uint64_t)held.st_size;
}

void spool_stats(const struct spool *spool, struct spool_stats *ret_stats)
{
    struct spool_stats stats = {0};
    int64_t now_ms = spool_powered_ms(spool);
    for (size_t i = 0; i < spool->stream_count; i++) {
        const struct stream *stream = &spool->streams[i];
        const struct stream_books *books = &stream->now;
        uint64_t lost = spool_lost_open(&books->lost, &books->acked);
        uint64_t owed = stream->last_seq - spool_acked_total(&books->acked) - lost;
        stats.records += owed;
        stats.records_lost += lost;
        if (books->held > owed)
            stats.records_kept += books->held - owed;
        if (owed > 0 && now_ms - books->unsent_ms > stats.oldest_ms)
            stats.oldest_ms = now_ms - books->unsent_ms;
    }
    stats.wal_bytes = file_bytes(spool->path, "-wal");
    stats.bytes = file_bytes(spool->path, "") + stats.wal_bytes;
    *ret_stats = stats;
}
