/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A link's own mode says nothing: who may replace it, its folder says. */
static bool one_is_guarded(const char *path, struct err *err)
{
    struct stat look;
    if (lstat(path, &look) != 0)
        return err_errno(err, errno, "%s", path);
    bool others = !S_ISLNK(look.st_mode) && (look.st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
                  !(S_ISDIR(look.st_mode) && (look.st_mode & S_ISVTX) != 0);
    if (others || (look.st_uid != 0 && look.st_uid != geteuid()))
        return err_set(err, ERR_REFUSED,
                       "%s could be changed by others: it must belong to root, and neither group "
                       "nor others may write it",
                       path);
    return true;
}

/* Each folder of an absolute path, and what it ends in. */
static bool way_is_guarded(const char *path, struct err *err)
{
    char way[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof way)
        return err_set(err, ERR_INVALID, "a path of %zu characters", length);
    for (size_t i = 1; i <= length; i++) {
        if (i < length && path[i] != '/')
            continue;
        memcpy(way, path, i);
        way[i] = '\0';
        if (!one_is_guarded(way, err))
            return false;
    }
    return one_is_guarded("/", err);
}

bool file_is_guarded(const char *path, struct err *err)
{
    char *real = realpath(path, NULL);
    if (real == NULL)
        return err_errno(err, errno, "%s", path);
    bool ok = (path[0] != '/' || way_is_guarded(path, err)) && way_is_guarded(real, err);
    free(real);
    return ok;
}
