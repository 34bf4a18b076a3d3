/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registry_internal.h"

#include <errno.h>
#include <sys/stat.h>

bool registry_look_at(const char *path, struct registry_look *ret_look, struct err *err)
{
    enum { MODE_BITS = 07777 };
    struct stat found;
    if (lstat(path, &found) != 0)
        return err_errno(err, errno, "cannot look at %s", path);
    *ret_look = (struct registry_look){.folder = S_ISDIR(found.st_mode),
                                       .regular = S_ISREG(found.st_mode),
                                       .mode = found.st_mode & MODE_BITS,
                                       .length = (uint64_t)found.st_size};
    return true;
}

bool registry_look(const struct registry *registry, uint64_t number, const char *name,
                   struct registry_look *ret_look, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return registry_document_path(registry, number, name, path, err) &&
           registry_look_at(path, ret_look, err);
}

bool registry_set_mode(const struct registry *registry, uint64_t number,
                       const struct registry_item *item, struct err *err)
{
    char path[REGISTRY_PATH_BYTES];
    return registry_document_path(registry, number, item->name, path, err) &&
           file_set_mode(path, registry_item_mode(item), err);
}
