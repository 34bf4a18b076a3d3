/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_DISK_H
#define BASE_DISK_H

#include "base/err.h"

#include <stdint.h>

/* The file system that a path is on. */
struct disk {
    uint64_t id;                /* the same for the same one */
    uint64_t bytes, free_bytes; /* free to who is not root */
    uint64_t free_inodes;
};
bool disk_look(const char *path, struct disk *ret_disk, struct err *err) MUSTER_CHECK;

#endif
