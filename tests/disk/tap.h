/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_DISK_TAP_H
#define TESTS_DISK_TAP_H

#include "base/buf.h"

/*
 * Every operation on the disk that the code under test does, by SQLite (tap_vfs.c, a shim over its
 * stock VFS) or by base/file.c (tap_effects.c, in place of base/file_effects.c), goes by one tap
 * that can log it and can let it fail. A program links the library muster_test_disk for it. One
 * thread.
 */
enum disk_kind {
    DISK_READ, /* SQLite's only */
    DISK_CREATE,
    DISK_WRITE,
    DISK_TRUNCATE,
    DISK_SYNC,
    DISK_SYNC_DIR,
    DISK_CHMOD,
    DISK_RENAME,
    DISK_LINK,
    DISK_SYMLINK,
    DISK_UNLINK,
    DISK_MKDIR,
    DISK_KINDS,
};

/* What is not of use to a kind is zero or "". Inode numbers are those of the real file system. */
struct disk_op {
    enum disk_kind kind;
    bool sqlite;
    uint64_t inode;   /* the file; of CREATE, LINK, SYMLINK, MKDIR known only afterwards */
    uint64_t dir;     /* where its name stands, or stood; SYNC_DIR: what is synced */
    const char *name; /* in `dir` */
    uint64_t to_dir;  /* RENAME: the new name */
    const char *to_name;
    uint64_t offset;   /* READ, WRITE; TRUNCATE: the new length */
    struct bytes data; /* WRITE; SYMLINK: the target */
};

struct disk_tap {
    void *ctx;
    /* Not 0: the operation is not done and fails with this errno. */
    int (*before)(void *ctx, const struct disk_op *op);
    void (*after)(void *ctx, const struct disk_op *op); /* it was done */
};

/* NULL: nobody is asked. Either function may be NULL. Returns what was set before. */
const struct disk_tap *disk_tap_set(const struct disk_tap *tap);
/* Makes the shim SQLite's default VFS; once, before the first database is opened. */
void disk_tap_sqlite(void);
const char *disk_kind_name(enum disk_kind kind); /* "write", "sync_dir", ... */

/* For the two sides of the tap. */
bool disk_tapped(void);
int disk_before(const struct disk_op *op); /* 0, or the errno, which is set as well */
void disk_after(const struct disk_op *op);
/* Inode of what stands at `path`, of itself if it is a symbolic link; 0 if nothing is there. */
uint64_t disk_inode(const char *path);
/* Inode of the directory that `path` stands in; *ret_name is its last part. */
uint64_t disk_parent(const char *path, const char **ret_name);

#endif
