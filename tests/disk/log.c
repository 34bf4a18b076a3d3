/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/disk/log.h"

#include "base/file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOT = 1, BYTES_MAX = 1 << 30, FILE_MAX = 64 << 20 };

static struct disk_known *find(struct disk_log *log, uint64_t real)
{
    for (size_t i = log->known_count; real != 0 && i > 0; i--) {
        if (log->known[i - 1].real == real)
            return &log->known[i - 1];
    }
    return NULL;
}

/* 0: not below our directory. */
static uint32_t number_of(struct disk_log *log, uint64_t real)
{
    const struct disk_known *known = find(log, real);
    return known != NULL ? known->number : 0;
}

/* The file system may use an inode number again: then it is another inode. */
static uint32_t number_new(struct disk_log *log, uint64_t real)
{
    struct disk_known *known = find(log, real);
    if (known == NULL && log->known_count == log->known_room) {
        log->known_room = 2 * log->known_room + 64;
        log->known = realloc(log->known, log->known_room * sizeof *log->known);
        if (log->known == NULL)
            abort();
    }
    if (known == NULL)
        known = &log->known[log->known_count++];
    *known = (struct disk_known){real, ++log->inodes};
    return known->number;
}

static size_t keep(struct disk_log *log, struct bytes data)
{
    size_t at = log->bytes.length;
    if (data.length > 0 && !buf_append(&log->bytes, data.data, data.length, NULL))
        abort();
    return at;
}

static size_t keep_text(struct disk_log *log, const char *text)
{
    return keep(log, bytes_of(text, strlen(text) + 1));
}

static void add(struct disk_log *log, const struct disk_op *op, struct disk_entry entry)
{
    entry.kind = op->kind;
    entry.sqlite = op->sqlite;
    entry.step = log->step;
    entry.name = keep_text(log, op->name);
    entry.to_name = keep_text(log, op->to_name);
    entry.offset = op->offset;
    entry.data = keep(log, op->data);
    entry.length = op->data.length;
    if (log->count == log->room) {
        log->room = 2 * log->room + 256;
        log->entries = realloc(log->entries, log->room * sizeof *log->entries);
        if (log->entries == NULL)
            abort();
    }
    log->entries[log->count++] = entry;
}

static bool makes_inode(enum disk_kind kind)
{
    return kind == DISK_CREATE || kind == DISK_SYMLINK || kind == DISK_MKDIR;
}

static bool is_named(enum disk_kind kind)
{
    return makes_inode(kind) || kind == DISK_RENAME || kind == DISK_LINK || kind == DISK_UNLINK ||
           kind == DISK_SYNC_DIR;
}

static void logged(void *ctx, const struct disk_op *op)
{
    struct disk_log *log = ctx;
    struct disk_entry entry = {.dir = number_of(log, op->dir),
                               .to_dir = number_of(log, op->to_dir)};
    if (op->kind == DISK_READ || (is_named(op->kind) && entry.dir == 0))
        return;
    if (op->kind == DISK_RENAME && entry.to_dir == 0)
        abort(); /* out of what we watch: no test does that */
    if (op->kind != DISK_SYNC_DIR) {
        entry.inode =
            makes_inode(op->kind) ? number_new(log, op->inode) : number_of(log, op->inode);
        if (entry.inode == 0)
            return;
    }
    add(log, op, entry);
}

struct walk {
    struct disk_log *log;
    const char *dir;
    uint64_t inode;
};

static void walk_dir(struct disk_log *log, const char *path, uint64_t inode);

static void take_file(struct disk_log *log, const char *path, struct disk_op op)
{
    struct buf content = {.limit = FILE_MAX};
    op.kind = DISK_CREATE;
    logged(log, &op);
    if (!file_read(path, FILE_MAX, &content, NULL))
        abort();
    op.kind = DISK_WRITE;
    op.data = buf_bytes(&content);
    logged(log, &op);
    buf_done(&content);
}

static bool take_entry(void *ctx, const char *name)
{
    struct walk *walk = ctx;
    char path[PATH_MAX], target[PATH_MAX];
    struct stat st;
    if (!path_join(path, sizeof path, walk->dir, name, NULL) || lstat(path, &st) != 0)
        abort();
    struct disk_op op = {.inode = st.st_ino, .dir = walk->inode, .name = name, .to_name = ""};
    if (S_ISDIR(st.st_mode)) {
        op.kind = DISK_MKDIR;
        logged(walk->log, &op);
        walk_dir(walk->log, path, st.st_ino);
    } else if (S_ISLNK(st.st_mode)) {
        ssize_t length = readlink(path, target, sizeof target);
        op.kind = DISK_SYMLINK;
        op.data = bytes_of(target, length > 0 ? (size_t)length : 0);
        logged(walk->log, &op);
    } else {
        take_file(walk->log, path, op);
    }
    return true;
}

static void walk_dir(struct disk_log *log, const char *path, uint64_t inode)
{
    struct walk walk = {log, path, inode};
    if (!file_list(path, take_entry, &walk, NULL))
        abort();
}

void disk_log_begin(struct disk_log *log, const char *dir)
{
    *log = (struct disk_log){.bytes = {.limit = BYTES_MAX}};
    log->tap = (struct disk_tap){.ctx = log, .after = logged};
    uint64_t root = disk_inode(dir);
    if (root == 0 || number_new(log, root) != ROOT)
        abort();
    walk_dir(log, dir, root);
    log->base = log->count;
    (void)disk_tap_set(&log->tap);
}

void disk_log_end(struct disk_log *log)
{
    (void)log;
    (void)disk_tap_set(NULL);
}

void disk_log_done(struct disk_log *log)
{
    free(log->entries);
    free(log->known);
    buf_done(&log->bytes);
    *log = (struct disk_log){0};
}

const char *disk_log_text(const struct disk_log *log, size_t at)
{
    return (const char *)log->bytes.data + at;
}

struct bytes disk_log_data(const struct disk_log *log, const struct disk_entry *entry)
{
    return bytes_of(log->bytes.data + entry->data, entry->length);
}
