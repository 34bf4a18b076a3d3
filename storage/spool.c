/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool check(const struct spool_settings *settings, struct err *err)
{
    bool sound = settings->quota_bytes >= SPOOL_QUOTA_MIN_BYTES && settings->grace_ms >= 0 &&
                 settings->key_window >= 0 &&
                 settings->key_window <= settings->quota_bytes / SPOOL_QUOTA_BYTES_PER_KEY;
    if (strlen(settings->device) > SPOOL_CHAIN_DEVICE_BYTES)
        return err_set(err, ERR_INVALID, "spool %s: device name of more than %d bytes",
                       settings->path, SPOOL_CHAIN_DEVICE_BYTES);
    for (size_t i = 0; i < SPOOL_LANES; i++)
        sound = sound && settings->lanes[i].quota_bytes >= 0 && settings->lanes[i].age_ms >= 0;
    return sound || err_set(err, ERR_INVALID,
                            "spool %s: the quota must be at least %d bytes, and %d for each key of "
                            "the window; nothing may be negative",
                            settings->path, SPOOL_QUOTA_MIN_BYTES, SPOOL_QUOTA_BYTES_PER_KEY);
}

static bool name_files(struct spool *spool, const char *path)
{
    spool->path = strdup(path);
    if (asprintf(&spool->ballast_path, "%s.ballast", path) < 0)
        spool->ballast_path = NULL;
    if (asprintf(&spool->chain_path, "%s.chain", path) < 0)
        spool->chain_path = NULL;
    if (asprintf(&spool->wal_path, "%s-wal", path) < 0)
        spool->wal_path = NULL;
    return spool->path != NULL && spool->ballast_path != NULL && spool->chain_path != NULL &&
           spool->wal_path != NULL;
}

static bool learn(struct spool *spool, const struct spool_settings *settings, struct err *err)
{
    if (!spool_codec_open(&spool->codec, err))
        return false;
    for (size_t i = 0; i < settings->dictionary_count; i++) {
        const struct spool_dictionary *dictionary = &settings->dictionaries[i];
        if (!spool_codec_learn(spool->codec, dictionary->version, dictionary->content, err))
            return err_context(err, "spool %s", settings->path);
        if (dictionary->version > spool->dictionary)
            spool->dictionary = dictionary->version;
    }
    return true;
}

bool spool_open(const struct spool_settings *settings, const struct clock *clock,
                struct spool **ret_spool, struct err *err)
{
    if (!check(settings, err))
        return false;
    struct spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL)
        return err_set(err, ERR_NO_MEMORY, "spool %s: out of memory", settings->path);
    spool->clock = clock;
    spool->quota_bytes = settings->quota_bytes;
    spool->grace_ms = settings->grace_ms;
    memcpy(spool->lanes, settings->lanes, sizeof spool->lanes);
    spool->key_window = (size_t)settings->key_window;
    memcpy(spool->device, settings->device, strlen(settings->device));
    bool ok = name_files(spool, settings->path) ||
              err_set(err, ERR_NO_MEMORY, "spool %s: out of memory", settings->path);
    ok = ok && learn(spool, settings, err) && spool_start(spool, err);
    if (!ok) {
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
    /* A WAL that is gone from its folder can still be read: closing puts it into the database. */
    bool sound = spool->loaded && !spool->damaged && sqlite_usable(spool->db, NULL) &&
                 spool_database_in_place(spool, NULL);
    /* Without these the next open makes rows of what is in slots, and falls back on the newest
     * segment's time. */
    if (sound) {
        (void)!spool_slots_settle(spool, NULL);
        (void)!spool_clock_save(spool, NULL);
    }
    /* Damage that shows only when all is read: the next open is not to meet it again. */
    if (spool->loaded && spool->damaged)
        (void)!spool_mark_damaged(spool, NULL);
    /* What the chain calls settled must be in the database, whatever becomes of the WAL. */
    if (sound && spool_chain_settle(spool, NULL))
        sqlite_fold_wal(spool->db);
    spool_database_close(spool);
    spool_codec_close(spool->codec);
    for (size_t i = 0; i < SPOOL_LANES; i++) {
        buf_done(&spool->pending[i]);
        buf_done(&spool->stored[i]);
    }
    free(spool->path);
    free(spool->ballast_path);
    free(spool->chain_path);
    free(spool->wal_path);
    free(spool);
}

uint64_t spool_incarnation(const struct spool *spool)
{
    return spool->incarnation;
}

uint64_t spool_starts(const struct spool *spool)
{
    return spool->starts;
}

const char *spool_opened(const struct spool *spool)
{
    return spool->opened;
}

struct spool_salvaged spool_salvaged(const struct spool *spool)
{
    return spool->salvaged;
}

bool spool_must_reopen(struct spool *spool, struct err *ret_why)
{
    if (spool->damaged) {
        (void)err_set(ret_why, ERR_IO, "spool %s: the database is damaged", spool->path);
        return true;
    }
    return !sqlite_usable(spool->db, ret_why) || !spool_in_place(spool, ret_why);
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
    struct statx held; /* nothing of its times: they would cost the next commit a block */
    int length = snprintf(name, sizeof name, "%s%s", path, suffix);
    if (length < 0 || (size_t)length >= sizeof name ||
        statx(AT_FDCWD, name, AT_STATX_SYNC_AS_STAT, STATX_SIZE, &held) != 0)
        return 0;
    return held.stx_size;
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
