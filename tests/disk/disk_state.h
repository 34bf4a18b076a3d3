/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_DISK_DISK_STATE_H
#define TESTS_DISK_DISK_STATE_H

#include "tests/disk/disk.h"

/* What disk.c and image.c share; nobody else includes it. */

enum { ROOT = 1, CONTENT_MAX = 64 << 20, SECTOR_BYTES = 512 };

/* One name of a directory; as a change of it, inode 0 takes the name away. */
struct change {
    const char *name;
    uint32_t inode;
    size_t entry; /* the operation; both halves of a rename have the same */
};

struct names {
    struct change *items;
    size_t count, room;
};

struct inode {
    enum disk_node node;
    struct buf live, synced; /* content as the programs see it, and what is sure to be kept */
    size_t *writes;          /* operations in between, in order */
    size_t write_count, write_room;
    struct names names;     /* of a directory: those that are sure to be kept */
    struct change *changes; /* and what has changed since */
    size_t change_count, change_room;
    bool hashed;
    uint64_t hash; /* of `live` */
};

struct disk {
    const struct disk_log *log;
    struct inode *inodes; /* by number */
    size_t next;
    size_t unsynced_writes, unsynced_names;
    bool lies;
    struct names found; /* of the directory at hand */
};

void content_write(struct buf *content, size_t offset, struct bytes data);
void content_apply(struct buf *content, const struct disk_log *log, const struct disk_entry *entry);
void names_apply(struct names *names, const struct change *change);

#endif
