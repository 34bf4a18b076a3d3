/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_documents.h"

#include "storage/fleetdb_blobs.h"
#include "storage/fleetdb_documents_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum query {
    ADD,
    FIND,
    SAME,
    ALL,
    OF_NAME,
    OF_CONTENT,
    OF_ROW,
    STANDING,
    BLOB_FIND,
    ENCODING_ADD,
    ENCODING_COUNT,
    ENCODINGS,
    DELTA_FORGET,
    QUERIES,
};

#define NEWEST "ORDER BY epoch DESC, version DESC LIMIT 1"

static const char *const queries[QUERIES] = {
    [ADD] = "INSERT INTO document (name, device, epoch, version, kind, scope, irreversible, length,"
            " sha256, minimum_version, header, published_ms) VALUES (:name, nullif(:device, 0),"
            " :epoch, :version, :kind, :scope, :irreversible, :length, :sha256, :minimum, :header,"
            " :now) ON CONFLICT DO NOTHING RETURNING id",
    [FIND] = "SELECT id, version FROM document WHERE name = :name"
             " AND coalesce(device, 0) IN (0, :device) AND epoch = :epoch"
             " AND (:version = 0 OR version = :version) " NEWEST,
    [SAME] = "SELECT id, published_ms FROM document WHERE name = :name"
             " AND coalesce(device, 0) = :device AND epoch = :epoch AND version = :version"
             " AND header = :header",
    [ALL] = "SELECT " FLEETDB_DOCUMENT_COLUMNS
            " ORDER BY d.name, coalesce(d.device, 0), d.epoch DESC, d.version DESC",
    [OF_NAME] = "SELECT " FLEETDB_DOCUMENT_COLUMNS " WHERE d.name = :name"
                " ORDER BY coalesce(d.device, 0), d.epoch DESC, d.version DESC",
    [OF_CONTENT] = "SELECT " FLEETDB_DOCUMENT_COLUMNS " WHERE d.sha256 = :sha256 LIMIT 1",
    [OF_ROW] = "SELECT " FLEETDB_DOCUMENT_COLUMNS " WHERE d.id = :row",
    [STANDING] = "SELECT d.epoch, max(d.version), max(d.minimum_version),"
                 " (SELECT kind FROM document WHERE name = :name " NEWEST ")"
                 " FROM document d WHERE d.name = :name"
                 " AND (:device = 0 OR coalesce(d.device, 0) IN (0, :device))"
                 " GROUP BY d.epoch ORDER BY d.epoch DESC LIMIT 1",
    [BLOB_FIND] = "SELECT id FROM blob WHERE sha256 = :sha256",
    [ENCODING_ADD] = "INSERT INTO encoding (document, blob, coding, base, piece_bytes, pieces_size)"
                     " VALUES (:document, :blob, :coding, :base, :piece_bytes, :pieces_size)"
                     " ON CONFLICT DO NOTHING",
    [ENCODING_COUNT] = "SELECT count(*) FROM encoding WHERE document = :document",
    [ENCODINGS] = "SELECT e.coding, b.sha256, length(b.content), e.base, e.piece_bytes,"
                  " e.pieces_size FROM encoding e"
                  " JOIN blob b ON b.id = e.blob WHERE e.document = :document"
                  " ORDER BY e.pieces_size + length(b.content), b.sha256",
    [DELTA_FORGET] =
        "DELETE FROM encoding WHERE base <> x'' AND document IN (SELECT id FROM document"
        " WHERE name = :name AND coalesce(device, 0) = :device)"
        " AND document NOT IN (SELECT id FROM document WHERE name = :name"
        " AND coalesce(device, 0) = :device ORDER BY epoch DESC, version DESC LIMIT :keep)"
        " AND document NOT IN (SELECT document FROM assignment)",
};

const struct fleetdb_queries fleetdb_document_queries = {queries, QUERIES};

static sqlite3_stmt *query(struct fleetdb *db, enum query which)
{
    return fleetdb_query(db, FLEETDB_PART_DOCUMENTS, which);
}

/* ---- adding ---- */

static bool find_blob(struct fleetdb *db, const uint8_t sha256[32], int64_t *ret_blob,
                      struct err *err)
{
    char hex[65];
    sqlite3_stmt *find = query(db, BLOB_FIND);
    sqlite_bind_bytes(find, ":sha256", bytes_of(sha256, 32));
    if (!sqlite_value(db->sqlite, find, 0, ret_blob, err))
        return false;
    hex_encode(sha256, 32, hex);
    return *ret_blob != 0 ||
           err_set(err, ERR_NOT_FOUND, "there is no blob %s; upload it first", hex);
}

static bool check_room(struct fleetdb *db, int64_t document, struct err *err)
{
    int64_t count;
    sqlite3_stmt *statement = query(db, ENCODING_COUNT);
    sqlite_bind_int(statement, ":document", document);
    if (!sqlite_value(db->sqlite, statement, 0, &count, err))
        return false;
    return count < FLEETDB_ENCODINGS_MAX ||
           err_set(err, ERR_FULL, "the document has %d encodings already, as many as are held",
                   FLEETDB_ENCODINGS_MAX);
}

static bool add_encoding(struct fleetdb *db, int64_t document,
                         const struct fleetdb_encoding *encoding, bool *ret_added, struct err *err)
{
    int64_t blob = 0;
    if (!find_blob(db, encoding->blob, &blob, err) || !check_room(db, document, err) ||
        (encoding->piece_bytes != 0 && !fleetdb_pieces_keep(db, encoding->blob, err)))
        return false;
    sqlite3_stmt *add = query(db, ENCODING_ADD);
    sqlite_bind_int(add, ":document", document);
    sqlite_bind_int(add, ":blob", blob);
    sqlite_bind_int(add, ":coding", encoding->coding);
    size_t base_bytes = encoding->delta ? sizeof encoding->base : 0;
    sqlite_bind_bytes(add, ":base", bytes_of(encoding->base, base_bytes));
    sqlite_bind_int(add, ":piece_bytes", encoding->piece_bytes);
    sqlite_bind_u64(add, ":pieces_size", encoding->pieces_size);
    if (!sqlite_run(db->sqlite, add, err))
        return false;
    *ret_added = sqlite_changes(db->sqlite) > 0;
    return true;
}

bool fleetdb_encoding_add(struct fleetdb *db, int64_t document,
                          const struct fleetdb_encoding *encoding, bool *ret_added, struct err *err)
{
    bool own;
    if (!fleetdb_enter(db, &own, err))
        return false;
    return fleetdb_leave(db, own, add_encoding(db, document, encoding, ret_added, err), err);
}

static bool add_row(struct fleetdb *db, const struct fleetdb_document *document, int64_t *ret_row,
                    struct err *err)
{
    sqlite3_stmt *add = query(db, ADD);
    sqlite_bind_text(add, ":name", document->name);
    sqlite_bind_int(add, ":device", document->device);
    sqlite_bind_u64(add, ":epoch", document->epoch);
    sqlite_bind_u64(add, ":version", document->version);
    sqlite_bind_int(add, ":kind", document->kind);
    sqlite_bind_int(add, ":scope", document->scope);
    sqlite_bind_int(add, ":irreversible", document->irreversible);
    sqlite_bind_u64(add, ":length", document->length);
    sqlite_bind_bytes(add, ":sha256", bytes_of(document->sha256, sizeof document->sha256));
    sqlite_bind_u64(add, ":minimum", document->minimum_version);
    sqlite_bind_bytes(add, ":header", document->header);
    sqlite_bind_int(add, ":now", document->published_ms);
    if (!sqlite_value(db->sqlite, add, 0, ret_row, err))
        return false;
    return *ret_row != 0 ||
           err_set(err, ERR_CONFLICT,
                   "document %s already has a version %" PRIu64 " in epoch %" PRIu64,
                   document->name, document->version, document->epoch);
}

static bool add_document(struct fleetdb *db, const struct fleetdb_document *document,
                         int64_t *ret_row, struct err *err)
{
    int64_t row = 0;
    bool added;
    if (!add_row(db, document, &row, err))
        return false;
    for (size_t i = 0; i < document->encoding_count; i++)
        if (!add_encoding(db, row, &document->encodings[i], &added, err))
            return err_context(err, "document %s", document->name);
    *ret_row = row;
    return true;
}

bool fleetdb_document_add(struct fleetdb *db, const struct fleetdb_document *document,
                          int64_t *ret_row, struct err *err)
{
    bool own;
    if (!fleetdb_enter(db, &own, err))
        return false;
    return fleetdb_leave(db, own, add_document(db, document, ret_row, err), err);
}

bool fleetdb_delta_forget(struct fleetdb *db, const char *name, int64_t device, int keep,
                          struct err *err)
{
    sqlite3_stmt *forget = query(db, DELTA_FORGET);
    sqlite_bind_text(forget, ":name", name);
    sqlite_bind_int(forget, ":device", device);
    sqlite_bind_int(forget, ":keep", keep);
    return sqlite_run(db->sqlite, forget, err);
}

/* ---- reading ---- */

static void copy_hash(sqlite3_stmt *statement, int column, uint8_t to[32])
{
    struct bytes hash = sqlite_column_bytes(statement, column);
    memset(to, 0, 32);
    if (hash.length == 32)
        memcpy(to, hash.data, 32);
}

static bool read_encodings(struct fleetdb *db, int64_t document, struct fleetdb_encoding *encodings,
                           size_t *ret_count, struct err *err)
{
    sqlite3_stmt *all = query(db, ENCODINGS);
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
        encodings[count] = (struct fleetdb_encoding){
            .coding = sqlite3_column_int(all, 0),
            .size = sqlite_column_u64(all, 2),
            .delta = sqlite3_column_bytes(all, 3) > 0,
            .piece_bytes = (uint32_t)sqlite3_column_int64(all, 4),
            .pieces_size = sqlite_column_u64(all, 5),
        };
        copy_hash(all, 1, encodings[count].blob);
        copy_hash(all, 3, encodings[count].base);
    }
}

bool fleetdb_document_read(struct fleetdb *db, sqlite3_stmt *statement,
                           struct fleetdb_encoding *encodings,
                           struct fleetdb_document *ret_document, struct err *err)
{
    struct fleetdb_document document = {
        .document = sqlite3_column_int64(statement, 0),
        .kind = sqlite3_column_int(statement, 2),
        .epoch = sqlite_column_u64(statement, 3),
        .version = sqlite_column_u64(statement, 4),
        .length = sqlite_column_u64(statement, 5),
        .minimum_version = sqlite_column_u64(statement, 6),
        .published_ms = sqlite3_column_int64(statement, 8),
        .header = sqlite_column_bytes(statement, 9),
        .device = sqlite3_column_int64(statement, 10),
        .scope = sqlite3_column_int(statement, 12),
        .irreversible = sqlite3_column_int(statement, 13) != 0,
        .encodings = encodings,
    };
    (void)snprintf(document.name, sizeof document.name, "%s", sqlite_column_text(statement, 1));
    (void)snprintf(document.device_id, sizeof document.device_id, "%s",
                   sqlite_column_text(statement, 11));
    copy_hash(statement, 7, document.sha256);
    if (!read_encodings(db, document.document, encodings, &document.encoding_count, err))
        return false;
    *ret_document = document;
    return true;
}

bool fleetdb_document_each(struct fleetdb *db, const char *name,
                           bool (*each)(void *ctx, const struct fleetdb_document *document,
                                        struct err *err),
                           void *ctx, struct err *err)
{
    sqlite3_stmt *all = query(db, name == NULL ? ALL : OF_NAME);
    if (name != NULL)
        sqlite_bind_text(all, ":name", name);
    for (;;) {
        struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
        struct fleetdb_document document;
        bool row;
        if (!sqlite_row(db->sqlite, all, &row, err))
            return false;
        if (!row)
            return true;
        if (!fleetdb_document_read(db, all, encodings, &document, err) ||
            !each(ctx, &document, err)) {
            sqlite3_reset(all);
            return false;
        }
    }
}

/* Of a statement that gives one document or none. */
static bool read_one(struct fleetdb *db, sqlite3_stmt *find, struct fleetdb_encoding *encodings,
                     struct fleetdb_document *ret_document, bool *ret_found, struct err *err)
{
    bool row;
    if (!sqlite_row(db->sqlite, find, &row, err))
        return false;
    bool ok = !row || fleetdb_document_read(db, find, encodings, ret_document, err);
    sqlite3_reset(find);
    if (ok && row)
        ret_document->header = bytes_of(NULL, 0); /* it was the statement's */
    *ret_found = row;
    return ok;
}

bool fleetdb_document_get(struct fleetdb *db, int64_t row, struct fleetdb_encoding *encodings,
                          struct fleetdb_document *ret_document, struct err *err)
{
    sqlite3_stmt *find = query(db, OF_ROW);
    bool found;
    sqlite_bind_int(find, ":row", row);
    if (!read_one(db, find, encodings, ret_document, &found, err))
        return false;
    return found || err_set(err, ERR_NOT_FOUND, "there is no such document");
}

bool fleetdb_document_of_content(struct fleetdb *db, const uint8_t sha256[32],
                                 struct fleetdb_encoding *encodings,
                                 struct fleetdb_document *ret_document, bool *ret_found,
                                 struct err *err)
{
    sqlite3_stmt *find = query(db, OF_CONTENT);
    sqlite_bind_bytes(find, ":sha256", bytes_of(sha256, 32));
    return read_one(db, find, encodings, ret_document, ret_found, err);
}

bool fleetdb_document_find(struct fleetdb *db, const struct fleetdb_wish *wish, int64_t *ret_row,
                           uint64_t *ret_version, struct err *err)
{
    sqlite3_stmt *find = query(db, FIND);
    sqlite_bind_text(find, ":name", wish->name);
    sqlite_bind_int(find, ":device", wish->device);
    sqlite_bind_u64(find, ":epoch", wish->epoch);
    sqlite_bind_u64(find, ":version", wish->version);
    bool row;
    if (!sqlite_row(db->sqlite, find, &row, err))
        return false;
    if (!row && wish->version == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no document %s in epoch %" PRIu64 "; publish it first", wish->name,
                       wish->epoch);
    if (!row)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no version %" PRIu64 " of document %s in epoch %" PRIu64
                       "; musterctl get documents lists those there are",
                       wish->version, wish->name, wish->epoch);
    *ret_row = sqlite3_column_int64(find, 0);
    *ret_version = sqlite_column_u64(find, 1);
    sqlite3_reset(find);
    return true;
}

bool fleetdb_document_same(struct fleetdb *db, struct fleetdb_document *document, struct err *err)
{
    sqlite3_stmt *same = query(db, SAME);
    sqlite_bind_text(same, ":name", document->name);
    sqlite_bind_int(same, ":device", document->device);
    sqlite_bind_u64(same, ":epoch", document->epoch);
    sqlite_bind_u64(same, ":version", document->version);
    sqlite_bind_bytes(same, ":header", document->header);
    bool row;
    if (!sqlite_row(db->sqlite, same, &row, err))
        return false;
    document->document = row ? sqlite3_column_int64(same, 0) : 0;
    if (row)
        document->published_ms = sqlite3_column_int64(same, 1);
    sqlite3_reset(same);
    return true;
}

bool fleetdb_document_standing(struct fleetdb *db, const char *name, int64_t device,
                               struct fleetdb_standing *ret_standing, struct err *err)
{
    sqlite3_stmt *standing = query(db, STANDING);
    sqlite_bind_text(standing, ":name", name);
    sqlite_bind_int(standing, ":device", device);
    bool row;
    if (!sqlite_row(db->sqlite, standing, &row, err))
        return false;
    *ret_standing = (struct fleetdb_standing){0};
    if (row)
        *ret_standing = (struct fleetdb_standing){
            .epoch = sqlite_column_u64(standing, 0),
            .newest_version = sqlite_column_u64(standing, 1),
            .minimum_version = sqlite_column_u64(standing, 2),
            .kind = sqlite3_column_int(standing, 3),
        };
    sqlite3_reset(standing);
    return true;
}
