/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_chain.h"
#include "storage/spool_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

extern const char *const spool_schema[];
extern const char *const spool_schema_names[];
extern const unsigned spool_schema_count;

/* :from and :to bound one stream or lane; ids ascend with seq inside of them. */
static const char *const queries[SPOOL_QUERIES] = {
    [SPOOL_META_READ] = "SELECT device, boot, base_ms, powered_ms, starts FROM meta",
    [SPOOL_META_WRITE] = "INSERT INTO meta (id, device, boot, base_ms, powered_ms, starts)"
                         " VALUES (1, :device, :boot, :base, :powered, :starts)"
                         " ON CONFLICT (id) DO UPDATE SET boot = :boot, base_ms = :base,"
                         " powered_ms = :powered, starts = :starts",
    [SPOOL_META_CLOCK] = "UPDATE meta SET base_ms = :base, powered_ms = :powered",
    [SPOOL_STREAM_LIST] = "SELECT number, lane, incarnation, last_seq, acked, sum"
                          " FROM stream ORDER BY number, lane",
    [SPOOL_STREAM_INSERT] = "INSERT INTO stream (number, lane, incarnation, last_seq, acked, sum)"
                            " VALUES (:number, :lane, :incarnation, 0, x'', :sum)",
    [SPOOL_STREAM_RAISE] = "UPDATE stream SET last_seq = :last_seq"
                           " WHERE number = :number AND lane = :lane",
    [SPOOL_STREAM_UPDATE] = "UPDATE stream SET last_seq = :last_seq, acked = :acked,"
                            " sum = :sum"
                            " WHERE number = :number AND lane = :lane",
    [SPOOL_STREAM_DELETE] = "DELETE FROM stream WHERE number = :number AND lane = :lane",
    [SPOOL_SEGMENT_INSERT] = "INSERT INTO segment (id, count, codec, powered_ms, body)"
                             " VALUES (:id, :count, :codec, :powered, :body)",
    [SPOOL_SEGMENT_SIZES] = "SELECT id, count, powered_ms, length(body) FROM segment ORDER BY id",
    [SPOOL_SEGMENT_POWERED] = "SELECT powered_ms FROM segment"
                              " WHERE id BETWEEN :from AND :to ORDER BY id DESC LIMIT 1",
    [SPOOL_SEGMENT_FROM] = "SELECT id, count, body, codec FROM segment WHERE id <= :to AND id >="
                           " coalesce((SELECT max(id) FROM segment WHERE id BETWEEN :low AND"
                           " :from), :from) ORDER BY id",
    [SPOOL_SEGMENT_NEWEST] = "SELECT id, count, body, codec FROM segment"
                             " WHERE id BETWEEN :from AND :to ORDER BY id DESC",
    [SPOOL_SEGMENT_LIST] = "SELECT id, count, powered_ms, length(body),"
                           " CASE WHEN id + count > :keys THEN body END, codec FROM segment"
                           " WHERE id BETWEEN :from AND :to ORDER BY id",
    [SPOOL_SEGMENT_SPANS] = "SELECT id, count FROM segment WHERE id <= :to AND id >="
                            " coalesce((SELECT max(id) FROM segment WHERE id BETWEEN :low AND"
                            " :from), :from) ORDER BY id",
    [SPOOL_SEGMENT_DELETE] = "DELETE FROM segment WHERE id BETWEEN :from AND :to",
    [SPOOL_LOST_LIST] = "SELECT id, last, reason FROM lost ORDER BY id",
    [SPOOL_LOST_INSERT] = "INSERT INTO lost (id, last, reason) VALUES (:id, :last, :reason)",
    [SPOOL_LOST_DELETE] = "DELETE FROM lost WHERE id BETWEEN :from AND :to",
    [SPOOL_SLOT_LIST] = "SELECT slot, body FROM slot WHERE slot BETWEEN :from AND :to"
                        " ORDER BY slot",
    [SPOOL_SLOT_WRITE] = "INSERT OR REPLACE INTO slot (slot, body) VALUES (:slot, :body)",
    [SPOOL_SPENT_INSERT] = "INSERT INTO spent (id, incarnation, keys)"
                           " VALUES (:id, :incarnation, :keys)",
    [SPOOL_SPENT_AT] = "SELECT id, incarnation, keys FROM spent"
                       " WHERE id BETWEEN :from AND :to ORDER BY id DESC LIMIT 1",
    [SPOOL_SPENT_TRIM] = "DELETE FROM spent WHERE id BETWEEN :from AND"
                         " CASE WHEN :oldest > :to THEN :to ELSE coalesce((SELECT max(id) FROM"
                         " spent WHERE id BETWEEN :from AND :oldest), :from) - 1 END",
    [SPOOL_SPENT_LAST] = "SELECT max(id) FROM spent WHERE id BETWEEN :from AND :to",
    [SPOOL_KEYS_NEWEST] = "SELECT id, count, body, codec FROM segment WHERE"
                          " id BETWEEN :from AND :to"
                          " UNION ALL"
                          " SELECT id, 0, keys, 0 FROM spent WHERE id BETWEEN :from AND :to"
                          " ORDER BY id DESC",
    [SPOOL_NOTE_WRITE] = "INSERT INTO note (name, value) VALUES (:name, :value)"
                         " ON CONFLICT (name) DO UPDATE SET value = :value",
    /* What is there already is left: salvage may be begun again. */
    [SPOOL_SALVAGE_STREAM] = "INSERT OR IGNORE INTO stream"
                             " (number, lane, incarnation, last_seq, acked, sum)"
                             " VALUES (:number, :lane, :incarnation, :last_seq, :acked, :sum)",
    [SPOOL_SALVAGE_SEGMENT] = "INSERT OR IGNORE INTO segment (id, count, codec, powered_ms, body)"
                              " VALUES (:id, :count, :codec, :powered, :body)",
    [SPOOL_SALVAGE_LOST] = "INSERT OR IGNORE INTO lost (id, last, reason)"
                           " VALUES (:id, :last, :reason)",
    [SPOOL_SALVAGE_NOTE] = "INSERT OR IGNORE INTO note (name, value)"
                           " VALUES (CAST(:name AS TEXT), :value)",
    [SPOOL_SALVAGE_SPENT] = "INSERT OR IGNORE INTO spent (id, incarnation, keys)"
                            " VALUES (:id, :incarnation, :keys)",
    [SPOOL_NOTE_READ] = "SELECT value FROM note WHERE name = :name",
    [SPOOL_DICTIONARY_LIST] = "SELECT version, content FROM dictionary ORDER BY version",
    [SPOOL_DICTIONARY_INSERT] = "INSERT INTO dictionary (version, content)"
                                " VALUES (:version, :content)",
};

enum {
    APPLICATION_ID = 0x4d735370, /* "MsSp" */
    CACHE_KB = 512,
    RESERVE_BYTES = 224 * 1024, /* a third of it for what stands in slots */
};

/* Nothing of its times: Linux writes down exactly when a file changed once somebody has looked at
 * that, so on ext4 without a journal the next commit would write the file's inode as well. */
static bool id_of(const char *path, struct file_id *ret_id)
{
    struct statx held;
    *ret_id = (struct file_id){0};
    if (statx(AT_FDCWD, path, AT_STATX_SYNC_AS_STAT, STATX_INO, &held) != 0)
        return false;
    *ret_id = (struct file_id){.device = (uint64_t)held.stx_dev_major << 32 | held.stx_dev_minor,
                               .inode = held.stx_ino};
    return true;
}

static bool same_file(const struct file_id *a, const struct file_id *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* Those that the program was given were learned first: what it has not from this file is sound. */
static bool load_dictionaries(struct spool *spool, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_DICTIONARY_LIST);
    bool row = true;
    spool->dictionary_held = false;
    while (sqlite_row(spool->db, query, &row, err)) {
        if (!row)
            return true;
        int64_t version = sqlite3_column_int64(query, 0);
        struct bytes content = sqlite_column_bytes(query, 1);
        spool->dictionary_held = spool->dictionary_held || version == spool->dictionary;
        if (version > 0 && version <= UINT32_MAX && content.length > 0 &&
            !spool_codec_learn(spool->codec, (uint32_t)version, content, err))
            break;
    }
    (void)sqlite3_reset(query);
    return false;
}

bool spool_dictionary_save(struct spool *spool, struct err *err)
{
    if (spool->dictionary == 0 || spool->dictionary_held)
        return true;
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_DICTIONARY_INSERT);
    sqlite_bind_int(query, ":version", spool->dictionary);
    sqlite_bind_bytes(query, ":content", spool_codec_content(spool->codec, spool->dictionary));
    return sqlite_run(spool->db, query, err);
}

bool spool_database_open(struct spool *spool, struct err *err)
{
    const struct sqlite_settings settings = {
        .path = spool->path,
        .what = "spool",
        .application_id = APPLICATION_ID,
        .page_bytes = SPOOL_PAGE_BYTES,
        .cache_kb = CACHE_KB,
        .checkpoint_pages = (int)(spool_checkpoint_bytes(spool) / SPOOL_PAGE_BYTES),
        .wal_keep_bytes = 2 * spool_checkpoint_bytes(spool),
        .exclusive = true,
        .incremental_vacuum = true,
        .keep_wal = true,
        .migrations = spool_schema,
        .migration_names = spool_schema_names,
        .migration_count = spool_schema_count,
        .queries = queries,
        .query_count = SPOOL_QUERIES,
        .damaged = &spool->damaged,
    };
    if (!sqlite_open(&settings, &spool->db, err) ||
        !sqlite_pragma(spool->db, &spool->page_bytes, err, "PRAGMA page_size") ||
        !load_dictionaries(spool, err))
        return false;
    spool->gone = false;
    spool->wal = (struct file_id){0};
    return id_of(spool->path, &spool->file) ||
           err_errno(err, errno, "spool %s: its database is gone at once", spool->path);
}

/* Where nobody can look, it may well be there. */
static bool stands(const char *path, const struct file_id *file)
{
    struct file_id now;
    bool looked = id_of(path, &now) || errno == ENOENT;
    return !looked || same_file(&now, file);
}

void spool_know_wal(struct spool *spool)
{
    (void)id_of(spool->wal_path, &spool->wal);
}

bool spool_in_place(struct spool *spool, struct err *err)
{
    if (!spool_database_in_place(spool, err))
        return false;
    return spool->wal.inode == 0 || stands(spool->wal_path, &spool->wal) ||
           err_set(err, ERR_IO,
                   "spool %s: its WAL was deleted or replaced while it was open; it must be opened "
                   "again",
                   spool->path);
}

bool spool_database_in_place(struct spool *spool, struct err *err)
{
    if (!spool->gone && stands(spool->path, &spool->file))
        return true;
    spool->gone = true;
    return err_set(err, ERR_IO,
                   "spool %s: the database was deleted or replaced while it was open; it must be "
                   "opened again",
                   spool->path);
}

void spool_database_size(struct spool *spool, int64_t aside_bytes)
{
    int64_t wal_bytes = 2 * spool_checkpoint_bytes(spool) + SPOOL_PUSH_BYTES;
    int64_t database_bytes = spool->quota_bytes - aside_bytes - wal_bytes -
                             spool_ballast_bytes(spool) - SPOOL_CHAIN_BYTES;
    spool->all_pages = database_bytes / spool->page_bytes;
    spool->push_pages = (database_bytes - RESERVE_BYTES) / spool->page_bytes;
}
