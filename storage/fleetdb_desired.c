/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_desired.h"

#include "storage/fleetdb_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum query {
    BLOB_PUT,
    BLOB_GET,
    BLOB_FIND,
    BLOB_FORGET,
    DOCUMENT_ADD,
    DOCUMENT_FIND,
    DOCUMENT_ALL,
    DOCUMENT_STANDING,
    ENCODING_ADD,
    ENCODING_ALL,
    ASSIGN,
    UNASSIGN,
    ASSIGNED,
    MANIFEST_PUT,
    MANIFEST_GET,
    MANIFEST_REPORTED,
    MANIFEST_NEXT,
    WANTED_BLOB_NEXT,
    QUERIES,
};

#define DOCUMENT_COLUMNS                                                                           \
    "d.id, d.name, d.kind, d.epoch, d.version, d.length, d.minimum_version, d.sha256, "            \
    "d.published_ms, d.header"

static const char *const queries[QUERIES] = {
    [BLOB_PUT] = "INSERT INTO blob (sha256, content, stored_ms) VALUES (:sha256, :content, :now)"
                 " ON CONFLICT (sha256) DO UPDATE SET stored_ms = excluded.stored_ms",
    [BLOB_GET] = "SELECT content FROM blob WHERE sha256 = :sha256",
    [BLOB_FIND] = "SELECT id FROM blob WHERE sha256 = :sha256",
    [BLOB_FORGET] = "DELETE FROM blob WHERE stored_ms < :before"
                    " AND id NOT IN (SELECT blob FROM encoding)",
    [DOCUMENT_ADD] =
        "INSERT INTO document (name, version, kind, epoch, length, sha256, minimum_version, header,"
        " published_ms) VALUES (:name, :version, :kind, :epoch, :length, :sha256, :minimum, "
        ":header,"
        " :now) ON CONFLICT DO NOTHING RETURNING id",
    [DOCUMENT_FIND] = "SELECT id FROM document WHERE name = :name AND version = :version",
    [DOCUMENT_ALL] = "SELECT " DOCUMENT_COLUMNS " FROM document d ORDER BY d.name, d.version DESC",
    [DOCUMENT_STANDING] =
        "SELECT max(version), max(minimum_version), max(epoch),"
        " (SELECT kind FROM document WHERE name = :name ORDER BY version DESC LIMIT 1)"
        " FROM document WHERE name = :name",
    [ENCODING_ADD] = "INSERT INTO encoding (document, blob, coding, base)"
                     " VALUES (:document, :blob, :coding, :base)",
    [ENCODING_ALL] = "SELECT e.coding, b.sha256, length(b.content), e.base FROM encoding e"
                     " JOIN blob b ON b.id = e.blob WHERE e.document = :document"
                     " ORDER BY length(b.content), b.sha256",
    [ASSIGN] = "INSERT INTO assignment (device, name, document, mode, assigned_ms)"
               " VALUES (:device, :name, :document, :mode, :now)"
               " ON CONFLICT (device, name) DO UPDATE SET document = excluded.document,"
               " mode = excluded.mode, assigned_ms = excluded.assigned_ms"
               " WHERE document <> excluded.document OR mode <> excluded.mode",
    [UNASSIGN] = "DELETE FROM assignment WHERE device = :device AND name = :name",
    [ASSIGNED] = "SELECT " DOCUMENT_COLUMNS ", a.mode FROM assignment a"
                 " JOIN document d ON d.id = a.document WHERE a.device = :device ORDER BY a.name",
    [MANIFEST_PUT] = "INSERT INTO manifest (device, version, issued_ms, envelope)"
                     " VALUES (:device, :version, :now, :envelope)"
                     " ON CONFLICT (device) DO UPDATE SET version = excluded.version,"
                     " issued_ms = excluded.issued_ms, envelope = excluded.envelope"
                     " WHERE version < excluded.version",
    [MANIFEST_GET] = "SELECT version, envelope FROM manifest WHERE device = :device",
    [MANIFEST_REPORTED] = "SELECT manifest_version FROM device_report WHERE device = :device",
    [MANIFEST_NEXT] = "SELECT m.device, d.name FROM manifest m JOIN device d ON d.id = m.device"
                      " WHERE m.device > :after AND d.life_cycle <> 'retired'"
                      " ORDER BY m.device LIMIT 1",
    [WANTED_BLOB_NEXT] = "SELECT b.sha256 FROM blob b WHERE b.sha256 > :after AND EXISTS (SELECT 1"
                         " FROM encoding e JOIN assignment a ON a.document = e.document"
                         " WHERE e.blob = b.id) ORDER BY b.sha256 LIMIT 1",
};

const struct fleetdb_queries fleetdb_desired_queries = {queries, QUERIES};

static sqlite3_stmt *query(struct fleetdb *db, enum query which)
{
    return fleetdb_query(db, FLEETDB_PART_DESIRED, which);
}

/* ---- blobs ---- */

bool fleetdb_blob_put(struct fleetdb *db, const uint8_t sha256[32], struct bytes content,
                      int64_t now_ms, struct err *err)
{
    sqlite3_stmt *put = query(db, BLOB_PUT);
    sqlite_bind_bytes(put, ":sha256", bytes_of(sha256, 32));
    sqlite_bind_bytes(put, ":content", content);
    sqlite_bind_int(put, ":now", now_ms);
    return sqlite_run(db->sqlite, put, err);
}

static bool blob_missing(const uint8_t sha256[32], struct err *err)
{
    char hex[65];
    hex_encode(sha256, 32, hex);
    return err_set(err, ERR_NOT_FOUND, "there is no blob %s; upload it first", hex);
}

bool fleetdb_blob_get(struct fleetdb *db, const uint8_t sha256[32], struct buf *out,
                      struct err *err)
{
    sqlite3_stmt *get = query(db, BLOB_GET);
    sqlite_bind_bytes(get, ":sha256", bytes_of(sha256, 32));
    bool row;
    if (!sqlite_row(db->sqlite, get, &row, err))
        return false;
    if (!row)
        return blob_missing(sha256, err);
    struct bytes content = sqlite_column_bytes(get, 0);
    bool ok = buf_append(out, content.data, content.length, err);
    sqlite3_reset(get);
    return ok;
}

bool fleetdb_blob_forget(struct fleetdb *db, int64_t before_ms, struct err *err)
{
    sqlite3_stmt *forget = query(db, BLOB_FORGET);
    sqlite_bind_int(forget, ":before", before_ms);
    return sqlite_run(db->sqlite, forget, err);
}

/* ---- documents ---- */

static bool add_encoding(struct fleetdb *db, int64_t document,
                         const struct fleetdb_encoding *encoding, struct err *err)
{
    sqlite3_stmt *find = query(db, BLOB_FIND);
    sqlite_bind_bytes(find, ":sha256", bytes_of(encoding->blob, sizeof encoding->blob));
    int64_t blob;
    if (!sqlite_value(db->sqlite, find, 0, &blob, err))
        return false;
    if (blob == 0)
        return blob_missing(encoding->blob, err);
    sqlite3_stmt *add = query(db, ENCODING_ADD);
    sqlite_bind_int(add, ":document", document);
    sqlite_bind_int(add, ":blob", blob);
    sqlite_bind_int(add, ":coding", encoding->coding);
    size_t base_bytes = encoding->delta ? sizeof encoding->base : 0;
    sqlite_bind_bytes(add, ":base", bytes_of(encoding->base, base_bytes));
    return sqlite_run(db->sqlite, add, err);
}

static bool add_document(struct fleetdb *db, const struct fleetdb_document *document,
                         struct err *err)
{
    if (document->encoding_count > FLEETDB_ENCODINGS_MAX)
        return err_set(err, ERR_INVALID, "document %s has %zu encodings, more than the %d allowed",
                       document->name, document->encoding_count, FLEETDB_ENCODINGS_MAX);
    sqlite3_stmt *add = query(db, DOCUMENT_ADD);
    sqlite_bind_text(add, ":name", document->name);
    sqlite_bind_u64(add, ":version", document->version);
    sqlite_bind_int(add, ":kind", document->kind);
    sqlite_bind_u64(add, ":epoch", document->epoch);
    sqlite_bind_u64(add, ":length", document->length);
    sqlite_bind_bytes(add, ":sha256", bytes_of(document->sha256, sizeof document->sha256));
    sqlite_bind_u64(add, ":minimum", document->minimum_version);
    sqlite_bind_bytes(add, ":header", document->header);
    sqlite_bind_int(add, ":now", document->published_ms);
    int64_t id;
    if (!sqlite_value(db->sqlite, add, 0, &id, err))
        return false;
    if (id == 0)
        return err_set(err, ERR_CONFLICT, "document %s already has a version %" PRIu64,
                       document->name, document->version);
    for (size_t i = 0; i < document->encoding_count; i++)
        if (!add_encoding(db, id, &document->encodings[i], err))
            return false;
    return true;
}

bool fleetdb_document_add(struct fleetdb *db, const struct fleetdb_document *document,
                          struct err *err)
{
    bool own;
    if (!fleetdb_enter(db, &own, err))
        return false;
    return fleetdb_leave(db, own, add_document(db, document, err), err);
}

static void copy_hash(sqlite3_stmt *statement, int column, uint8_t to[32])
{
    struct bytes hash = sqlite_column_bytes(statement, column);
    memset(to, 0, 32);
    if (hash.length == 32)
        memcpy(to, hash.data, 32);
}

/* `encodings` takes FLEETDB_ENCODINGS_MAX. */
static bool read_encodings(struct fleetdb *db, int64_t document, struct fleetdb_encoding *encodings,
                           size_t *ret_count, struct err *err)
{
    sqlite3_stmt *all = query(db, ENCODING_ALL);
    sqlite_bind_int(all, ":document", document);
    for (size_t count = 0;; count++) {
        bool row;
        if (!sqlite_row(db->sqlite, all, &row, err))
            return false;
        if (!row || count == FLEETDB_ENCODINGS_MAX) {
            sqlite3_reset(all);
            *ret_count = count;
            return true;
        }
        struct fleetdb_encoding *encoding = &encodings[count];
        encoding->coding = sqlite3_column_int(all, 0);
        encoding->size = sqlite_column_u64(all, 2);
        encoding->delta = sqlite3_column_bytes(all, 3) > 0;
        copy_hash(all, 1, encoding->blob);
        copy_hash(all, 3, encoding->base);
    }
}

/* The document in the statement's row: DOCUMENT_COLUMNS. */
static bool read_document(struct fleetdb *db, sqlite3_stmt *statement,
                          struct fleetdb_encoding *encodings, struct fleetdb_document *ret_document,
                          struct err *err)
{
    struct fleetdb_document document = {
        .kind = sqlite3_column_int(statement, 2),
        .epoch = sqlite_column_u64(statement, 3),
        .version = sqlite_column_u64(statement, 4),
        .length = sqlite_column_u64(statement, 5),
        .minimum_version = sqlite_column_u64(statement, 6),
        .published_ms = sqlite3_column_int64(statement, 8),
        .header = sqlite_column_bytes(statement, 9),
        .encodings = encodings,
    };
    (void)snprintf(document.name, sizeof document.name, "%s", sqlite_column_text(statement, 1));
    copy_hash(statement, 7, document.sha256);
    int64_t id = sqlite3_column_int64(statement, 0);
    if (!read_encodings(db, id, encodings, &document.encoding_count, err))
        return false;
    *ret_document = document;
    return true;
}

bool fleetdb_document_each(struct fleetdb *db,
                           bool (*each)(void *ctx, const struct fleetdb_document *document,
                                        struct err *err),
                           void *ctx, struct err *err)
{
    sqlite3_stmt *all = query(db, DOCUMENT_ALL);
    for (;;) {
        struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
        struct fleetdb_document document;
        bool row;
        if (!sqlite_row(db->sqlite, all, &row, err))
            return false;
        if (!row)
            return true;
        if (!read_document(db, all, encodings, &document, err) || !each(ctx, &document, err)) {
            sqlite3_reset(all);
            return false;
        }
    }
}

bool fleetdb_document_standing(struct fleetdb *db, const char *name,
                               struct fleetdb_standing *ret_standing, struct err *err)
{
    sqlite3_stmt *standing = query(db, DOCUMENT_STANDING);
    sqlite_bind_text(standing, ":name", name);
    bool row;
    if (!sqlite_row(db->sqlite, standing, &row, err))
        return false;
    *ret_standing = (struct fleetdb_standing){0};
    if (row) /* an aggregate always gives one; without a document its values are null, so 0 */
        *ret_standing = (struct fleetdb_standing){
            .newest_version = sqlite_column_u64(standing, 0),
            .minimum_version = sqlite_column_u64(standing, 1),
            .epoch = sqlite_column_u64(standing, 2),
            .kind = sqlite3_column_int(standing, 3),
        };
    sqlite3_reset(standing);
    return true;
}

/* ---- assignments ---- */

static bool find_document(struct fleetdb *db, const char *name, uint64_t version, int64_t *ret_id,
                          struct err *err)
{
    sqlite3_stmt *find = query(db, DOCUMENT_FIND);
    sqlite_bind_text(find, ":name", name);
    sqlite_bind_u64(find, ":version", version);
    int64_t id;
    if (!sqlite_value(db->sqlite, find, 0, &id, err))
        return false;
    if (id == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no version %" PRIu64 " of document %s; see the documents listed",
                       version, name);
    *ret_id = id;
    return true;
}

bool fleetdb_assign(struct fleetdb *db, int64_t device, const char *name, uint64_t version,
                    int mode, int64_t now_ms, bool *ret_changed, struct err *err)
{
    int64_t document = 0;
    if (!find_document(db, name, version, &document, err))
        return false;
    sqlite3_stmt *assign = query(db, ASSIGN);
    sqlite_bind_int(assign, ":device", device);
    sqlite_bind_text(assign, ":name", name);
    sqlite_bind_int(assign, ":document", document);
    sqlite_bind_int(assign, ":mode", mode);
    sqlite_bind_int(assign, ":now", now_ms);
    if (!sqlite_run(db->sqlite, assign, err))
        return false;
    *ret_changed = sqlite_changes(db->sqlite) > 0;
    return true;
}

bool fleetdb_unassign(struct fleetdb *db, int64_t device, const char *name, bool *ret_changed,
                      struct err *err)
{
    sqlite3_stmt *unassign = query(db, UNASSIGN);
    sqlite_bind_int(unassign, ":device", device);
    sqlite_bind_text(unassign, ":name", name);
    if (!sqlite_run(db->sqlite, unassign, err))
        return false;
    *ret_changed = sqlite_changes(db->sqlite) > 0;
    return true;
}

bool fleetdb_assigned_each(struct fleetdb *db, int64_t device,
                           bool (*each)(void *ctx, const struct fleetdb_document *document,
                                        int mode, struct err *err),
                           void *ctx, struct err *err)
{
    sqlite3_stmt *assigned = query(db, ASSIGNED);
    sqlite_bind_int(assigned, ":device", device);
    for (;;) {
        struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
        struct fleetdb_document document;
        bool row;
        if (!sqlite_row(db->sqlite, assigned, &row, err))
            return false;
        if (!row)
            return true;
        if (!read_document(db, assigned, encodings, &document, err) ||
            !each(ctx, &document, sqlite3_column_int(assigned, 10), err)) {
            sqlite3_reset(assigned);
            return false;
        }
    }
}

/* ---- manifests ---- */

bool fleetdb_manifest_put(struct fleetdb *db, int64_t device, uint64_t version,
                          struct bytes envelope, int64_t now_ms, struct err *err)
{
    sqlite3_stmt *put = query(db, MANIFEST_PUT);
    sqlite_bind_int(put, ":device", device);
    sqlite_bind_u64(put, ":version", version);
    sqlite_bind_int(put, ":now", now_ms);
    sqlite_bind_bytes(put, ":envelope", envelope);
    if (!sqlite_run(db->sqlite, put, err))
        return false;
    if (sqlite_changes(db->sqlite) == 0)
        return err_set(err, ERR_CONFLICT, "manifest %" PRIu64 " is not newer than the one held",
                       version);
    return true;
}

bool fleetdb_manifest_get(struct fleetdb *db, int64_t device, uint64_t *ret_version,
                          struct buf *out, struct err *err)
{
    sqlite3_stmt *get = query(db, MANIFEST_GET);
    sqlite_bind_int(get, ":device", device);
    bool row;
    if (!sqlite_row(db->sqlite, get, &row, err))
        return false;
    uint64_t version = row ? sqlite_column_u64(get, 0) : 0;
    bool ok = true;
    if (row && out != NULL) {
        struct bytes envelope = sqlite_column_bytes(get, 1);
        ok = buf_append(out, envelope.data, envelope.length, err);
    }
    sqlite3_reset(get);
    if (ok)
        *ret_version = version;
    return ok;
}

bool fleetdb_manifest_reported(struct fleetdb *db, int64_t device, uint64_t *ret_version,
                               struct err *err)
{
    sqlite3_stmt *reported = query(db, MANIFEST_REPORTED);
    sqlite_bind_int(reported, ":device", device);
    int64_t version;
    if (!sqlite_value(db->sqlite, reported, 0, &version, err))
        return false;
    *ret_version = (uint64_t)version;
    return true;
}

/* ---- cursors ---- */

bool fleetdb_manifest_next(struct fleetdb *db, int64_t after, int64_t *ret_device, char ret_id[33],
                           bool *ret_found, struct err *err)
{
    sqlite3_stmt *next = query(db, MANIFEST_NEXT);
    sqlite_bind_int(next, ":after", after);
    bool row;
    if (!sqlite_row(db->sqlite, next, &row, err))
        return false;
    if (row) {
        *ret_device = sqlite3_column_int64(next, 0);
        (void)snprintf(ret_id, 33, "%s", sqlite_column_text(next, 1));
    }
    sqlite3_reset(next);
    *ret_found = row;
    return true;
}

bool fleetdb_wanted_blob_next(struct fleetdb *db, const uint8_t after[32], uint8_t ret_sha256[32],
                              bool *ret_found, struct err *err)
{
    sqlite3_stmt *next = query(db, WANTED_BLOB_NEXT);
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
