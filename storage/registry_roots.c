/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registry_roots.h"

#include "storage/registry_internal.h"

#include <inttypes.h>
#include <stdio.h>

static bool folder_path(const char *dir, char path[REGISTRY_PATH_BYTES], struct err *err)
{
    return path_join(path, REGISTRY_PATH_BYTES, dir, "roots", err);
}

static bool root_path(const char *dir, const char *name, char path[REGISTRY_PATH_BYTES],
                      struct err *err)
{
    char folder[REGISTRY_PATH_BYTES];
    return folder_path(dir, folder, err) && path_join(path, REGISTRY_PATH_BYTES, folder, name, err);
}

static bool version_path(const char *dir, uint64_t version, char path[REGISTRY_PATH_BYTES],
                         struct err *err)
{
    char name[24] = "installed";
    if (version > 0)
        (void)snprintf(name, sizeof name, "%" PRIu64, version);
    return root_path(dir, name, path, err);
}

bool registry_root_read(const char *dir, uint64_t version, size_t limit, struct buf *ret_envelope,
                        struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return version_path(dir, version, path, err) && file_read(path, limit, ret_envelope, err);
}

bool registry_root_write(const char *dir, uint64_t version, struct bytes envelope, struct err *err)
{
    char folder[REGISTRY_PATH_BYTES], path[REGISTRY_PATH_BYTES];
    return folder_path(dir, folder, err) && file_make_dir(folder, 0755, err) &&
           version_path(dir, version, path, err) && file_write(path, envelope, 0600, err);
}

bool registry_root_forget(const char *dir, uint64_t version, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return version_path(dir, version, path, err) && (!file_exists(path) || file_remove(path, err));
}

struct sweep {
    const char *dir;
    uint64_t installed;
    struct err *err;
    bool failed;
};

static bool sweep_entry(void *ctx, const char *name)
{
    struct sweep *sweep = ctx;
    char path[REGISTRY_PATH_BYTES];
    uint64_t version;
    if (name[0] != '.' && (!sheet_number(name, &version) || version > sweep->installed))
        return true;
    sweep->failed =
        !root_path(sweep->dir, name, path, sweep->err) || !file_remove(path, sweep->err);
    return !sweep->failed;
}

bool registry_roots_sweep(const char *dir, uint64_t installed, struct err *err)
{
    char folder[REGISTRY_PATH_BYTES];
    struct sweep sweep = {.dir = dir, .installed = installed, .err = err};
    if (!folder_path(dir, folder, err))
        return false;
    if (!registry_is_folder(folder))
        return !file_exists(folder) || file_remove(folder, err);
    return file_list(folder, sweep_entry, &sweep, err) && !sweep.failed;
}
