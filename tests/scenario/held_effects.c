/* SPDX-License-Identifier: Apache-2.0 */
/* In place of base/file_effects.c: the agent stops before the change of its files that a test has
 * named, and stays there until it is killed. MUSTER_HOLD: a file that says where, or is not there:
 * EFFECT PART [OTHER]: the first EFFECT (create, rename, link, unlink, mkdir) of a path that has
 * this PART, and has not the other. It says so on stderr, "held: EFFECT PATH". Only the thread that
 * makes the change stops. */
#include "base/file_effects.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPEC_BYTES = 256 };

static void hold(const char *effect, const char *path)
{
    char spec[SPEC_BYTES] = "";
    const char *file = getenv("MUSTER_HOLD");
    int fd = file != NULL ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    ssize_t length = read(fd, spec, sizeof spec - 1);
    (void)close(fd);
    char *part = length > 0 ? strchr(spec, ' ') : NULL;
    if (part == NULL)
        return;
    *part++ = '\0';
    char *other = strchr(part, ' ');
    if (other != NULL)
        *other++ = '\0';
    if (strcmp(spec, effect) != 0 || strstr(path, part) == NULL ||
        (other != NULL && strstr(path, other) != NULL))
        return;
    (void)unlink(file);
    (void)fprintf(stderr, "held: %s %s\n", effect, path);
    for (;;)
        (void)pause();
}

int file_effect_create(const char *path, unsigned mode)
{
    hold("create", path);
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
    return fsync(fd);
}

int file_effect_rename(const char *from, const char *to)
{
    hold("rename", to);
    return rename(from, to);
}

int file_effect_link(const char *from, const char *to)
{
    hold("link", to);
    return link(from, to);
}

int file_effect_symlink(const char *target, const char *path)
{
    return symlink(target, path);
}

int file_effect_unlink(int dir_fd, const char *name, bool is_dir)
{
    hold("unlink", name);
    return unlinkat(dir_fd, name, is_dir ? AT_REMOVEDIR : 0);
}

int file_effect_mkdir(const char *path, unsigned mode)
{
    hold("mkdir", path);
    return mkdir(path, (mode_t)mode);
}
