/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCAN_BYTES = 32 * 1024 };

static bool scan_open(int fd, const char *path, void (*each)(void *ctx, struct bytes part),
                      void *ctx, struct err *err)
{
    uint8_t part[SCAN_BYTES];
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_errno(err, errno, "cannot stat %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a regular file", path);
    for (;;) {
        ssize_t n = read(fd, part, sizeof part);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "cannot read %s", path);
        if (n == 0)
            return true;
        each(ctx, bytes_of(part, (size_t)n));
    }
}

bool file_scan(const char *path, void (*each)(void *ctx, struct bytes part), void *ctx,
               struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(err, errno, "cannot open %s", path);
    bool ok = scan_open(fd, path, each, ctx, err);
    (void)close(fd);
    return ok;
}
