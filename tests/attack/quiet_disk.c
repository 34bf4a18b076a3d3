/* SPDX-License-Identifier: Apache-2.0 */
/* In place of base/file_effects.c: the same system calls, without the syncs. No power is cut here,
 * and thousands of terminals are set up. */
#include "base/file_effects.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int file_effect_create(const char *path, unsigned mode)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
}

ssize_t file_effect_write(int fd, struct bytes part)
{
    return write(fd, part.data, part.length);
}

ssize_t file_effect_write_at(int fd, struct bytes part, off_t offset)
{
    return pwrite(fd, part.data, part.length, offset);
}

int file_effect_chmod(int fd, unsigned mode)
{
    return fchmod(fd, (mode_t)mode);
}

int file_effect_sync(int fd)
{
    return fd >= 0 ? 0 : -1;
}

int file_effect_rename(const char *from, const char *to)
{
    return rename(from, to);
}

int file_effect_link(const char *from, const char *to)
{
    return link(from, to);
}

int file_effect_symlink(const char *target, const char *path)
{
    return symlink(target, path);
}

int file_effect_unlink(int dir_fd, const char *name, bool is_dir)
{
    return unlinkat(dir_fd, name, is_dir ? AT_REMOVEDIR : 0);
}

int file_effect_mkdir(const char *path, unsigned mode)
{
    return mkdir(path, (mode_t)mode);
}
