/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_ARENA_H
#define PROTO_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

/* Memory that is freed all at once and never exceeds its limit. Zero-initialised plus limit is
 * ready to use; arena_done leaves it ready to use again. */
struct arena_block;
struct arena {
    struct arena_block *blocks;
    size_t used_bytes;
    size_t limit_bytes; /* 0: 4 MiB */
    bool exceeded;      /* something was asked for beyond it */
};

/* Zeroed, aligned for any type; NULL when the limit or the memory is reached. */
void *arena_alloc(struct arena *arena, size_t size);
/* The same, but not zeroed: for much that is written all over. */
void *arena_room(struct arena *arena, size_t size);
void *arena_copy(struct arena *arena, const void *data, size_t size);
void arena_done(struct arena *arena);
/* For protobuf-c; freeing is a no-op. */
ProtobufCAllocator arena_allocator(struct arena *arena);

#endif
