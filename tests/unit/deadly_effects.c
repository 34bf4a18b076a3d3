/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/deadly_effects.h"

#include "base/file_effects.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int deadly_left = -1;

/* Of the journal: its file beside itself, until that has its name and the folder is synced. */
static bool writing;

static void strike(void)
{
    if (!writing || deadly_left < 0)
        return;
    if (deadly_left == 0)
        (void)kill(getpid(), SIGKILL);
    deadly_left--;
}

int file_effect_create(const char *path, unsigned mode)
{
    writing = writing || strstr(path, "/.actions.") != NULL;
    strike();
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
}

ssize_t file_effect_write(int fd, struct bytes part)
{
    strike();
    return write(fd, part.data, part.length);
}

ssize_t file_effect_write_at(int fd, struct bytes part, off_t offset)
{
    return pwrite(fd, part.data, part.length, offset);
}

int file_effect_chmod(int fd, unsigned mode)
{
    strike();
    return fchmod(fd, (mode_t)mode);
}

int file_effect_sync(int fd)
{
    strike();
    return fd >= 0 ? 0 : -1;
}

int file_effect_rename(const char *from, const char *to)
{
    strike();
    int done = rename(from, to);
    if (strstr(to, "/actions") != NULL) {
        strike(); /* it has its name, and nothing else has happened */
        writing = false;
    }
    return done;
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
