/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_desired.h"

#include "storage/fleetdb_documents_internal.h"
#include "storage/fleetdb_final.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum query {
    ASSIGN,
    ASSIGN_WHOLE,
    UNASSIGN,
    ASSIGNED,
    MANIFEST_PUT,
    MANIFEST_GET,
    MANIFEST_REPORTED,
    MANIFEST_NEXT,
    ITEM_HELD,
    QUERIES,
};

/* 11: ITEM_PLACING. Another system's file is no start for a delta: only what is in force is. */
static const char *const queries[QUERIES] = {
    [ASSIGN] = "INSERT INTO assignment (device, name, document, mode, assigned_ms)"
               " VALUES (:device, :name, :document, :mode, :now)"
               " ON CONFLICT (device, name) DO UPDATE SET document = excluded.document,"
               " mode = excluded.mode, assigned_ms = excluded.assigned_ms,"
               " whole = iif(document = excluded.document, whole, 0)"
               " WHERE document <> excluded.document OR mode <> excluded.mode",
    [ASSIGN_WHOLE] = "UPDATE assignment SET whole = 1"
                     " WHERE device = :device AND name = :name AND whole = 0",
    [UNASSIGN] = "DELETE FROM assignment WHERE device = :device AND name = :name",
    [ASSIGNED] = "SELECT " FLEETDB_DOCUMENT_VALUES ", a.mode, a.whole FROM assignment a"
                 " JOIN document d ON d.id = a.document LEFT JOIN device v ON v.id = d.device"
                 " WHERE a.device = :device ORDER BY a.name",
    [MANIFEST_PUT] =
        "INSERT INTO manifest (device, epoch, version, root_version, issued_ms, envelope)"
        " VALUES (:device, :epoch, :version, :root_version, :issued, :envelope)"
        " ON CONFLICT (device) DO UPDATE SET epoch = excluded.epoch, version = excluded.version,"
        " root_version = excluded.root_version, issued_ms = excluded.issued_ms,"
        " envelope = excluded.envelope"
        " WHERE (manifest.epoch, manifest.version) < (excluded.epoch, excluded.version)",
    [MANIFEST_GET] = "SELECT epoch, version, root_version, issued_ms, envelope FROM manifest"
                     " WHERE device = :device",
    [MANIFEST_REPORTED] = "SELECT manifest_epoch, manifest_version FROM device_report"
                          " WHERE device = :device",
    [MANIFEST_NEXT] = "SELECT m.device, d.name, d.life_cycle = 'retired' FROM manifest m"
                      " JOIN device d ON d.id = m.device WHERE m.device > :after"
                      " ORDER BY m.device LIMIT 1",
    [ITEM_HELD] = "SELECT i.held_sha256, coalesce((iif(r.manifest_epoch = 0, m.epoch,"
                  "   r.manifest_epoch), r.manifest_version) = (m.epoch, m.version), 0)"
                  " FROM device_item i LEFT JOIN device_report r ON r.device = i.device"
                  " LEFT JOIN manifest m ON m.device = i.device"
                  " WHERE i.device = :device AND i.name = :name"
                  " AND (i.owned = 0 OR i.state = 11)",
};

const struct fleetdb_queries fleetdb_desired_queries = {queries, QUERIES};

static sqlite3_stmt *query(struct fleetdb *db, enum query which)
{
    return fleetdb_query(db, FLEETDB_PART_DESIRED, which);
}

/* ---- assignments ---- */

bool fleetdb_assign(struct fleetdb *db, int64_t device, const char *name, int64_t document,
                    int mode, int64_t now_ms, bool *ret_changed, struct err *err)
{
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

bool fleetdb_assign_whole(struct fleetdb *db, int64_t device, const char *name, bool *ret_changed,
                          struct err *err)
{
    sqlite3_stmt *whole = query(db, ASSIGN_WHOLE);
    sqlite_bind_int(whole, ":device", device);
    sqlite_bind_text(whole, ":name", name);
    if (!sqlite_run(db->sqlite, whole, err))
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
        bool read = fleetdb_document_read(db, assigned, encodings, &document, err);
        document.whole = read && sqlite3_column_int(assigned, 15) != 0;
        if (!read || !each(ctx, &document, sqlite3_column_int(assigned, 14), err)) {
            sqlite3_reset(assigned);
            return false;
        }
    }
}

/* ---- manifests ---- */

static bool put_manifest(struct fleetdb *db, int64_t device,
                         const struct fleetdb_manifest *manifest, struct bytes envelope,
                         struct err *err)
{
    sqlite3_stmt *put = query(db, MANIFEST_PUT);
    sqlite_bind_int(put, ":device", device);
    sqlite_bind_u64(put, ":epoch", manifest->epoch);
    sqlite_bind_u64(put, ":version", manifest->version);
    sqlite_bind_u64(put, ":root_version", manifest->root_version);
    sqlite_bind_int(put, ":issued", manifest->issued_ms);
    sqlite_bind_bytes(put, ":envelope", envelope);
    if (!sqlite_run(db->sqlite, put, err))
        return false;
    if (sqlite_changes(db->sqlite) == 0)
        return err_set(err, ERR_CONFLICT,
                       "manifest %" PRIu64 " of epoch %" PRIu64 " is not newer than the one held",
                       manifest->version, manifest->epoch);
    return fleetdb_final_raise(db, device, manifest->version, err) &&
           fleetdb_manifest_blobs(db, device, manifest->blobs, manifest->blob_count,
                                  manifest->issued_ms, err);
}

bool fleetdb_manifest_put(struct fleetdb *db, int64_t device,
                          const struct fleetdb_manifest *manifest, struct bytes envelope,
                          struct err *err)
{
    bool own;
    if (!fleetdb_enter(db, &own, err))
        return false;
    return fleetdb_leave(db, own, put_manifest(db, device, manifest, envelope, err), err);
}

bool fleetdb_manifest_get(struct fleetdb *db, int64_t device, struct fleetdb_manifest *ret_manifest,
                          struct buf *out, struct err *err)
{
    sqlite3_stmt *get = query(db, MANIFEST_GET);
    sqlite_bind_int(get, ":device", device);
    bool row, ok = true;
    if (!sqlite_row(db->sqlite, get, &row, err))
        return false;
    struct fleetdb_manifest manifest = {0};
    if (row)
        manifest = (struct fleetdb_manifest){
            .epoch = sqlite_column_u64(get, 0),
            .version = sqlite_column_u64(get, 1),
            .root_version = sqlite_column_u64(get, 2),
            .issued_ms = sqlite3_column_int64(get, 3),
        };
    if (row && out != NULL) {
        struct bytes envelope = sqlite_column_bytes(get, 4);
        ok = buf_append(out, envelope.data, envelope.length, err);
    }
    sqlite3_reset(get);
    if (ok)
        *ret_manifest = manifest;
    return ok;
}

bool fleetdb_manifest_reported(struct fleetdb *db, int64_t device, uint64_t *ret_epoch,
                               uint64_t *ret_version, struct err *err)
{
    sqlite3_stmt *reported = query(db, MANIFEST_REPORTED);
    sqlite_bind_int(reported, ":device", device);
    bool row;
    if (!sqlite_row(db->sqlite, reported, &row, err))
        return false;
    *ret_epoch = row ? sqlite_column_u64(reported, 0) : 0;
    *ret_version = row ? sqlite_column_u64(reported, 1) : 0;
    sqlite3_reset(reported);
    return true;
}

bool fleetdb_item_held(struct fleetdb *db, int64_t device, const char *name, uint8_t ret_sha256[32],
                       bool *ret_found, bool *ret_newest, struct err *err)
{
    sqlite3_stmt *held = query(db, ITEM_HELD);
    sqlite_bind_int(held, ":device", device);
    sqlite_bind_text(held, ":name", name);
    bool row;
    if (!sqlite_row(db->sqlite, held, &row, err))
        return false;
    struct bytes hash = row ? sqlite_column_bytes(held, 0) : bytes_of(NULL, 0);
    *ret_found = hash.length == 32;
    *ret_newest = *ret_found && sqlite3_column_int(held, 1) != 0;
    if (*ret_found)
        memcpy(ret_sha256, hash.data, 32);
    sqlite3_reset(held);
    return true;
}

bool fleetdb_manifest_next(struct fleetdb *db, int64_t after, struct fleetdb_manifest_at *ret_at,
                           bool *ret_found, struct err *err)
{
    sqlite3_stmt *next = query(db, MANIFEST_NEXT);
    sqlite_bind_int(next, ":after", after);
    bool row;
    if (!sqlite_row(db->sqlite, next, &row, err))
        return false;
    if (row) {
        ret_at->device = sqlite3_column_int64(next, 0);
        (void)snprintf(ret_at->id, sizeof ret_at->id, "%s", sqlite_column_text(next, 1));
        ret_at->retired = sqlite3_column_int(next, 2) != 0;
    }
    sqlite3_reset(next);
    *ret_found = row;
    return true;
}
