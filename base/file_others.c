/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file_others.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PART_BYTES = 64 * 1024, TICK_NS = 2 * 1000 * 1000, TICKS_MAX = 20 };

static enum file_others_found found_of(int failed)
{
    if (failed == ENOENT || failed == ENOTDIR)
        return FILE_OTHERS_MISSING;
    return failed == ELOOP ? FILE_OTHERS_NO_FILE : FILE_OTHERS_UNREADABLE;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The kernel stamps files by a clock of some milliseconds: what is written twice within one of them
 * looks as if it was written once. So the reading begins after the tick of the last change; a stamp
 * from the future, where the clock was set back, is not waited for. */
static void wait_for_tick(const struct stat *st)
{
    const struct timespec tick = {.tv_nsec = TICK_NS};
    struct timespec now;
    for (int i = 0; i < TICKS_MAX && clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0; i++) {
        if (now.tv_sec != st->st_ctim.tv_sec || now.tv_nsec > st->st_ctim.tv_nsec)
            return;
        (void)nanosleep(&tick, NULL);
    }
}

/* No more than it had when it was opened: who appends without end does not keep us here. */
static int read_parts(int fd, uint64_t length, void (*each)(void *ctx, struct bytes part),
                      void *ctx)
{
    uint8_t part[PART_BYTES];
    while (length > 0) {
        ssize_t n = read(fd, part, length < sizeof part ? (size_t)length : sizeof part);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return 0; /* it is shorter now, which its length tells */
        each(ctx, bytes_of(part, (size_t)n));
        length -= (uint64_t)n;
    }
    return 0;
}

static void read_open(int fd, bool (*wanted)(void *ctx, uint64_t length),
                      void (*each)(void *ctx, struct bytes part), void *ctx,
                      struct file_others *others)
{
    struct stat before, after;
    if (fstat(fd, &before) != 0) {
        *others = (struct file_others){.found = FILE_OTHERS_UNREADABLE, .why = errno};
        return;
    }
    if (!S_ISREG(before.st_mode)) {
        others->found = FILE_OTHERS_NO_FILE;
        return;
    }
    others->length = (uint64_t)before.st_size;
    if (!wanted(ctx, others->length)) {
        others->found = FILE_OTHERS_UNWANTED;
        return;
    }
    wait_for_tick(&before);
    others->why = read_parts(fd, others->length, each, ctx);
    if (others->why != 0)
        others->found = FILE_OTHERS_UNREADABLE;
    else if (fstat(fd, &after) != 0 || !is_same(&before, &after))
        others->found = FILE_OTHERS_CHANGED;
    else
        others->found = FILE_OTHERS_READ;
}

void file_others_read(const char *path, bool (*wanted)(void *ctx, uint64_t length),
                      void (*each)(void *ctx, struct bytes part), void *ctx,
                      struct file_others *ret_others)
{
    struct stat st;
    *ret_others = (struct file_others){0};
    /* Opening a device may set it going. */
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        ret_others->found = FILE_OTHERS_NO_FILE;
        return;
    }
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        ret_others->found = found_of(errno);
        ret_others->why = ret_others->found == FILE_OTHERS_UNREADABLE ? errno : 0;
        return;
    }
    read_open(fd, wanted, each, ctx, ret_others);
    (void)close(fd);
}
