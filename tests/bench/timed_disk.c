/* SPDX-License-Identifier: Apache-2.0 */
/* Stands before base/file_effects.c (the linker's --wrap) and counts what the disk costs. */
#include "tests/bench/timed_disk.h"

#include "base/file_effects.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t spent_ns;

int64_t timed_disk_ns(void)
{
    return spent_ns;
}

/* Of this thread: the effects run on libuv's workers. */
static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The function that the linker calls instead of file_effect_<name>. */
#define TIMED(type, name, parameters, arguments)                                                   \
    type __real_file_effect_##name parameters;                                                     \
    type __wrap_file_effect_##name parameters;                                                     \
    type __wrap_file_effect_##name parameters                                                      \
    {                                                                                              \
        int64_t since_ns = now_ns();                                                               \
        type result = __real_file_effect_##name arguments;                                         \
        spent_ns += now_ns() - since_ns;                                                           \
        return result;                                                                             \
    }

TIMED(int, create, (const char *path, unsigned mode), (path, mode))
TIMED(ssize_t, write, (int fd, struct bytes part), (fd, part))
TIMED(ssize_t, write_at, (int fd, struct bytes part, off_t offset), (fd, part, offset))
TIMED(int, chmod, (int fd, unsigned mode), (fd, mode))
TIMED(int, sync, (int fd), (fd))
TIMED(int, rename, (const char *from, const char *to), (from, to))
TIMED(int, link, (const char *from, const char *to), (from, to))
TIMED(int, symlink, (const char *target, const char *path), (target, path))
TIMED(int, unlink, (int dir_fd, const char *name, bool is_dir), (dir_fd, name, is_dir))
TIMED(int, mkdir, (const char *path, unsigned mode), (path, mode))
