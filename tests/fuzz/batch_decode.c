/* SPDX-License-Identifier: Apache-2.0 */
/* A whole batch as a device sends it, compressed. What is inside has its own target: columns. */
#include "proto/batch.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct lane_rows *lanes = NULL;
    size_t count = 0;
    struct err err = {0};
    if (batch_decode(bytes_of(data, size), &arena, &lanes, &count, &err))
        HOLDS(lanes && count > 0);
    else
        HOLDS(err.code != ERR_NONE);
    HOLDS(arena.used_bytes <= arena.limit_bytes);
    arena_done(&arena);
    return 0;
}
