/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_DISK_DISK_H
#define TESTS_DISK_DISK_H

#include "tests/disk/log.h"

/*
 * A model of a disk behind a cache. Bytes reach the medium for certain when their file is synced,
 * names when their directory is; what was not synced may have reached it or not, each by itself:
 * a write in units of 512 bytes, a change of a directory whole. A rename between two directories
 * never loses the file. `disk_image` is what may be found after the power was cut.
 */
struct disk;

struct disk *disk_new(const struct disk_log *log); /* with what was there at the start */
void disk_free(struct disk *disk);
/* The next operation of the log; false at its end. */
bool disk_next(struct disk *disk, const struct disk_entry **ret_entry);
/* From now on syncs are lies: nothing reaches the medium for certain. */
void disk_lie(struct disk *disk);

enum disk_kept { /* of what was not synced */
                 DISK_KEPT_ALL,
                 DISK_KEPT_NONE,
                 DISK_KEPT_SOME, /* each write, each change of a name, by lot */
                 DISK_KEPT_TORN, /* writes up to one that reached the medium in part; names: like
                                    SOME */
};

struct disk_cut {
    enum disk_kept writes, names;
    uint64_t lot;
};

/* Writes and changes of names that a cut now could lose. */
size_t disk_unsynced_writes(const struct disk *disk);
size_t disk_unsynced_names(const struct disk *disk);

enum disk_node { DISK_FILE, DISK_DIR, DISK_SYMLINK_NODE };

struct disk_image {
    struct disk_image_file {
        char path[160]; /* below the directory; a directory stands before what is in it */
        enum disk_node node;
        struct bytes content; /* or the link's target */
        size_t scratch;       /* where in `bytes`, if it had to be made; else SIZE_MAX */
        uint64_t hash;
    } * files;
    size_t count, room;
    struct buf bytes;
    uint64_t hash; /* of names and contents */
};

/* Replaces what the image held; valid until the disk is changed. */
void disk_image(struct disk *disk, const struct disk_cut *cut, struct disk_image *image);
/* Below `dir`, which is empty or missing. */
bool disk_image_write(const struct disk_image *image, const char *dir,
                      struct err *err) MUSTER_CHECK;
void disk_image_done(struct disk_image *image);

uint64_t disk_mix(uint64_t value); /* a good hash of 64 bits */

#endif
