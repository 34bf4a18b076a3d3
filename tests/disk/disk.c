/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/disk/disk.h"

#include "tests/disk/disk_state.h"

#include <stdlib.h>
#include <string.h>

static void *grown(void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = 2 * *room + 8;
    items = realloc(items, *room * size);
    if (items == NULL)
        abort();
    return items;
}

/* ---- contents ---- */

void content_apply(struct buf *content, const struct disk_log *log, const struct disk_entry *entry)
{
    struct bytes data = disk_log_data(log, entry);
    size_t end = (size_t)entry->offset + data.length;
    if (entry->kind == DISK_TRUNCATE && end < content->length)
        content->length = end;
    content_write(content, (size_t)entry->offset, data);
}

void content_write(struct buf *content, size_t offset, struct bytes data)
{
    size_t end = offset + data.length;
    if (end > content->length) {
        uint8_t *more = buf_reserve(content, end - content->length, NULL);
        if (more == NULL)
            abort();
        memset(more, 0, end - content->length);
        content->length = end;
    }
    if (data.length > 0)
        memcpy(content->data + offset, data.data, data.length);
}

static void content_change(struct disk *disk, struct inode *inode, size_t entry)
{
    content_apply(&inode->live, disk->log, &disk->log->entries[entry]);
    inode->hashed = false;
    inode->writes =
        grown(inode->writes, inode->write_count, &inode->write_room, sizeof *inode->writes);
    inode->writes[inode->write_count++] = entry;
    disk->unsynced_writes++;
}

static void content_sync(struct disk *disk, struct inode *inode)
{
    for (size_t i = 0; i < inode->write_count; i++)
        content_apply(&inode->synced, disk->log, &disk->log->entries[inode->writes[i]]);
    disk->unsynced_writes -= inode->write_count;
    inode->write_count = 0;
}

/* ---- names ---- */

void names_apply(struct names *names, const struct change *change)
{
    size_t at = 0;
    while (at < names->count && strcmp(names->items[at].name, change->name) != 0)
        at++;
    if (change->inode == 0) {
        if (at < names->count)
            names->items[at] = names->items[--names->count];
        return;
    }
    if (at == names->count) {
        names->items = grown(names->items, names->count, &names->room, sizeof *names->items);
        names->count++;
    }
    names->items[at] = *change;
}

static void name_change(struct disk *disk, struct inode *dir, const char *name, uint32_t inode,
                        size_t entry)
{
    dir->changes = grown(dir->changes, dir->change_count, &dir->change_room, sizeof *dir->changes);
    dir->changes[dir->change_count++] = (struct change){name, inode, entry};
    disk->unsynced_names++;
}

static void changes_settle(struct disk *disk, struct inode *dir, size_t index)
{
    names_apply(&dir->names, &dir->changes[index]);
    dir->change_count--;
    disk->unsynced_names--;
    memmove(&dir->changes[index], &dir->changes[index + 1],
            (dir->change_count - index) * sizeof *dir->changes);
}

/* A removal by rename that reaches the medium takes the new name in the other directory along. */
static void other_half(struct disk *disk, const struct inode *dir, const struct change *removal)
{
    const struct disk_entry *entry = &disk->log->entries[removal->entry];
    if (entry->kind != DISK_RENAME || removal->inode != 0)
        return;
    struct inode *to = &disk->inodes[entry->to_dir];
    for (size_t i = 0; to != dir && i < to->change_count; i++) {
        if (to->changes[i].entry == removal->entry) {
            changes_settle(disk, to, i);
            return;
        }
    }
}

static void names_sync(struct disk *disk, struct inode *dir)
{
    for (size_t i = 0; i < dir->change_count; i++)
        other_half(disk, dir, &dir->changes[i]);
    while (dir->change_count > 0)
        changes_settle(disk, dir, 0);
}

/* ---- operations ---- */

static void make_inode(struct disk *disk, const struct disk_entry *entry)
{
    struct inode *inode = &disk->inodes[entry->inode];
    inode->live.limit = inode->synced.limit = CONTENT_MAX;
    inode->node = entry->kind == DISK_MKDIR     ? DISK_DIR
                  : entry->kind == DISK_SYMLINK ? DISK_SYMLINK_NODE
                                                : DISK_FILE;
    if (entry->kind != DISK_SYMLINK)
        return;
    /* A target comes with its name, or not at all. */
    content_write(&inode->live, 0, disk_log_data(disk->log, entry));
    content_write(&inode->synced, 0, disk_log_data(disk->log, entry));
}

static void apply(struct disk *disk, size_t index)
{
    const struct disk_entry *entry = &disk->log->entries[index];
    struct inode *inode = &disk->inodes[entry->inode];
    struct inode *dir = &disk->inodes[entry->dir];
    const char *name = disk_log_text(disk->log, entry->name);
    switch (entry->kind) {
    case DISK_CREATE:
    case DISK_SYMLINK:
    case DISK_MKDIR:
        make_inode(disk, entry);
        name_change(disk, dir, name, entry->inode, index);
        break;
    case DISK_LINK:
        name_change(disk, dir, name, entry->inode, index);
        break;
    case DISK_RENAME:
        name_change(disk, dir, name, 0, index);
        name_change(disk, &disk->inodes[entry->to_dir], disk_log_text(disk->log, entry->to_name),
                    entry->inode, index);
        break;
    case DISK_UNLINK:
        name_change(disk, dir, name, 0, index);
        break;
    case DISK_WRITE:
    case DISK_TRUNCATE:
        content_change(disk, inode, index);
        break;
    case DISK_SYNC:
        if (!disk->lies)
            content_sync(disk, inode);
        break;
    case DISK_SYNC_DIR:
        if (!disk->lies)
            names_sync(disk, dir);
        break;
    default: /* a mode does not matter to what is read back */
        break;
    }
}

struct disk *disk_new(const struct disk_log *log)
{
    struct disk *disk = calloc(1, sizeof *disk);
    if (disk == NULL || (disk->inodes = calloc(log->inodes + 1, sizeof *disk->inodes)) == NULL)
        abort();
    disk->log = log;
    disk->inodes[ROOT].node = DISK_DIR;
    for (size_t i = 0; i < log->base; i++)
        apply(disk, i);
    for (uint32_t i = 0; i <= log->inodes; i++) {
        content_sync(disk, &disk->inodes[i]);
        names_sync(disk, &disk->inodes[i]);
    }
    disk->next = log->base;
    return disk;
}

void disk_free(struct disk *disk)
{
    if (disk == NULL)
        return;
    for (uint32_t i = 0; i <= disk->log->inodes; i++) {
        struct inode *inode = &disk->inodes[i];
        buf_done(&inode->live);
        buf_done(&inode->synced);
        free(inode->writes);
        free(inode->changes);
        free(inode->names.items);
    }
    free(disk->inodes);
    free(disk->found.items);
    free(disk);
}

bool disk_next(struct disk *disk, const struct disk_entry **ret_entry)
{
    if (disk->next == disk->log->count)
        return false;
    *ret_entry = &disk->log->entries[disk->next];
    apply(disk, disk->next++);
    return true;
}

void disk_lie(struct disk *disk)
{
    disk->lies = true;
}

size_t disk_unsynced_writes(const struct disk *disk)
{
    return disk->unsynced_writes;
}

size_t disk_unsynced_names(const struct disk *disk)
{
    return disk->unsynced_names;
}
