/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is written meanwhile is left out. */
static bool read_from(int fd, off_t at, size_t length, struct buf *out, const char *path,
                      struct err *err)
{
    uint8_t *room = buf_reserve(out, length, err);
    size_t done = 0;
    while (room != NULL && done < length) {
        ssize_t n = pread(fd, room + done, length - done, at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "reading %s", path);
        if (n == 0) /* it was cut meanwhile */
            break;
        done += (size_t)n;
    }
    out->length += done;
    return room != NULL;
}

/* Where root alone may make names, a link is root's word. */
static bool is_roots(int folder)
{
    struct stat look;
    return fstat(folder, &look) == 0 && look.st_uid == 0 &&
           (look.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* One name of the path. */
static int step(int folder, const char *name, bool last)
{
    /* Not to be held up by a pipe that nobody writes to. */
    int flags = (last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY) | O_CLOEXEC;
    int fd = openat(folder, name, flags | O_NOFOLLOW);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR) && is_roots(folder))
        fd = openat(folder, name, flags);
    return fd;
}

static int open_itself(const char *path, struct err *err)
{
    char copy[PATH_MAX], *rest = NULL;
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy) {
        err_set(err, ERR_INVALID, "a path of %zu characters", strlen(path));
        return -1;
    }
    int at = open(path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (char *name = strtok_r(copy, "/", &rest), *next; at >= 0 && name != NULL; name = next) {
        next = strtok_r(NULL, "/", &rest);
        int fd = step(at, name, next == NULL);
        int why = errno;
        (void)close(at);
        at = fd;
        errno = why;
    }
    if (at < 0 && (errno == ELOOP || errno == ENOTDIR))
        err_set(err, ERR_REFUSED,
                "%s: a part of it is a symbolic link that root did not make, or no folder", path);
    else if (at < 0)
        err_errno(err, errno, "opening %s", path);
    return at;
}

static bool is_fit(const struct stat *look, const char *path, struct err *err)
{
    if (!S_ISREG(look->st_mode))
        return err_set(err, ERR_INVALID, "%s is not a regular file", path);
    /* Perhaps one of ours: who may write beside it could have given it this name. */
    return look->st_nlink <= 1 || err_set(err, ERR_REFUSED, "%s has %ju names; a log has one", path,
                                          (uintmax_t)look->st_nlink);
}

bool file_tail(const char *path, size_t max, struct buf *out, uint64_t *ret_size, struct err *err)
{
    struct stat look;
    int fd = open_itself(path, err);
    if (fd < 0)
        return false;
    bool ok = (fstat(fd, &look) == 0 || err_errno(err, errno, "looking at %s", path)) &&
              is_fit(&look, path, err);
    if (ok) {
        uint64_t size = (uint64_t)look.st_size;
        size_t length = size < max ? (size_t)size : max;
        ok = length == 0 || read_from(fd, look.st_size - (off_t)length, length, out, path, err);
        *ret_size = size;
    }
    (void)close(fd);
    return ok;
}
