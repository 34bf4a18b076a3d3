/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_snapshot.h"

#include "storage/fleetdb_internal.h"

#include <stdlib.h>

struct fleetdb_snapshot {
    struct sqlite *sqlite;
};

bool fleetdb_snapshot_open(struct fleetdb *db, struct fleetdb_snapshot **ret_snapshot,
                           struct err *err)
{
    struct fleetdb_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return err_set(err, ERR_NO_MEMORY, "fleet database: out of memory");
    if (!sqlite_open_snapshot(db->sqlite, &snapshot->sqlite, err)) {
        free(snapshot);
        return false;
    }
    *ret_snapshot = snapshot;
    return true;
}

void fleetdb_snapshot_close(struct fleetdb_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    sqlite_close(snapshot->sqlite);
    free(snapshot);
}

struct sqlite *fleetdb_read_from(struct fleetdb *db, const struct fleetdb_snapshot *snapshot)
{
    return snapshot != NULL ? snapshot->sqlite : db->sqlite;
}
