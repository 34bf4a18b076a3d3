/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_room.h"

#include "base/disk.h"
#include "storage/fleetdb_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AUTO_VACUUM_INCREMENTAL = 2, MIB = 1024 * 1024 };

bool fleetdb_room_look(struct fleetdb *db, struct fleetdb_room *ret_room, struct err *err)
{
    int64_t page_bytes = 0, pages = 0, unused = 0, mode = 0;
    if (!sqlite_pragma(db->sqlite, &page_bytes, err, "PRAGMA page_size") ||
        !sqlite_pragma(db->sqlite, &pages, err, "PRAGMA page_count") ||
        !sqlite_pragma(db->sqlite, &unused, err, "PRAGMA freelist_count") ||
        !sqlite_pragma(db->sqlite, &mode, err, "PRAGMA auto_vacuum"))
        return false;
    *ret_room = (struct fleetdb_room){.file_bytes = pages * page_bytes,
                                      .free_bytes = unused * page_bytes,
                                      .shrinks = mode == AUTO_VACUUM_INCREMENTAL};
    return true;
}

bool fleetdb_room_give_back(struct fleetdb *db, int64_t spare_bytes, int64_t step_bytes,
                            int64_t *ret_bytes, bool *ret_more, struct err *err)
{
    struct fleetdb_room before, after;
    int64_t page_bytes = 0;
    char sql[64];
    if (!fleetdb_room_look(db, &before, err) ||
        !sqlite_pragma(db->sqlite, &page_bytes, err, "PRAGMA page_size"))
        return false;
    int64_t bytes = before.free_bytes - spare_bytes;
    *ret_bytes = 0;
    *ret_more = false;
    if (!before.shrinks || bytes < page_bytes)
        return true;
    *ret_more = bytes > step_bytes;
    bytes = *ret_more ? step_bytes : bytes;
    (void)snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%lld)",
                   (long long)(bytes / page_bytes));
    if (!sqlite_exec(db->sqlite, sql, err) || !fleetdb_room_look(db, &after, err))
        return false;
    *ret_bytes = before.file_bytes - after.file_bytes;
    return true;
}

bool fleetdb_room_checkpoint(struct fleetdb *db, bool empty, struct err *err)
{
    int64_t blocked = 0;
    /* Nobody waits for a reader. */
    if (!sqlite_pragma(db->sqlite, &blocked, err, "PRAGMA busy_timeout=0"))
        return false;
    bool done =
        sqlite_pragma(db->sqlite, &blocked, err,
                      empty ? "PRAGMA wal_checkpoint(TRUNCATE)" : "PRAGMA wal_checkpoint(PASSIVE)");
    int64_t ignored = 0;
    if (!sqlite_pragma(db->sqlite, &ignored, done ? err : NULL, "PRAGMA busy_timeout=%d",
                       FLEETDB_BUSY_MS))
        return false;
    return done && (!empty || blocked == 0 ||
                    err_set(err, ERR_UNAVAILABLE,
                            "another process reads the fleet database: its WAL stays for now"));
}

/* ---- all of it anew ---- */

static void folder_of(const char *path, char *folder, size_t size)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(folder, size, "%.*s",
                   slash == NULL   ? 1
                   : slash == path ? 1
                                   : (int)(slash - path),
                   slash == NULL ? "." : path);
}

/* A copy beside it, and all of it in the WAL before it takes the old one's place. */
static bool check_disk(struct fleetdb *db, const char *folder, struct err *err)
{
    struct fleetdb_room room;
    struct disk disk;
    if (!fleetdb_room_look(db, &room, err) || !disk_look(folder, &disk, err))
        return false;
    const uint64_t needed = 2 * (uint64_t)(room.file_bytes - room.free_bytes);
    return disk.free_bytes >= needed ||
           err_set(err, ERR_FULL,
                   "%s has %llu MiB free, and to write the fleet database anew takes %llu: make "
                   "room, or let retention remove more first",
                   folder, (unsigned long long)(disk.free_bytes / MIB),
                   (unsigned long long)(needed / MIB + 1));
}

bool fleetdb_vacuum(struct fleetdb *db, struct err *err)
{
    char folder[4096];
    folder_of(sqlite_path(db->sqlite), folder, sizeof folder);
    if (!check_disk(db, folder, err))
        return false;
    /* The copy is as large as the database: not in memory, nor where /tmp is. */
    if (setenv("SQLITE_TMPDIR", folder, 1) != 0)
        return err_set(err, ERR_NO_MEMORY, "fleet database: out of memory");
    return sqlite_exec(db->sqlite, "PRAGMA temp_store=FILE; PRAGMA auto_vacuum=INCREMENTAL; VACUUM",
                       err) &&
           sqlite_exec(db->sqlite, "PRAGMA temp_store=MEMORY", err) &&
           fleetdb_room_checkpoint(db, true, err);
}
