/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_LIMIT_BYTES = 4 * 1024 * 1024, FIRST_BYTES = 1024, BLOCK_BYTES = 16 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t size, used; /* bytes of `data` */
    max_align_t data[];
};

/* As much as there is already: most arenas hold little, and all of a block is cleared. */
static size_t usual_room(const struct arena *arena)
{
    if (arena->used_bytes < FIRST_BYTES)
        return FIRST_BYTES;
    return arena->used_bytes < BLOCK_BYTES ? arena->used_bytes : BLOCK_BYTES;
}

/* A block with room for `size` bytes, as generous as the limit allows. */
static struct arena_block *block_new(struct arena *arena, size_t size, bool cleared)
{
    size_t limit = arena->limit_bytes ? arena->limit_bytes : ARENA_LIMIT_BYTES;
    size_t left = limit > arena->used_bytes ? limit - arena->used_bytes : 0;
    if (left < sizeof(struct arena_block) || size > left - sizeof(struct arena_block)) {
        arena->exceeded = true;
        return NULL;
    }
    left -= sizeof(struct arena_block);
    const size_t usual = usual_room(arena);
    size_t room = left < usual ? left : usual;
    if (room < size)
        room = size;
    struct arena_block *block =
        cleared ? calloc(1, sizeof *block + room) : malloc(sizeof *block + room);
    if (!block)
        return NULL;
    block->used = 0;
    block->size = room;
    arena->used_bytes += sizeof *block + room;
    return block;
}

/* A block with much room left stays in front, so that one large piece does not waste it. */
static void block_link(struct arena *arena, struct arena_block *block, size_t size)
{
    struct arena_block *first = arena->blocks;
    if (first && first->size - first->used > block->size - size) {
        block->next = first->next;
        first->next = block;
    } else {
        block->next = first;
        arena->blocks = block;
    }
}

static size_t aligned(size_t size)
{
    const size_t align = _Alignof(max_align_t);
    return size ? (size + align - 1) / align * align : align;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = aligned(size);
    struct arena_block *block = arena->blocks;
    if (!block || block->size - block->used < size) {
        block = block_new(arena, size, true);
        if (!block)
            return NULL;
        block_link(arena, block, size);
    }
    void *piece = (uint8_t *)block->data + block->used;
    block->used += size;
    return piece;
}

/* A block of its own, of which nothing is left. */
void *arena_room(struct arena *arena, size_t size)
{
    if (size < BLOCK_BYTES || size > SIZE_MAX / 2)
        return arena_alloc(arena, size);
    size = aligned(size);
    struct arena_block *block = block_new(arena, size, false);
    if (!block)
        return NULL;
    block_link(arena, block, size);
    block->used = size;
    return block->data;
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
    void *copy = arena_alloc(arena, size);
    if (copy && size)
        memcpy(copy, data, size);
    return copy;
}

void arena_done(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used_bytes = 0;
    arena->exceeded = false;
}

static void *allocator_alloc(void *ctx, size_t size)
{
    return arena_alloc(ctx, size);
}

static void allocator_free(void *ctx, void *piece)
{
    (void)ctx;
    (void)piece;
}

ProtobufCAllocator arena_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){
        .alloc = allocator_alloc, .free = allocator_free, .allocator_data = arena};
}
