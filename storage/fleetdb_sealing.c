/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_sealing.h"

#include "storage/fleetdb_internal.h"

#include <stdio.h>

enum query { PUT, GET, QUERIES };

static const char *const texts[QUERIES] = {
    [PUT] = "UPDATE device SET sealing_certificate = :certificate, updated_ms = :now"
            " WHERE id = :device AND sealing_certificate <> :certificate RETURNING 1",
    [GET] = "SELECT sealing_certificate FROM device WHERE id = :device",
};

const struct fleetdb_queries fleetdb_sealing_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_SEALING, query);
}

bool fleetdb_sealing_put(struct fleetdb *db, int64_t device, struct bytes certificate,
                         const char *who, int64_t now_ms, bool *ret_changed, struct err *err)
{
    char text[80];
    int64_t changed = 0;
    bool own = false;
    if (!fleetdb_enter(db, &own, err))
        return false;
    sqlite3_stmt *statement = query_of(db, PUT);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_bytes(statement, ":certificate", certificate);
    sqlite_bind_int(statement, ":now", now_ms);
    (void)snprintf(text, sizeof text, "a certificate of %zu bytes", certificate.length);
    bool done =
        sqlite_value(db->sqlite, statement, 0, &changed, err) &&
        (changed == 0 || fleetdb_audit(db, now_ms, who, "sealing certificate", device, text, err));
    if (!fleetdb_leave(db, own, done, err))
        return false;
    *ret_changed = changed != 0;
    return true;
}

bool fleetdb_sealing_get(struct fleetdb *db, int64_t device, struct buf *out, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, GET);
    bool row = false;
    sqlite_bind_int(statement, ":device", device);
    if (!sqlite_row(db->sqlite, statement, &row, err))
        return false;
    if (!row)
        return err_set(err, ERR_NOT_FOUND, "no such device");
    struct bytes certificate = sqlite_column_bytes(statement, 0);
    bool ok = buf_append(out, certificate.data, certificate.length, err);
    (void)sqlite3_reset(statement);
    return ok;
}
