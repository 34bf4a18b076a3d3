/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/disk/tap.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of the shim, followed by the stock VFS's own. */
struct tapped_file {
    sqlite3_file base;
    uint64_t inode;
    uint64_t dir;
    bool dir_sync_due; /* the first sync of a journal syncs its directory too */
};

static sqlite3_vfs *stock(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

static struct tapped_file *tapped(sqlite3_file *file)
{
    return (struct tapped_file *)(void *)file;
}

static sqlite3_file *real(sqlite3_file *file)
{
    return (sqlite3_file *)(void *)(tapped(file) + 1);
}

static struct disk_op file_op(sqlite3_file *file, enum disk_kind kind, sqlite3_int64 offset)
{
    return (struct disk_op){.kind = kind,
                            .sqlite = true,
                            .inode = tapped(file)->inode,
                            .offset = (uint64_t)offset,
                            .name = "",
                            .to_name = ""};
}

static int tap_close(sqlite3_file *file)
{
    return real(file)->pMethods->xClose(real(file));
}

static int tap_read(sqlite3_file *file, void *data, int length, sqlite3_int64 offset)
{
    struct disk_op op = file_op(file, DISK_READ, offset);
    if (disk_before(&op) != 0)
        return SQLITE_IOERR_READ;
    int rc = real(file)->pMethods->xRead(real(file), data, length, offset);
    disk_after(&op);
    return rc;
}

static int tap_write(sqlite3_file *file, const void *data, int length, sqlite3_int64 offset)
{
    struct disk_op op = file_op(file, DISK_WRITE, offset);
    op.data = bytes_of(data, (size_t)length);
    int failed = disk_before(&op);
    if (failed != 0)
        return failed == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    int rc = real(file)->pMethods->xWrite(real(file), data, length, offset);
    if (rc == SQLITE_OK)
        disk_after(&op);
    return rc;
}

static int tap_truncate(sqlite3_file *file, sqlite3_int64 length)
{
    struct disk_op op = file_op(file, DISK_TRUNCATE, length);
    if (disk_before(&op) != 0)
        return SQLITE_IOERR_TRUNCATE;
    int rc = real(file)->pMethods->xTruncate(real(file), length);
    if (rc == SQLITE_OK)
        disk_after(&op);
    return rc;
}

static int tap_sync(sqlite3_file *file, int flags)
{
    struct disk_op op = file_op(file, DISK_SYNC, 0);
    if (disk_before(&op) != 0)
        return SQLITE_IOERR_FSYNC;
    int rc = real(file)->pMethods->xSync(real(file), flags);
    if (rc != SQLITE_OK)
        return rc;
    disk_after(&op);
    if (!tapped(file)->dir_sync_due)
        return SQLITE_OK;
    tapped(file)->dir_sync_due = false;
    op = (struct disk_op){
        .kind = DISK_SYNC_DIR, .sqlite = true, .dir = tapped(file)->dir, .name = "", .to_name = ""};
    if (disk_before(&op) == 0) /* the stock VFS says nothing when this one fails */
        disk_after(&op);
    return SQLITE_OK;
}

static int tap_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    return real(file)->pMethods->xFileSize(real(file), ret_size);
}

static int tap_lock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xLock(real(file), level);
}

static int tap_unlock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}

static int tap_check_reserved(sqlite3_file *file, int *ret_reserved)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), ret_reserved);
}

static int tap_control(sqlite3_file *file, int op, void *arg)
{
    return real(file)->pMethods->xFileControl(real(file), op, arg);
}

static int tap_sector_size(sqlite3_file *file)
{
    return real(file)->pMethods->xSectorSize(real(file));
}

static int tap_characteristics(sqlite3_file *file)
{
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

static int tap_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret_map)
{
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, ret_map);
}

static int tap_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
}

static void tap_shm_barrier(sqlite3_file *file)
{
    real(file)->pMethods->xShmBarrier(real(file));
}

static int tap_shm_unmap(sqlite3_file *file, int remove)
{
    return real(file)->pMethods->xShmUnmap(real(file), remove);
}

/* Version 2: without memory mapping, which would go past the tap. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = tap_close,
    .xRead = tap_read,
    .xWrite = tap_write,
    .xTruncate = tap_truncate,
    .xSync = tap_sync,
    .xFileSize = tap_file_size,
    .xLock = tap_lock,
    .xUnlock = tap_unlock,
    .xCheckReservedLock = tap_check_reserved,
    .xFileControl = tap_control,
    .xSectorSize = tap_sector_size,
    .xDeviceCharacteristics = tap_characteristics,
    .xShmMap = tap_shm_map,
    .xShmLock = tap_shm_lock,
    .xShmBarrier = tap_shm_barrier,
    .xShmUnmap = tap_shm_unmap,
};

static int tap_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    struct tapped_file *to = tapped(file);
    bool named = path != NULL && disk_tapped();
    bool is_new = named && (flags & SQLITE_OPEN_CREATE) != 0 && disk_inode(path) == 0;
    struct disk_op op = {.kind = DISK_CREATE, .sqlite = true, .name = "", .to_name = ""};
    memset(to, 0, sizeof *to);
    if (named)
        to->dir = op.dir = disk_parent(path, &op.name);
    if (is_new && disk_before(&op) != 0)
        return SQLITE_CANTOPEN;
    int rc = stock(vfs)->xOpen(stock(vfs), path, real(file), flags, ret_flags);
    if (real(file)->pMethods != NULL)
        file->pMethods = &methods;
    if (rc != SQLITE_OK || !named)
        return rc;
    to->inode = op.inode = disk_inode(path);
    const int journals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
    to->dir_sync_due = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & journals) != 0;
    if (is_new)
        disk_after(&op);
    return rc;
}

static int tap_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    struct disk_op op = {.kind = DISK_UNLINK, .sqlite = true, .name = "", .to_name = ""};
    if (disk_tapped()) {
        op.dir = disk_parent(path, &op.name);
        op.inode = disk_inode(path);
    }
    if (op.inode != 0 && disk_before(&op) != 0)
        return SQLITE_IOERR_DELETE;
    int rc = stock(vfs)->xDelete(stock(vfs), path, sync_dir);
    if (rc != SQLITE_OK || op.inode == 0)
        return rc;
    disk_after(&op);
    if (sync_dir == 0)
        return SQLITE_OK;
    op = (struct disk_op){
        .kind = DISK_SYNC_DIR, .sqlite = true, .dir = op.dir, .name = "", .to_name = ""};
    if (disk_before(&op) != 0)
        return SQLITE_IOERR_DIR_FSYNC;
    disk_after(&op);
    return SQLITE_OK;
}

static int tap_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret_result)
{
    return stock(vfs)->xAccess(stock(vfs), path, flags, ret_result);
}

static int tap_full_path(sqlite3_vfs *vfs, const char *path, int size, char *out)
{
    return stock(vfs)->xFullPathname(stock(vfs), path, size, out);
}

static int tap_randomness(sqlite3_vfs *vfs, int length, char *out)
{
    return stock(vfs)->xRandomness(stock(vfs), length, out);
}

static int tap_sleep(sqlite3_vfs *vfs, int microseconds)
{
    return stock(vfs)->xSleep(stock(vfs), microseconds);
}

static int tap_last_error(sqlite3_vfs *vfs, int length, char *out)
{
    return stock(vfs)->xGetLastError(stock(vfs), length, out);
}

static int tap_time(sqlite3_vfs *vfs, double *ret_now)
{
    return stock(vfs)->xCurrentTime(stock(vfs), ret_now);
}

static int tap_time_int(sqlite3_vfs *vfs, sqlite3_int64 *ret_now)
{
    return stock(vfs)->xCurrentTimeInt64(stock(vfs), ret_now);
}

void disk_tap_sqlite(void)
{
    static sqlite3_vfs vfs;
    sqlite3_vfs *below = sqlite3_vfs_find(NULL);
    if (below == NULL || below == &vfs)
        return;
    vfs = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(struct tapped_file) + below->szOsFile,
        .mxPathname = below->mxPathname,
        .zName = "tapped",
        .pAppData = below,
        .xOpen = tap_open,
        .xDelete = tap_delete,
        .xAccess = tap_access,
        .xFullPathname = tap_full_path,
        .xRandomness = tap_randomness,
        .xSleep = tap_sleep,
        .xCurrentTime = tap_time,
        .xGetLastError = tap_last_error,
        .xCurrentTimeInt64 = tap_time_int,
    };
    if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
        abort();
}
