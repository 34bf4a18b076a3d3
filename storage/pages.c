/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pages_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 100,
    PAGE_BYTES_AT = 16,
    MAP_ENTRY_BYTES = 5,
    DEPTH_MAX = 20,
    SEARCHES = 1000, /* through the whole pointer map, for where a row goes on */
    REPAIR_ROUNDS = 8,
    FRAME_HEAD_BYTES = 24,
    WAL_HEAD_BYTES = 32,
};
static const uint32_t lock_byte = 0x40000000; /* its page holds nothing */

static bool read_at(int fd, uint8_t *out, size_t length, uint64_t at)
{
    while (length > 0) {
        ssize_t got = pread(fd, out, length, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        out += got;
        length -= (size_t)got;
        at += (uint64_t)got;
    }
    return true;
}

bool pages_read(const struct pages *pages, uint32_t number, uint8_t *out)
{
    if (number == 0 || number > pages->count)
        return false;
    uint64_t frame = pages->frame[number];
    if (frame > 0)
        return read_at(pages->wal, out, pages->page_bytes,
                       WAL_HEAD_BYTES + (frame - 1) * (FRAME_HEAD_BYTES + pages->page_bytes) +
                           FRAME_HEAD_BYTES);
    return read_at(pages->fd, out, pages->page_bytes, (uint64_t)(number - 1) * pages->page_bytes);
}

/* ---- the pointer map ---- */

static uint32_t map_page_of(const struct pages *pages, uint32_t number)
{
    uint32_t covers = pages->page_bytes / MAP_ENTRY_BYTES + 1;
    uint32_t map = (number - 2) / covers * covers + 2;
    return map == lock_byte / pages->page_bytes + 1 ? map + 1 : map;
}

static void read_map(struct pages *pages)
{
    uint32_t held = 0; /* the map page in `page` */
    bool sound = false;
    for (uint32_t number = 3; number <= pages->count; number++) {
        uint32_t map = map_page_of(pages, number);
        if (number <= map)
            continue;
        if (map != held)
            sound = pages_read(pages, map, pages->page);
        held = map;
        size_t at = (size_t)(number - map - 1) * MAP_ENTRY_BYTES;
        if (!sound || at + MAP_ENTRY_BYTES > pages->page_bytes)
            continue;
        pages->kind[number] = pages->page[at];
        pages->parent[number] = pages_u32(pages->page + at + 1);
    }
}

uint32_t pages_owner(const struct pages *pages, uint32_t number)
{
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        if (number < 3 || number > pages->count)
            return 0;
        if (pages->kind[number] == PAGES_ROOT)
            return number;
        if (pages->kind[number] != PAGES_TREE)
            return 0;
        number = pages->parent[number];
    }
    return 0;
}

/* Only a page of which the map makes no sense: one that is free, say, may hold rows that were
 * deleted. */
static bool adopt(struct pages *pages, uint32_t child, uint32_t parent)
{
    if (child < 3 || child > pages->count || pages_owner(pages, child) != 0)
        return false;
    uint8_t kind = pages->kind[child];
    if (kind >= PAGES_ROOT && kind < PAGES_TREE)
        return false;
    pages->kind[child] = PAGES_TREE;
    pages->parent[child] = parent;
    return pages_owner(pages, child) != 0;
}

static bool adopt_children(struct pages *pages, uint32_t number)
{
    uint8_t *page = pages->page;
    bool any = false;
    if (pages_owner(pages, number) == 0 || !pages_read(pages, number, page) ||
        (page[0] != PAGES_TABLE_INTERIOR && page[0] != PAGES_INDEX_INTERIOR))
        return false;
    uint32_t cells = pages_u16(page + 3);
    for (uint32_t i = 0; i < cells && 12 + 2 * i + 2 <= pages->page_bytes; i++) {
        uint32_t at = pages_u16(page + 12 + 2 * i);
        if (at + 4 <= pages->page_bytes)
            any = adopt(pages, pages_u32(page + at), number) || any;
    }
    return adopt(pages, pages_u32(page + 8), number) || any;
}

void pages_repair_map(struct pages *pages)
{
    bool any = true;
    for (int round = 0; any && round < REPAIR_ROUNDS; round++) {
        any = false;
        for (uint32_t number = 3; number <= pages->count; number++)
            any = adopt_children(pages, number) || any;
    }
}

/* ---- opening ---- */

static uint32_t size_in_header(const struct pages *pages)
{
    uint8_t head[HEAD_BYTES];
    if (!read_at(pages->fd, head, sizeof head, 0))
        return 0;
    uint32_t bytes = pages_u16(head + PAGE_BYTES_AT);
    bytes = bytes == 1 ? PAGES_SIZE_MAX : bytes;
    bool sound = bytes >= PAGES_SIZE_MIN && (bytes & (bytes - 1)) == 0;
    return sound && memcmp(head, "SQLite format 3", 16) == 0 ? bytes : 0;
}

static bool open_files(struct pages *pages, struct err *err)
{
    char wal[4096];
    struct stat held;
    pages->fd = open(pages->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (pages->fd < 0 || fstat(pages->fd, &held) != 0)
        return err_errno(err, errno, "open %s", pages->path);
    pages->file_bytes = (uint64_t)held.st_size;
    int length = snprintf(wal, sizeof wal, "%s-wal", pages->path);
    if (length < 0 || (size_t)length >= sizeof wal)
        return err_set(err, ERR_INVALID, "%s: the path is too long", pages->path);
    pages->wal = open(wal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return pages->wal >= 0 || errno == ENOENT || err_errno(err, errno, "open %s", wal);
}

static bool allocate(struct pages *pages, struct err *err)
{
    size_t entries = (size_t)pages->count + 1;
    pages->frame = calloc(entries, sizeof *pages->frame);
    pages->parent = calloc(entries, sizeof *pages->parent);
    pages->kind = calloc(entries, sizeof *pages->kind);
    pages->page = calloc(1, pages->page_bytes);
    pages->overflow = calloc(1, pages->page_bytes);
    return (pages->frame != NULL && pages->parent != NULL && pages->kind != NULL &&
            pages->page != NULL && pages->overflow != NULL) ||
           err_set(err, ERR_NO_MEMORY, "no memory for %zu pages of %s", entries, pages->path);
}

static bool read_heads(struct pages *pages, uint32_t page_bytes, struct err *err)
{
    uint64_t wal_bytes = 0;
    struct stat held;
    if (!open_files(pages, err))
        return false;
    if (pages->wal >= 0 && fstat(pages->wal, &held) == 0)
        wal_bytes = (uint64_t)held.st_size;
    pages->page_bytes = size_in_header(pages);
    if (pages->page_bytes == 0)
        pages->page_bytes = page_bytes;
    /* What the file was cut short by may still stand in the WAL. */
    uint64_t count = (pages->file_bytes + wal_bytes) / pages->page_bytes + 1;
    if (count > PAGES_MAX)
        return err_set(err, ERR_INVALID, "%s: more than %d pages", pages->path, PAGES_MAX);
    pages->count = (uint32_t)count;
    return allocate(pages, err) && pages_read_wal(pages, err);
}

static bool open_pages(const char *path, uint32_t page_bytes, struct pages **ret_pages,
                       struct err *err)
{
    struct pages *pages = calloc(1, sizeof *pages);
    if (pages == NULL) {
        (void)err_set(err, ERR_NO_MEMORY, "no memory to read %s", path);
        return false;
    }
    pages->fd = pages->wal = -1;
    pages->searches_left = SEARCHES;
    pages->path = strdup(path);
    bool ok = pages->path != NULL ? read_heads(pages, page_bytes, err)
                                  : err_set(err, ERR_NO_MEMORY, "no memory to read %s", path);
    if (ok)
        *ret_pages = pages;
    else
        pages_close(pages);
    return ok;
}

void pages_close(struct pages *pages)
{
    if (pages == NULL)
        return;
    if (pages->fd >= 0)
        (void)close(pages->fd);
    if (pages->wal >= 0)
        (void)close(pages->wal);
    free(pages->path);
    free(pages->frame);
    free(pages->parent);
    free(pages->kind);
    free(pages->page);
    free(pages->overflow);
    buf_done(&pages->row);
    free(pages);
}

bool pages_open(const char *path, uint32_t page_bytes, struct pages **ret_pages, struct err *err)
{
    if (!open_pages(path, page_bytes, ret_pages, err))
        return false;
    read_map(*ret_pages);
    pages_repair_map(*ret_pages);
    return true;
}

bool pages_wal_damaged(const char *path, uint32_t page_bytes, bool *ret_damaged, struct err *err)
{
    struct pages *pages = NULL;
    if (!open_pages(path, page_bytes, &pages, err))
        return false;
    *ret_damaged = pages->wal_damaged;
    pages_close(pages);
    return true;
}
