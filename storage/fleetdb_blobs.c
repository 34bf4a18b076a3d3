/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_blobs.h"

#include "storage/fleetdb_internal.h"

#include <string.h>

enum query {
    PUT,
    GET,
    SIZE,
    FIND,
    PIECE_ADD,
    LIST_FORGET,
    FORGET,
    RETAINED,
    WITHDRAWN,
    IS_WANTED,
    SWEEP,
    NAMED_NEW,
    IS_NAMED,
    IN_LIST,
    WANTED_NEXT,
    UNWANTED_NEXT,
    NAMED,
    NAME,
    UNNAME,
    NAMED_EVER,
    WANT,
    UNWANT,
    SUMS,
    QUERIES,
};

/* Of blob b: a manifest names it, or a list that has it. */
#define WANTED                                                                                     \
    "(EXISTS (SELECT 1 FROM manifest_blob m WHERE m.blob = b.id) OR EXISTS (SELECT 1 FROM piece p" \
    " JOIN manifest_blob m ON m.blob = p.list WHERE p.blob = b.id))"

static const char *const queries[QUERIES] = {
    [PUT] = "INSERT INTO blob (sha256, content, stored_ms) VALUES (:sha256, :content, :now)"
            " ON CONFLICT (sha256) DO UPDATE SET stored_ms = excluded.stored_ms",
    [GET] = "SELECT content FROM blob WHERE sha256 = :sha256",
    [SIZE] = "SELECT length(content) FROM blob WHERE sha256 = :sha256",
    [FIND] = "SELECT id FROM blob WHERE sha256 = :sha256",
    [PIECE_ADD] = "INSERT INTO piece (list, number, blob) VALUES (:list, :number, :blob)"
                  " ON CONFLICT DO NOTHING",
    [LIST_FORGET] = "DELETE FROM piece WHERE list IN (SELECT l.id FROM blob l"
                    " WHERE l.stored_ms < :before AND l.id IN (SELECT list FROM piece)"
                    " AND l.id NOT IN (SELECT blob FROM encoding)"
                    " AND l.id NOT IN (SELECT blob FROM manifest_blob))",
    [FORGET] = "DELETE FROM blob WHERE stored_ms < :before AND retained = 0"
               " AND NOT EXISTS (SELECT 1 FROM encoding e WHERE e.blob = blob.id)"
               " AND NOT EXISTS (SELECT 1 FROM piece p WHERE p.blob = blob.id OR p.list = blob.id)"
               " AND NOT EXISTS (SELECT 1 FROM manifest_blob m WHERE m.blob = blob.id)",
    [RETAINED] = "UPDATE blob SET retained = 1 WHERE sha256 = :sha256 AND retained = 0",
    [WITHDRAWN] = "UPDATE blob SET retained = 0, unwanted_ms = 0 WHERE sha256 = :sha256",
    [IS_WANTED] = "SELECT 1 FROM blob b WHERE sha256 = :sha256 AND " WANTED,
    [SWEEP] = "UPDATE blob AS b SET unwanted_ms = :now"
              " WHERE retained = 1 AND unwanted_ms = 0 AND NOT " WANTED,
    [NAMED_NEW] = "SELECT sha256 FROM blob WHERE retained = 0 AND id IN"
                  " (SELECT blob FROM manifest_blob WHERE device = :device"
                  " UNION SELECT p.blob FROM manifest_blob m JOIN piece p ON p.list = m.blob"
                  " WHERE m.device = :device)",
    [IS_NAMED] = "SELECT EXISTS (SELECT 1 FROM manifest_blob m WHERE m.device = :device"
                 " AND m.blob = b.id) OR EXISTS (SELECT 1 FROM piece p JOIN manifest_blob m"
                 " ON m.blob = p.list WHERE p.blob = b.id AND m.device = :device)"
                 " FROM blob b WHERE b.sha256 = :sha256",
    [IN_LIST] = "SELECT :list = :sha256 OR EXISTS (SELECT 1 FROM piece p"
                " JOIN blob l ON l.id = p.list JOIN blob b ON b.id = p.blob"
                " WHERE l.sha256 = :list AND b.sha256 = :sha256)",
    [WANTED_NEXT] = "SELECT b.sha256 FROM blob b WHERE b.sha256 > :after AND " WANTED
                    " ORDER BY b.sha256 LIMIT 1",
    [UNWANTED_NEXT] = "SELECT unwanted_ms, id, sha256 FROM blob WHERE retained = 1"
                      " AND unwanted_ms > 0 AND unwanted_ms < :before"
                      " AND (unwanted_ms, id) > (:since, :row)"
                      " ORDER BY unwanted_ms, id LIMIT 1",
    [NAMED] = "SELECT m.blob, b.sha256 FROM manifest_blob m JOIN blob b ON b.id = m.blob"
              " WHERE m.device = :device",
    [NAME] = "INSERT INTO manifest_blob (device, blob) VALUES (:device, :blob)"
             " ON CONFLICT DO NOTHING",
    [UNNAME] = "DELETE FROM manifest_blob WHERE device = :device AND blob = :blob",
    [NAMED_EVER] = "SELECT 1 FROM manifest_blob WHERE blob = :blob LIMIT 1",
    [WANT] = "UPDATE blob SET unwanted_ms = 0 WHERE unwanted_ms <> 0 AND id IN"
             " (SELECT :blob UNION ALL SELECT blob FROM piece WHERE list = :blob)",
    [UNWANT] = "UPDATE blob AS b SET unwanted_ms = :now WHERE b.unwanted_ms = 0 AND b.id IN"
               " (SELECT :blob UNION ALL SELECT blob FROM piece WHERE list = :blob)"
               " AND NOT " WANTED,
    [SUMS] = "SELECT count(*), coalesce(sum(length(content)), 0), coalesce(sum(retained), 0),"
             " coalesce(sum(retained = 1 AND unwanted_ms <> 0), 0) FROM blob",
};

const struct fleetdb_queries fleetdb_blob_queries = {queries, QUERIES};

static sqlite3_stmt *query(struct fleetdb *db, enum query which)
{
    return fleetdb_query(db, FLEETDB_PART_BLOBS, which);
}

static bool missing(const char *what, const uint8_t sha256[32], struct err *err)
{
    char hex[65];
    hex_encode(sha256, 32, hex);
    return err_set(err, ERR_NOT_FOUND, "there is no %s %s; upload it first", what, hex);
}

/* A statement whose one parameter is the hash. */
static bool run_of(struct fleetdb *db, enum query which, const uint8_t sha256[32], struct err *err)
{
    sqlite3_stmt *statement = query(db, which);
    sqlite_bind_bytes(statement, ":sha256", bytes_of(sha256, 32));
    return sqlite_run(db->sqlite, statement, err);
}

static bool value_of(struct fleetdb *db, enum query which, const uint8_t sha256[32],
                     int64_t *ret_value, struct err *err)
{
    sqlite3_stmt *statement = query(db, which);
    sqlite_bind_bytes(statement, ":sha256", bytes_of(sha256, 32));
    return sqlite_value(db->sqlite, statement, 0, ret_value, err);
}

bool fleetdb_blob_put(struct fleetdb *db, const uint8_t sha256[32], struct bytes content,
                      int64_t now_ms, struct err *err)
{
    sqlite3_stmt *put = query(db, PUT);
    sqlite_bind_bytes(put, ":sha256", bytes_of(sha256, 32));
    sqlite_bind_bytes(put, ":content", content);
    sqlite_bind_int(put, ":now", now_ms);
    return sqlite_run(db->sqlite, put, err);
}

bool fleetdb_blob_get(struct fleetdb *db, const uint8_t sha256[32], struct buf *out,
                      struct err *err)
{
    sqlite3_stmt *get = query(db, GET);
    sqlite_bind_bytes(get, ":sha256", bytes_of(sha256, 32));
    bool row;
    if (!sqlite_row(db->sqlite, get, &row, err))
        return false;
    if (!row)
        return missing("blob", sha256, err);
    struct bytes content = sqlite_column_bytes(get, 0);
    bool ok = buf_append(out, content.data, content.length, err);
    sqlite3_reset(get);
    return ok;
}

bool fleetdb_blob_size(struct fleetdb *db, const uint8_t sha256[32], uint64_t *ret_size,
                       struct err *err)
{
    int64_t size;
    if (!value_of(db, SIZE, sha256, &size, err))
        return false;
    *ret_size = (uint64_t)size;
    return true;
}

/* ---- lists of pieces ---- */

static bool keep_piece(struct fleetdb *db, int64_t list, size_t number, const uint8_t piece[32],
                       struct err *err)
{
    int64_t blob;
    if (!value_of(db, FIND, piece, &blob, err))
        return false;
    if (blob == 0)
        return missing("piece", piece, err);
    sqlite3_stmt *add = query(db, PIECE_ADD);
    sqlite_bind_int(add, ":list", list);
    sqlite_bind_int(add, ":number", (int64_t)number);
    sqlite_bind_int(add, ":blob", blob);
    return sqlite_run(db->sqlite, add, err);
}

static bool keep_pieces(struct fleetdb *db, int64_t list, struct bytes hashes, struct err *err)
{
    if (hashes.length == 0 || hashes.length % 32 != 0)
        return err_set(err, ERR_INVALID, "a list of pieces has 32 bytes for each, not %zu in all",
                       hashes.length);
    for (size_t i = 0; i < hashes.length / 32; i++)
        if (!keep_piece(db, list, i, hashes.data + 32 * i, err))
            return false;
    return true;
}

bool fleetdb_pieces_keep(struct fleetdb *db, const uint8_t list[32], struct err *err)
{
    int64_t row;
    struct buf hashes = {0};
    bool own;
    if (!value_of(db, FIND, list, &row, err))
        return false;
    if (!fleetdb_blob_get(db, list, &hashes, err) || !fleetdb_enter(db, &own, err)) {
        buf_done(&hashes);
        return false;
    }
    bool ok = fleetdb_leave(db, own, keep_pieces(db, row, buf_bytes(&hashes), err), err);
    buf_done(&hashes);
    return ok;
}

/* ---- at the broker, and here ---- */

bool fleetdb_blob_forget(struct fleetdb *db, int64_t before_ms, struct err *err)
{
    static const enum query steps[] = {LIST_FORGET, FORGET};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        sqlite3_stmt *forget = query(db, steps[i]);
        sqlite_bind_int(forget, ":before", before_ms);
        if (!sqlite_run(db->sqlite, forget, err))
            return false;
    }
    return true;
}

bool fleetdb_blob_retained(struct fleetdb *db, const uint8_t sha256[32], struct err *err)
{
    return run_of(db, RETAINED, sha256, err);
}

bool fleetdb_blob_withdrawn(struct fleetdb *db, const uint8_t sha256[32], bool *ret_wanted,
                            struct err *err)
{
    int64_t wanted;
    if (!run_of(db, WITHDRAWN, sha256, err) || !value_of(db, IS_WANTED, sha256, &wanted, err))
        return false;
    *ret_wanted = wanted != 0;
    return true;
}

bool fleetdb_blob_sweep(struct fleetdb *db, int64_t now_ms, struct err *err)
{
    sqlite3_stmt *sweep = query(db, SWEEP);
    sqlite_bind_int(sweep, ":now", now_ms);
    return sqlite_run(db->sqlite, sweep, err);
}

static void copy_hash(sqlite3_stmt *statement, int column, uint8_t to[32])
{
    struct bytes hash = sqlite_column_bytes(statement, column);
    memset(to, 0, 32);
    if (hash.length == 32)
        memcpy(to, hash.data, 32);
}

bool fleetdb_named_blob_each(struct fleetdb *db, int64_t device,
                             bool (*each)(void *ctx, const uint8_t sha256[32], struct err *err),
                             void *ctx, struct err *err)
{
    sqlite3_stmt *named = query(db, NAMED_NEW);
    sqlite_bind_int(named, ":device", device);
    for (;;) {
        uint8_t sha256[32];
        bool row;
        if (!sqlite_row(db->sqlite, named, &row, err))
            return false;
        if (!row)
            return true;
        copy_hash(named, 0, sha256);
        if (!each(ctx, sha256, err)) {
            sqlite3_reset(named);
            return false;
        }
    }
}

bool fleetdb_blob_is_named(struct fleetdb *db, int64_t device, const uint8_t sha256[32],
                           bool *ret_named, struct err *err)
{
    int64_t named;
    sqlite3_stmt *statement = query(db, IS_NAMED);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_bytes(statement, ":sha256", bytes_of(sha256, 32));
    if (!sqlite_value(db->sqlite, statement, 0, &named, err))
        return false;
    *ret_named = named != 0;
    return true;
}

bool fleetdb_blob_in_list(struct fleetdb *db, const uint8_t list[32], const uint8_t blob[32],
                          bool *ret_in, struct err *err)
{
    int64_t in;
    sqlite3_stmt *statement = query(db, IN_LIST);
    sqlite_bind_bytes(statement, ":list", bytes_of(list, 32));
    sqlite_bind_bytes(statement, ":sha256", bytes_of(blob, 32));
    if (!sqlite_value(db->sqlite, statement, 0, &in, err))
        return false;
    *ret_in = in != 0;
    return true;
}

bool fleetdb_wanted_blob_next(struct fleetdb *db, const uint8_t after[32], uint8_t ret_sha256[32],
                              bool *ret_found, struct err *err)
{
    sqlite3_stmt *next = query(db, WANTED_NEXT);
    sqlite_bind_bytes(next, ":after", bytes_of(after, 32));
    bool row;
    if (!sqlite_row(db->sqlite, next, &row, err))
        return false;
    if (row)
        copy_hash(next, 0, ret_sha256);
    sqlite3_reset(next);
    *ret_found = row;
    return true;
}

bool fleetdb_unwanted_blob_next(struct fleetdb *db, int64_t before_ms,
                                struct fleetdb_unwanted *cursor, bool *ret_found, struct err *err)
{
    sqlite3_stmt *next = query(db, UNWANTED_NEXT);
    sqlite_bind_int(next, ":before", before_ms);
    sqlite_bind_int(next, ":since", cursor->since_ms);
    sqlite_bind_int(next, ":row", cursor->row);
    bool row;
    if (!sqlite_row(db->sqlite, next, &row, err))
        return false;
    if (row) {
        cursor->since_ms = sqlite3_column_int64(next, 0);
        cursor->row = sqlite3_column_int64(next, 1);
        copy_hash(next, 2, cursor->sha256);
    }
    sqlite3_reset(next);
    *ret_found = row;
    return true;
}

/* ---- what manifests name ---- */

/* Runs WANT or UNWANT if no manifest names the blob now: at most once for each blob, however many
 * devices come to it or leave it. */
static bool mark(struct fleetdb *db, enum query which, int64_t blob, int64_t now_ms,
                 struct err *err)
{
    int64_t named;
    sqlite3_stmt *statement = query(db, NAMED_EVER);
    sqlite_bind_int(statement, ":blob", blob);
    if (!sqlite_value(db->sqlite, statement, 0, &named, err))
        return false;
    if (named != 0)
        return true;
    statement = query(db, which);
    sqlite_bind_int(statement, ":blob", blob);
    if (which == UNWANT)
        sqlite_bind_int(statement, ":now", now_ms);
    return sqlite_run(db->sqlite, statement, err);
}

static bool name_blob(struct fleetdb *db, int64_t device, const uint8_t sha256[32], int64_t now_ms,
                      struct err *err)
{
    int64_t blob;
    if (!value_of(db, FIND, sha256, &blob, err))
        return false;
    if (blob == 0)
        return missing("blob", sha256, err);
    if (!mark(db, WANT, blob, now_ms, err))
        return false;
    sqlite3_stmt *name = query(db, NAME);
    sqlite_bind_int(name, ":device", device);
    sqlite_bind_int(name, ":blob", blob);
    return sqlite_run(db->sqlite, name, err);
}

static bool unname_blob(struct fleetdb *db, int64_t device, int64_t blob, int64_t now_ms,
                        struct err *err)
{
    sqlite3_stmt *unname = query(db, UNNAME);
    sqlite_bind_int(unname, ":device", device);
    sqlite_bind_int(unname, ":blob", blob);
    return sqlite_run(db->sqlite, unname, err) && mark(db, UNWANT, blob, now_ms, err);
}

static bool is_among(const uint8_t (*blobs)[32], size_t count, struct bytes sha256)
{
    for (size_t i = 0; i < count; i++)
        if (sha256.length == 32 && memcmp(blobs[i], sha256.data, 32) == 0)
            return true;
    return false;
}

/* The device's blob that is not among these; 0: none is left. */
static bool next_stale(struct fleetdb *db, int64_t device, const uint8_t (*blobs)[32], size_t count,
                       int64_t *ret_blob, struct err *err)
{
    sqlite3_stmt *named = query(db, NAMED);
    sqlite_bind_int(named, ":device", device);
    for (;;) {
        bool row;
        if (!sqlite_row(db->sqlite, named, &row, err))
            return false;
        if (!row) {
            *ret_blob = 0;
            return true;
        }
        if (is_among(blobs, count, sqlite_column_bytes(named, 1)))
            continue;
        *ret_blob = sqlite3_column_int64(named, 0);
        sqlite3_reset(named);
        return true;
    }
}

static bool replace_blobs(struct fleetdb *db, int64_t device, const uint8_t (*blobs)[32],
                          size_t count, int64_t now_ms, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (!name_blob(db, device, blobs[i], now_ms, err))
            return false;
    for (;;) {
        int64_t stale;
        if (!next_stale(db, device, blobs, count, &stale, err))
            return false;
        if (stale == 0)
            return true;
        if (!unname_blob(db, device, stale, now_ms, err))
            return false;
    }
}

bool fleetdb_manifest_blobs(struct fleetdb *db, int64_t device, const uint8_t (*blobs)[32],
                            size_t count, int64_t now_ms, struct err *err)
{
    bool own;
    if (!fleetdb_enter(db, &own, err))
        return false;
    return fleetdb_leave(db, own, replace_blobs(db, device, blobs, count, now_ms, err), err);
}

bool fleetdb_blob_sums(struct fleetdb *db, struct fleetdb_blob_sums *ret_sums, struct err *err)
{
    sqlite3_stmt *sums = query(db, SUMS);
    bool row;
    if (!sqlite_row(db->sqlite, sums, &row, err))
        return false;
    *ret_sums = (struct fleetdb_blob_sums){0};
    if (row) /* an aggregate always gives one */
        *ret_sums = (struct fleetdb_blob_sums){
            .blobs = sqlite3_column_int64(sums, 0),
            .bytes = sqlite3_column_int64(sums, 1),
            .retained = sqlite3_column_int64(sums, 2),
            .unwanted = sqlite3_column_int64(sums, 3),
        };
    sqlite3_reset(sums);
    return true;
}
