/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/disk/disk_state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOLE_BYTES = 4096 };

uint64_t disk_mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static uint64_t hash_bytes(uint64_t hash, struct bytes data)
{
    uint64_t word = 0;
    size_t at = 0;
    for (; at + sizeof word <= data.length; at += sizeof word) {
        memcpy(&word, data.data + at, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
        hash ^= hash >> 29;
    }
    word = data.length;
    for (; at < data.length; at++)
        word = word << 8 | data.data[at];
    return disk_mix(hash ^ word);
}

/* ---- which of what was not synced is kept ---- */

static bool drawn(const struct disk_cut *cut, uint64_t what)
{
    return (disk_mix(cut->lot ^ disk_mix(what)) & 1) != 0;
}

/* The operation that a torn image tears: mostly the last, sometimes one before. */
static size_t torn_entry(const struct disk *disk, const struct disk_cut *cut)
{
    size_t back = (size_t)(disk_mix(cut->lot) % 8);
    size_t skipped = back < 4 ? 0 : (size_t)(disk_mix(cut->lot + 1) % disk->unsynced_writes);
    for (size_t i = disk->next; i > 0; i--) {
        const struct disk_entry *entry = &disk->log->entries[i - 1];
        const struct inode *inode = &disk->inodes[entry->inode];
        if ((entry->kind != DISK_WRITE && entry->kind != DISK_TRUNCATE) ||
            inode->write_count == 0 || inode->writes[0] > i - 1)
            continue;
        if (skipped-- == 0)
            return i - 1;
    }
    return 0;
}

/* Some sectors of a write: a beginning of it, or each by lot. */
static void write_torn(struct buf *content, const struct disk *disk, size_t index,
                       const struct disk_cut *cut)
{
    const struct disk_entry *entry = &disk->log->entries[index];
    struct bytes data = disk_log_data(disk->log, entry);
    uint64_t offset = entry->offset;
    size_t sectors = data.length / SECTOR_BYTES + 2;
    bool beginning = drawn(cut, index + 7);
    size_t kept = (size_t)(disk_mix(cut->lot + 2) % sectors);
    for (size_t i = 0; data.length > 0; i++) {
        size_t step = SECTOR_BYTES - (size_t)(offset % SECTOR_BYTES);
        step = step < data.length ? step : data.length;
        if (beginning ? i < kept : drawn(cut, ((uint64_t)index << 20) + i))
            content_write(content, (size_t)offset, bytes_of(data.data, step));
        data = bytes_of(data.data + step, data.length - step);
        offset += step;
    }
}

/* What the cut leaves of a file that was not synced. */
static void content_after(struct buf *content, const struct disk *disk, const struct inode *inode,
                          const struct disk_cut *cut, size_t torn)
{
    content_write(content, 0, buf_bytes(&inode->synced));
    for (size_t i = 0; i < inode->write_count; i++) {
        size_t index = inode->writes[i];
        const struct disk_entry *entry = &disk->log->entries[index];
        if (cut->writes == DISK_KEPT_TORN && index == torn && entry->kind == DISK_WRITE)
            write_torn(content, disk, index, cut);
        else if (cut->writes == DISK_KEPT_TORN ? index < torn : drawn(cut, index))
            content_apply(content, disk->log, entry);
    }
}

/* ---- the image ---- */

struct making {
    struct disk *disk;
    const struct disk_cut *cut;
    struct disk_image *image;
    size_t torn;
};

static struct disk_image_file *image_add(struct disk_image *image, const char *dir,
                                         const char *name, enum disk_node node)
{
    if (image->count == image->room) {
        image->room = 2 * image->room + 32;
        image->files = realloc(image->files, image->room * sizeof *image->files);
        if (image->files == NULL)
            abort();
    }
    struct disk_image_file *file = &image->files[image->count++];
    int n = snprintf(file->path, sizeof file->path, "%s%s%s", dir, *dir != '\0' ? "/" : "", name);
    if (n < 0 || (size_t)n >= sizeof file->path)
        abort();
    file->node = node;
    file->content = bytes_of(NULL, 0);
    file->scratch = SIZE_MAX;
    file->hash = 0;
    return file;
}

static void put_content(struct making *making, struct inode *inode, struct disk_image_file *file)
{
    enum disk_kept kept = inode->write_count == 0 ? DISK_KEPT_ALL : making->cut->writes;
    struct buf *bytes = &making->image->bytes;
    if (kept == DISK_KEPT_ALL) {
        if (!inode->hashed)
            inode->hash = hash_bytes(1, buf_bytes(&inode->live));
        inode->hashed = true;
        file->content = buf_bytes(&inode->live);
        file->hash = inode->hash;
        return;
    }
    if (kept == DISK_KEPT_NONE) {
        file->content = buf_bytes(&inode->synced);
    } else {
        struct buf content = {.limit = CONTENT_MAX};
        content_after(&content, making->disk, inode, making->cut, making->torn);
        file->scratch = bytes->length;
        file->content.length = content.length;
        content_write(bytes, bytes->length, buf_bytes(&content));
        buf_done(&content);
    }
    struct bytes content = file->content;
    if (file->scratch != SIZE_MAX)
        content.data = bytes->data + file->scratch;
    file->hash = hash_bytes(1, content);
}

static bool change_is_kept(const struct disk_cut *cut, const struct change *change)
{
    return cut->names == DISK_KEPT_ALL ||
           (cut->names != DISK_KEPT_NONE && drawn(cut, change->entry + UINT64_C(0x100000000)));
}

static void put_dir(struct making *making, const struct inode *dir, const char *path)
{
    struct names *found = &making->disk->found;
    found->count = 0;
    for (size_t i = 0; i < dir->names.count; i++)
        names_apply(found, &dir->names.items[i]);
    for (size_t i = 0; i < dir->change_count; i++) {
        if (change_is_kept(making->cut, &dir->changes[i]))
            names_apply(found, &dir->changes[i]);
    }
    size_t first = making->image->count;
    for (size_t i = 0; i < found->count; i++) {
        struct inode *inode = &making->disk->inodes[found->items[i].inode];
        struct disk_image_file *file =
            image_add(making->image, path, found->items[i].name, inode->node);
        file->scratch = found->items[i].inode; /* for a moment */
    }
    size_t end = making->image->count;
    for (size_t i = first; i < end; i++) {
        struct inode *inode = &making->disk->inodes[making->image->files[i].scratch];
        making->image->files[i].scratch = SIZE_MAX;
        if (inode->node != DISK_DIR) {
            put_content(making, inode, &making->image->files[i]);
            continue;
        }
        char below[sizeof making->image->files[i].path];
        memcpy(below, making->image->files[i].path, sizeof below);
        put_dir(making, inode, below);
    }
}

void disk_image(struct disk *disk, const struct disk_cut *cut, struct disk_image *image)
{
    image->count = 0;
    image->bytes.limit = (size_t)2 * CONTENT_MAX;
    buf_clear(&image->bytes);
    struct making making = {disk, cut, image, 0};
    if (cut->writes == DISK_KEPT_TORN && disk->unsynced_writes > 0)
        making.torn = torn_entry(disk, cut);
    put_dir(&making, &disk->inodes[ROOT], "");
    image->hash = 0;
    for (size_t i = 0; i < image->count; i++) {
        struct disk_image_file *file = &image->files[i];
        if (file->scratch != SIZE_MAX)
            file->content.data = image->bytes.data + file->scratch;
        uint64_t name =
            hash_bytes((uint64_t)file->node + 3, bytes_of(file->path, strlen(file->path)));
        image->hash += disk_mix(name ^ disk_mix(file->hash)); /* in any order */
    }
}

void disk_image_done(struct disk_image *image)
{
    free(image->files);
    buf_done(&image->bytes);
    *image = (struct disk_image){0};
}

/* ---- onto a real file system ---- */

static bool is_zero(struct bytes part)
{
    return part.length > 0 && part.data[0] == 0 &&
           memcmp(part.data, part.data + 1, part.length - 1) == 0;
}

static bool put_file(const char *path, struct bytes content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool ok = ftruncate(fd, (off_t)content.length) == 0;
    size_t begin = 0, at = 0;
    while (ok && at <= content.length) { /* holes where nothing is: most of a ballast */
        size_t step = content.length - at < HOLE_BYTES ? content.length - at : HOLE_BYTES;
        bool hole = step == 0 || is_zero(bytes_of(content.data + at, step));
        if (hole && at > begin)
            ok =
                pwrite(fd, content.data + begin, at - begin, (off_t)begin) == (ssize_t)(at - begin);
        at += step;
        if (hole)
            begin = at;
        if (step == 0)
            break;
    }
    return close(fd) == 0 && ok;
}

bool disk_image_write(const struct disk_image *image, const char *dir, struct err *err)
{
    char path[PATH_MAX], target[PATH_MAX];
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "cannot make %s", dir);
    for (size_t i = 0; i < image->count; i++) {
        const struct disk_image_file *file = &image->files[i];
        (void)snprintf(path, sizeof path, "%s/%s", dir, file->path);
        bool ok = false;
        if (file->node == DISK_DIR) {
            ok = mkdir(path, 0700) == 0;
        } else if (file->node == DISK_SYMLINK_NODE) {
            (void)snprintf(target, sizeof target, "%.*s", (int)file->content.length,
                           (const char *)file->content.data);
            ok = symlink(target, path) == 0;
        } else {
            ok = put_file(path, file->content);
        }
        if (!ok)
            return err_errno(err, errno, "cannot put %s", path);
    }
    return true;
}
