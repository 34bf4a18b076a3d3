/* SPDX-License-Identifier: Apache-2.0 */
#include "base/disk.h"

#include <errno.h>
#include <sys/statvfs.h>

bool disk_look(const char *path, struct disk *ret_disk, struct err *err)
{
    struct statvfs fs;
    if (statvfs(path, &fs) != 0)
        return err_errno(err, errno, "cannot look at the disk of %s", path);
    *ret_disk = (struct disk){
        .id = (uint64_t)fs.f_fsid,
        .bytes = (uint64_t)fs.f_blocks * fs.f_frsize,
        .free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize,
        .free_inodes = (uint64_t)fs.f_favail,
    };
    return true;
}
