/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_final.h"

#include "storage/fleetdb_internal.h"

enum query { GET, RAISE, PASS, QUERIES };

/* Only what is put in force (mode 2, repair) cannot be taken back; what is newer in any mode ends
 * that a name has to stay. Both as agent/floors.c has it. */
static const char *const texts[QUERIES] = {
    [GET] = "SELECT f.version, f.passed, coalesce(f.passed <> 0"
            " AND iif(r.manifest_epoch = 0, f.epoch, r.manifest_epoch) = f.epoch"
            " AND r.manifest_version >= f.passed, 0)"
            " FROM final f LEFT JOIN device_report r ON r.device = f.device"
            " WHERE f.device = :device AND f.name = :name AND f.epoch = :epoch",
    [RAISE] = "INSERT INTO final (device, name, epoch, version)"
              " SELECT a.device, a.name, d.epoch, d.version FROM assignment a"
              " JOIN document d ON d.id = a.document"
              " WHERE a.device = :device AND a.mode = 2 AND d.irreversible <> 0"
              " ON CONFLICT (device, name) DO UPDATE SET epoch = excluded.epoch,"
              " version = excluded.version, passed = 0"
              " WHERE (final.epoch, final.version) < (excluded.epoch, excluded.version)",
    [PASS] = "UPDATE final SET passed = :manifest WHERE device = :device AND passed = 0"
             " AND EXISTS (SELECT 1 FROM assignment a JOIN document d ON d.id = a.document"
             " WHERE a.device = final.device AND a.name = final.name"
             " AND d.epoch = final.epoch AND d.version > final.version)",
};

const struct fleetdb_queries fleetdb_final_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query, int64_t device)
{
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_FINAL, query);
    sqlite_bind_int(statement, ":device", device);
    return statement;
}

bool fleetdb_final_get(struct fleetdb *db, int64_t device, const char *name, uint64_t epoch,
                       struct fleetdb_final *ret_final, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, GET, device);
    bool row = false;
    sqlite_bind_text(statement, ":name", name);
    sqlite_bind_u64(statement, ":epoch", epoch);
    if (!sqlite_row(db->sqlite, statement, &row, err))
        return false;
    *ret_final = (struct fleetdb_final){0};
    if (row)
        *ret_final = (struct fleetdb_final){
            .version = sqlite_column_u64(statement, 0),
            .passed = sqlite_column_u64(statement, 1),
            .taken = sqlite3_column_int(statement, 2) != 0,
        };
    (void)sqlite3_reset(statement);
    return true;
}

bool fleetdb_final_raise(struct fleetdb *db, int64_t device, uint64_t manifest_version,
                         struct err *err)
{
    if (!sqlite_run(db->sqlite, query_of(db, RAISE, device), err))
        return false;
    sqlite3_stmt *pass = query_of(db, PASS, device);
    sqlite_bind_u64(pass, ":manifest", manifest_version);
    return sqlite_run(db->sqlite, pass, err);
}
