/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

void fuzz_unpack(const ProtobufCMessageDescriptor *type, struct bytes in, size_t max_bytes)
{
    struct arena arena = {.limit_bytes = 2 * 1024 * 1024};
    struct arena again = {.limit_bytes = 4 * 1024 * 1024};
    struct buf once = {0}, twice = {0};
    struct err err = {0};
    ProtobufCMessage *message = NULL;
    struct unpack_limits limits = {.max_bytes = max_bytes};
    if (unpack(type, in, &limits, &arena, &message, &err)) {
        HOLDS(pack(message, &once, NULL));
        HOLDS(unpack(type, buf_bytes(&once), &limits, &again, &message, &err));
        HOLDS(pack(message, &twice, NULL));
        HOLDS(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    } else {
        HOLDS(err.code != ERR_NONE && err.text[0]);
    }
    HOLDS(arena.used_bytes <= arena.limit_bytes);
    buf_done(&once);
    buf_done(&twice);
    arena_done(&arena);
    arena_done(&again);
}
