/* SPDX-License-Identifier: Apache-2.0 */
/* base/file_effects.c with the tap in between. */
#include "base/file_effects.h"

#include "tests/disk/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t inode_of(int fd, bool *ret_is_dir)
{
    struct stat st;
    if (!disk_tapped() || fstat(fd, &st) != 0)
        return 0;
    *ret_is_dir = S_ISDIR(st.st_mode);
    return st.st_ino;
}

/* An operation that makes an entry at `path`. */
static struct disk_op entry_op(enum disk_kind kind, const char *path)
{
    struct disk_op op = {.kind = kind, .name = "", .to_name = ""};
    if (disk_tapped())
        op.dir = disk_parent(path, &op.name);
    return op;
}

static struct disk_op file_op(enum disk_kind kind, int fd)
{
    bool is_dir = false;
    struct disk_op op = {.kind = kind, .name = "", .to_name = ""};
    op.inode = inode_of(fd, &is_dir);
    if (is_dir && kind == DISK_SYNC)
        op = (struct disk_op){.kind = DISK_SYNC_DIR, .dir = op.inode, .name = "", .to_name = ""};
    return op;
}

/* The entry of `op` was made: tells its inode. */
static void made(struct disk_op *op, const char *path)
{
    if (disk_tapped())
        op->inode = disk_inode(path);
    disk_after(op);
}

int file_effect_create(const char *path, unsigned mode)
{
    struct disk_op op = entry_op(DISK_CREATE, path);
    if (disk_before(&op) != 0)
        return -1;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd >= 0)
        made(&op, path);
    return fd;
}

ssize_t file_effect_write(int fd, struct bytes part)
{
    struct disk_op op = file_op(DISK_WRITE, fd);
    op.offset = (uint64_t)lseek(fd, 0, SEEK_CUR);
    op.data = part;
    if (disk_before(&op) != 0)
        return -1;
    ssize_t n = write(fd, part.data, part.length);
    if (n >= 0) {
        op.data.length = (size_t)n;
        disk_after(&op);
    }
    return n;
}

ssize_t file_effect_write_at(int fd, struct bytes part, off_t offset)
{
    struct disk_op op = file_op(DISK_WRITE, fd);
    op.offset = (uint64_t)offset;
    op.data = part;
    if (disk_before(&op) != 0)
        return -1;
    ssize_t n = pwrite(fd, part.data, part.length, offset);
    if (n >= 0) {
        op.data.length = (size_t)n;
        disk_after(&op);
    }
    return n;
}

/* `result` of a call that was allowed. */
static int done(const struct disk_op *op, int result)
{
    if (result == 0)
        disk_after(op);
    return result;
}

int file_effect_chmod(int fd, unsigned mode)
{
    struct disk_op op = file_op(DISK_CHMOD, fd);
    return disk_before(&op) != 0 ? -1 : done(&op, fchmod(fd, (mode_t)mode));
}

int file_effect_sync(int fd)
{
    struct disk_op op = file_op(DISK_SYNC, fd);
    return disk_before(&op) != 0 ? -1 : done(&op, fsync(fd));
}

int file_effect_rename(const char *from, const char *to)
{
    struct disk_op op = entry_op(DISK_RENAME, from);
    if (disk_tapped()) {
        op.inode = disk_inode(from);
        op.to_dir = disk_parent(to, &op.to_name);
    }
    return disk_before(&op) != 0 ? -1 : done(&op, rename(from, to));
}

int file_effect_link(const char *from, const char *to)
{
    struct disk_op op = entry_op(DISK_LINK, to);
    if (disk_tapped())
        op.inode = disk_inode(from);
    return disk_before(&op) != 0 ? -1 : done(&op, link(from, to));
}

int file_effect_symlink(const char *target, const char *path)
{
    struct disk_op op = entry_op(DISK_SYMLINK, path);
    op.data = bytes_of(target, strlen(target));
    if (disk_before(&op) != 0)
        return -1;
    int result = symlink(target, path);
    if (result == 0)
        made(&op, path);
    return result;
}

int file_effect_unlink(int dir_fd, const char *name, bool is_dir)
{
    struct disk_op op = {.kind = DISK_UNLINK, .name = name, .to_name = ""};
    struct stat st;
    bool ignored;
    if (disk_tapped()) {
        op.dir = dir_fd == AT_FDCWD ? disk_parent(name, &op.name) : inode_of(dir_fd, &ignored);
        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            op.inode = st.st_ino;
    }
    return disk_before(&op) != 0 ? -1
                                 : done(&op, unlinkat(dir_fd, name, is_dir ? AT_REMOVEDIR : 0));
}

int file_effect_mkdir(const char *path, unsigned mode)
{
    struct disk_op op = entry_op(DISK_MKDIR, path);
    if (disk_before(&op) != 0)
        return -1;
    int result = mkdir(path, (mode_t)mode);
    if (result == 0)
        made(&op, path);
    return result;
}
