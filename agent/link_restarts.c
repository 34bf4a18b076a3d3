/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link_restarts.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool path_of(const char *directory, char path[PATH_MAX])
{
    if (directory == NULL) {
        return false;
    }
    int length = snprintf(path, PATH_MAX, "%s/restarts", directory);
    return length > 0 && length < PATH_MAX;
}

unsigned link_restarts_count(const char *directory)
{
    char path[PATH_MAX];
    struct stat info = {0};

    if (!path_of(directory, path)) {
        return 0;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 && fstat(fd, &info) == 0 &&
              (info.st_size >= LINK_RESTARTS_MAX || write(fd, "x", 1) == 1);
    if (!ok) {
        log_warn("%s: %s; a link that is ended early will not wait longer for that", path,
                 strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return info.st_size < LINK_RESTARTS_MAX ? (unsigned)info.st_size : LINK_RESTARTS_MAX;
}

void link_restarts_forget(const char *directory)
{
    char path[PATH_MAX];

    if (path_of(directory, path)) {
        (void)unlink(path);
    }
}
