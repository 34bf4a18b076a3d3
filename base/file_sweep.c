/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file_internal.h"

#include <string.h>

struct sweep {
    const char *dir;
    const char *begin; /* of the names that go */
    struct err *err;
    bool failed;
};

static bool sweep_one(void *ctx, const char *name)
{
    static const char tail[] = ".new";
    struct sweep *sweep = ctx;
    char path[PATH_MAX];
    size_t length = strlen(name), begin = strlen(sweep->begin);
    if (length < begin + sizeof tail - 1 || strncmp(name, sweep->begin, begin) != 0 ||
        strcmp(name + length - (sizeof tail - 1), tail) != 0)
        return true;
    sweep->failed = !path_join(path, sizeof path, sweep->dir, name, sweep->err) ||
                    !file_remove(path, sweep->err);
    return !sweep->failed;
}

bool file_sweep_beside(const char *path, struct err *err)
{
    enum { RANDOM_CHARS = 16 + 4 }; /* "<16 hex>.new" */
    char beside[PATH_MAX];
    struct err why = {0};
    if (!file_name_beside(path, beside, err))
        return false;
    char *name = strrchr(beside, '/');
    *name++ = '\0';
    name[strlen(name) - RANDOM_CHARS] = '\0';
    struct sweep sweep = {.dir = *beside != '\0' ? beside : "/", .begin = name, .err = &why};
    if (file_list(sweep.dir, sweep_one, &sweep, &why) ? !sweep.failed : why.code == ERR_NOT_FOUND)
        return true;
    if (err != NULL)
        *err = why;
    return false;
}
