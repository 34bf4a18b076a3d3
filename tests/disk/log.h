/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_DISK_LOG_H
#define TESTS_DISK_LOG_H

#include "tests/disk/tap.h"

/*
 * What was done below one directory, in order, with everything that is needed to do it again.
 * Inodes have numbers of the log's own, in the order in which they came, never used twice; the
 * directory itself is 1. What happens elsewhere is not logged.
 */
struct disk_entry {
    enum disk_kind kind;
    bool sqlite;
    unsigned step; /* of the one who made it do that */
    uint32_t inode, dir, to_dir;
    size_t name, to_name; /* into `bytes`, NUL-ended */
    uint64_t offset;
    size_t data, length; /* into `bytes` */
};

struct disk_log {
    struct disk_entry *entries;
    size_t count, room;
    size_t base; /* the first so many made what was there at the start */
    struct buf bytes;
    unsigned step; /* set by the user */
    struct disk_known {
        uint64_t real;
        uint32_t number;
    } * known;
    size_t known_count, known_room;
    uint32_t inodes; /* so many have a number */
    struct disk_tap tap;
};

/* Logs from now on; what is in `dir` already counts as being on the medium. Aborts when it runs
 * out of memory. */
void disk_log_begin(struct disk_log *log, const char *dir);
void disk_log_end(struct disk_log *log); /* the log stays readable */
void disk_log_done(struct disk_log *log);

const char *disk_log_text(const struct disk_log *log, size_t at);
struct bytes disk_log_data(const struct disk_log *log, const struct disk_entry *entry);

#endif
