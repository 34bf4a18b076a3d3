/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/disk/tap.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static const struct disk_tap *current;

const struct disk_tap *disk_tap_set(const struct disk_tap *tap)
{
    const struct disk_tap *before = current;
    current = tap;
    return before;
}

bool disk_tapped(void)
{
    return current != NULL;
}

int disk_before(const struct disk_op *op)
{
    int failed = current != NULL && current->before != NULL ? current->before(current->ctx, op) : 0;
    if (failed != 0)
        errno = failed;
    return failed;
}

void disk_after(const struct disk_op *op)
{
    int kept = errno;
    if (current != NULL && current->after != NULL)
        current->after(current->ctx, op);
    errno = kept;
}

uint64_t disk_inode(const char *path)
{
    struct stat st;
    int kept = errno;
    uint64_t inode = lstat(path, &st) == 0 ? st.st_ino : 0;
    errno = kept;
    return inode;
}

uint64_t disk_parent(const char *path, const char **ret_name)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    *ret_name = slash != NULL ? slash + 1 : path;
    size_t length = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    if (length == 0)
        return disk_inode(".");
    if (length >= sizeof dir)
        return 0;
    memcpy(dir, path, length);
    dir[length] = '.'; /* "a/." follows a link that `a` may be, as the kernel does */
    if (length + 1 >= sizeof dir)
        return 0;
    dir[length + 1] = '\0';
    return disk_inode(dir);
}

const char *disk_kind_name(enum disk_kind kind)
{
    static const char *const names[DISK_KINDS] = {
        [DISK_READ] = "read",         [DISK_CREATE] = "create", [DISK_WRITE] = "write",
        [DISK_TRUNCATE] = "truncate", [DISK_SYNC] = "sync",     [DISK_SYNC_DIR] = "sync_dir",
        [DISK_CHMOD] = "chmod",       [DISK_RENAME] = "rename", [DISK_LINK] = "link",
        [DISK_SYMLINK] = "symlink",   [DISK_UNLINK] = "unlink", [DISK_MKDIR] = "mkdir",
    };
    return names[kind];
}
