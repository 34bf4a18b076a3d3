/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite's heap in these programs: blocks of a few sizes that are used again. SQLite itself is not
 * built with AddressSanitizer, and its allocator would take most of a run's time; what is free is
 * poisoned by hand, so that our code is caught all the same when it reads it. */
#include "tests/inject/fault_heap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

enum { CLASSES = 24, LEAST_SHIFT = 5, CHUNK_BYTES = 1 << 20 };

struct block {
    size_t size; /* asked for */
    struct block *next;
};

void *__real_malloc(size_t size); /* past fault_memory.c */

static struct block *free_blocks[CLASSES];
static uint8_t *chunk;
static size_t chunk_left;

static size_t class_of(size_t size)
{
    const size_t least = (size_t)1 << LEAST_SHIFT;
    return size <= least ? 0 : (size_t)(64 - __builtin_clzl(size - 1)) - LEAST_SHIFT;
}

static struct block *new_block(size_t bytes)
{
    if (bytes > CHUNK_BYTES)
        return __real_malloc(bytes);
    if (chunk_left < bytes) {
        chunk = __real_malloc(CHUNK_BYTES); /* kept for good, and what is left of the last one */
        if (chunk == NULL)
            return NULL;
        chunk_left = CHUNK_BYTES;
    }
    struct block *block = (struct block *)(void *)(chunk + CHUNK_BYTES - chunk_left);
    chunk_left -= bytes;
    return block;
}

void *fault_heap_take(int size)
{
    size_t class = class_of((size_t)size);
    struct block *block = free_blocks[class];
    if (block != NULL)
        free_blocks[class] = block->next;
    else if ((block = new_block(sizeof *block + ((size_t)1 << (class + LEAST_SHIFT)))) == NULL)
        abort();
    block->size = (size_t)size;
    ASAN_UNPOISON_MEMORY_REGION(block + 1, block->size);
    return block + 1;
}

void fault_heap_give(void *memory)
{
    struct block *block = (struct block *)memory - 1;
    size_t class = class_of(block->size);
    ASAN_POISON_MEMORY_REGION(memory, (size_t)1 << (class + LEAST_SHIFT));
    block->next = free_blocks[class];
    free_blocks[class] = block;
}

int fault_heap_size(void *memory)
{
    return memory == NULL ? 0 : (int)((struct block *)memory - 1)->size;
}

void *fault_heap_resize(void *old, int size)
{
    void *memory = fault_heap_take(size);
    int length = fault_heap_size(old);
    memcpy(memory, old, (size_t)(length < size ? length : size));
    fault_heap_give(old);
    return memory;
}
