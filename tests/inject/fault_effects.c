/* SPDX-License-Identifier: Apache-2.0 */
/* In place of base/file_effects.c: the same system calls, counted, and failing on plan. A sync
 * that succeeds does nothing: no power is cut here. */
#include "base/file_effects.h"
#include "tests/inject/faults.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool strikes(enum fault_op op)
{
    enum fault_kind kind;
    return fault_strikes(op, &kind);
}

int file_effect_create(const char *path, unsigned mode)
{
    if (strikes(FAULT_CREATE))
        return -1;
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
}

/* A short write succeeds in part; the one after it finds no room. */
static size_t length_of(enum fault_op op, struct bytes part, bool *ret_fails)
{
    enum fault_kind kind = FAULT_EIO;
    *ret_fails = fault_strikes(op, &kind);
    if (*ret_fails && kind == FAULT_SHORT && part.length > 1) {
        *ret_fails = false;
        return part.length / 2;
    }
    return part.length;
}

ssize_t file_effect_write(int fd, struct bytes part)
{
    bool fails;
    size_t length = length_of(FAULT_WRITE, part, &fails);
    return fails ? -1 : write(fd, part.data, length);
}

ssize_t file_effect_write_at(int fd, struct bytes part, off_t offset)
{
    bool fails;
    size_t length = length_of(FAULT_PATCH, part, &fails);
    return fails ? -1 : pwrite(fd, part.data, length, offset);
}

int file_effect_chmod(int fd, unsigned mode)
{
    return strikes(FAULT_CHMOD) ? -1 : fchmod(fd, (mode_t)mode);
}

int file_effect_sync(int fd)
{
    (void)fd;
    return strikes(FAULT_SYNC) ? -1 : 0;
}

int file_effect_rename(const char *from, const char *to)
{
    return strikes(FAULT_RENAME) ? -1 : rename(from, to);
}

int file_effect_link(const char *from, const char *to)
{
    return strikes(FAULT_LINK) ? -1 : link(from, to);
}

int file_effect_symlink(const char *target, const char *path)
{
    return strikes(FAULT_SYMLINK) ? -1 : symlink(target, path);
}

int file_effect_unlink(int dir_fd, const char *name, bool is_dir)
{
    return strikes(FAULT_UNLINK) ? -1 : unlinkat(dir_fd, name, is_dir ? AT_REMOVEDIR : 0);
}

int file_effect_mkdir(const char *path, unsigned mode)
{
    return strikes(FAULT_MKDIR) ? -1 : mkdir(path, (mode_t)mode);
}
