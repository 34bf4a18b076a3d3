/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_roots.h"

#include "storage/fleetdb_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum query {
    ROOT_ADD,
    ROOTS_FORGET,
    ROOT_GET,
    ROOT_RANGE,
    ROOT_NEXT,
    ROOT_DEVICES,
    BEHIND_NEXT,
    BEHIND_COUNT,
    SIGNED,
    MOVE,
    QUERIES,
};

/* What is sealed is for one device, and `IS` compares "for all" too. */
#define SIGNED_AGAIN                                                                               \
    "(SELECT x.id FROM document x WHERE x.name = d.name AND x.device IS d.device"                  \
    " AND x.kind = d.kind AND x.length = d.length AND x.sha256 = d.sha256"                         \
    " ORDER BY x.epoch DESC, x.version DESC LIMIT 1)"

static const char *const queries[QUERIES] = {
    [ROOT_ADD] = "INSERT INTO root (version, epoch, issued_ms, envelope, published_ms)"
                 " VALUES (:version, :epoch, :issued, :envelope, :now)",
    [ROOTS_FORGET] = "DELETE FROM root",
    [ROOT_GET] = "SELECT envelope FROM root WHERE version = :version",
    [ROOT_RANGE] = "SELECT min(version), max(version) FROM root",
    [ROOT_NEXT] = "SELECT version, epoch, issued_ms, published_ms, envelope FROM root"
                  " WHERE version > :after ORDER BY version LIMIT 1",
    [ROOT_DEVICES] = "SELECT count(*) FROM device_report r JOIN device d ON d.id = r.device"
                     " WHERE r.root_version = :version AND d.life_cycle <> 'retired'",
    [BEHIND_NEXT] = "SELECT m.device, d.name FROM manifest m JOIN device d ON d.id = m.device"
                    " WHERE m.device > :after AND m.root_version <> :root"
                    " AND d.life_cycle <> 'retired' ORDER BY m.device LIMIT 1",
    [BEHIND_COUNT] = "SELECT count(*) FROM manifest m JOIN device d ON d.id = m.device"
                     " WHERE m.root_version <> :root AND d.life_cycle <> 'retired'",
    [SIGNED] = "SELECT a.name, d.id, n.id, d.header, n.header FROM assignment a"
               " JOIN document d ON d.id = a.document JOIN document n ON n.id = " SIGNED_AGAIN
               " WHERE a.device = :device ORDER BY a.name",
    [MOVE] = "UPDATE assignment SET document = :document"
             " WHERE device = :device AND name = :name",
};

const struct fleetdb_queries fleetdb_root_queries = {queries, QUERIES};

static sqlite3_stmt *query(struct fleetdb *db, enum query which)
{
    return fleetdb_query(db, FLEETDB_PART_ROOTS, which);
}

bool fleetdb_root_range(struct fleetdb *db, uint64_t *ret_first, uint64_t *ret_newest,
                        struct err *err)
{
    sqlite3_stmt *range = query(db, ROOT_RANGE);
    bool row;
    if (!sqlite_row(db->sqlite, range, &row, err))
        return false;
    *ret_first = row ? sqlite_column_u64(range, 0) : 0; /* null without a root */
    *ret_newest = row ? sqlite_column_u64(range, 1) : 0;
    sqlite3_reset(range);
    return true;
}

bool fleetdb_root_get(struct fleetdb *db, uint64_t version, struct buf *out, struct err *err)
{
    sqlite3_stmt *get = query(db, ROOT_GET);
    sqlite_bind_u64(get, ":version", version);
    bool row;
    if (!sqlite_row(db->sqlite, get, &row, err))
        return false;
    if (!row)
        return err_set(err, ERR_NOT_FOUND, "there is no root %" PRIu64 "; see get roots", version);
    struct bytes envelope = sqlite_column_bytes(get, 0);
    bool ok = buf_append(out, envelope.data, envelope.length, err);
    sqlite3_reset(get);
    return ok;
}

/* Of a version within the chain: the very same bytes, or another root. */
static bool is_same(struct fleetdb *db, const struct fleetdb_root *root, struct err *err)
{
    struct buf held = {0};
    bool ok = fleetdb_root_get(db, root->version, &held, err);
    if (ok && !bytes_equal(buf_bytes(&held), root->envelope))
        ok = err_set(err, ERR_CONFLICT, "there is another root %" PRIu64 " already", root->version);
    buf_done(&held);
    return ok;
}

bool fleetdb_root_add(struct fleetdb *db, const struct fleetdb_root *root, bool *ret_added,
                      struct err *err)
{
    uint64_t first, newest;
    if (!fleetdb_root_range(db, &first, &newest, err))
        return false;
    bool any = newest != 0;
    if (any && root->version >= first && root->version <= newest) {
        if (!is_same(db, root, err))
            return false;
        *ret_added = false;
        return true;
    }
    if (root->version == 0 || root->version > INT64_MAX ||
        (any && root->version != newest + 1 && root->version + 1 != first))
        return err_set(err, ERR_REFUSED,
                       "root %" PRIu64 " leaves a gap: those from %" PRIu64 " to %" PRIu64
                       " are here; publish the ones between first",
                       root->version, first, newest);
    sqlite3_stmt *add = query(db, ROOT_ADD);
    sqlite_bind_u64(add, ":version", root->version);
    sqlite_bind_u64(add, ":epoch", root->epoch);
    sqlite_bind_int(add, ":issued", root->issued_ms);
    sqlite_bind_bytes(add, ":envelope", root->envelope);
    sqlite_bind_int(add, ":now", root->published_ms);
    if (!sqlite_run(db->sqlite, add, err))
        return false;
    *ret_added = true;
    return true;
}

bool fleetdb_roots_begin(struct fleetdb *db, const struct fleetdb_root *root, struct err *err)
{
    char text[120];
    uint64_t first, newest;
    bool own = false, added = false;
    if (!fleetdb_root_range(db, &first, &newest, err) || !fleetdb_enter(db, &own, err))
        return false;
    (void)snprintf(text, sizeof text,
                   "root %" PRIu64 " begins another chain; %" PRIu64 " to %" PRIu64 " forgotten",
                   root->version, first, newest);
    bool done = sqlite_run(db->sqlite, query(db, ROOTS_FORGET), err) &&
                fleetdb_root_add(db, root, &added, err) &&
                fleetdb_audit(db, root->published_ms, "musterd", "begin roots", 0, text, err);
    return fleetdb_leave(db, own, done, err);
}

bool fleetdb_root_next(struct fleetdb *db, uint64_t after, struct fleetdb_root *ret_root,
                       struct buf *out, bool *ret_found, struct err *err)
{
    sqlite3_stmt *next = query(db, ROOT_NEXT);
    sqlite_bind_u64(next, ":after", after);
    bool row;
    if (!sqlite_row(db->sqlite, next, &row, err))
        return false;
    *ret_found = row;
    if (!row)
        return true;
    struct bytes envelope = sqlite_column_bytes(next, 4);
    size_t before = out->length;
    bool ok = buf_append(out, envelope.data, envelope.length, err);
    if (ok)
        *ret_root = (struct fleetdb_root){
            .version = sqlite_column_u64(next, 0),
            .epoch = sqlite_column_u64(next, 1),
            .issued_ms = sqlite3_column_int64(next, 2),
            .published_ms = sqlite3_column_int64(next, 3),
            .envelope = buf_after(out, before),
        };
    sqlite3_reset(next);
    return ok;
}

bool fleetdb_root_devices(struct fleetdb *db, uint64_t version, int64_t *ret_devices,
                          struct err *err)
{
    sqlite3_stmt *count = query(db, ROOT_DEVICES);
    sqlite_bind_u64(count, ":version", version);
    return sqlite_value(db->sqlite, count, 0, ret_devices, err);
}

bool fleetdb_manifest_behind_next(struct fleetdb *db, uint64_t root_version, int64_t after,
                                  struct fleetdb_device *ret_device, bool *ret_found,
                                  struct err *err)
{
    sqlite3_stmt *next = query(db, BEHIND_NEXT);
    sqlite_bind_int(next, ":after", after);
    sqlite_bind_u64(next, ":root", root_version);
    bool row;
    if (!sqlite_row(db->sqlite, next, &row, err))
        return false;
    char id[sizeof ret_device->id];
    (void)snprintf(id, sizeof id, "%s", row ? sqlite_column_text(next, 1) : "");
    sqlite3_reset(next);
    *ret_found = row;
    return !row || fleetdb_device_find(db, id, ret_device, err);
}

bool fleetdb_manifests_behind(struct fleetdb *db, uint64_t root_version, int64_t *ret_count,
                              struct err *err)
{
    sqlite3_stmt *count = query(db, BEHIND_COUNT);
    sqlite_bind_u64(count, ":root", root_version);
    return sqlite_value(db->sqlite, count, 0, ret_count, err);
}

bool fleetdb_signed_each(struct fleetdb *db, int64_t device,
                         bool (*each)(void *ctx, const struct fleetdb_signed *row, struct err *err),
                         void *ctx, struct err *err)
{
    sqlite3_stmt *all = query(db, SIGNED);
    sqlite_bind_int(all, ":device", device);
    for (;;) {
        bool row;
        if (!sqlite_row(db->sqlite, all, &row, err))
            return false;
        if (!row)
            return true;
        const struct fleetdb_signed pair = {
            .name = sqlite_column_text(all, 0),
            .document = sqlite3_column_int64(all, 1),
            .newest = sqlite3_column_int64(all, 2),
            .header = sqlite_column_bytes(all, 3),
            .newest_header = sqlite_column_bytes(all, 4),
        };
        if (!each(ctx, &pair, err)) {
            sqlite3_reset(all);
            return false;
        }
    }
}

bool fleetdb_assignment_move(struct fleetdb *db, int64_t device, const char *name, int64_t document,
                             struct err *err)
{
    sqlite3_stmt *move = query(db, MOVE);
    sqlite_bind_int(move, ":device", device);
    sqlite_bind_text(move, ":name", name);
    sqlite_bind_int(move, ":document", document);
    return sqlite_run(db->sqlite, move, err);
}
