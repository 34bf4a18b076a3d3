/* SPDX-License-Identifier: Apache-2.0 */
/* One stream's columns. Rows that come out must go back into columns and out again unchanged. */
#include "proto/columns.h"
#include "tests/fuzz/fuzz.h"

static void pack_rows(const struct lane_rows *rows, struct buf *out)
{
    for (size_t i = 0; i < rows->count; i++)
        HOLDS(pack(rows->rows[i], out, NULL));
}

static void go_round(const struct lane_rows *rows, struct arena *arena)
{
    Muster__LaneBatch batch;
    struct lane_rows again;
    struct buf before = {0}, after = {0};
    struct err err = {0};
    size_t bytes = 0;
    for (size_t i = 0; i < rows->count; i++)
        bytes += protobuf_c_message_get_packed_size(rows->rows[i]);
    /* batch.c refuses larger ones; here they would only be slow */
    if (bytes > 256 * 1024 || !columns_of_rows(rows, arena, &batch, &err))
        return;
    HOLDS(rows_of_columns(&batch, arena, &again, &err));
    pack_rows(rows, &before);
    pack_rows(&again, &after);
    HOLDS(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
    buf_done(&before);
    buf_done(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct unpack_limits limits = {.max_bytes = 1 << 20, .max_elements = 128000};
    struct arena arena = {.limit_bytes = BATCH_ARENA_BYTES};
    ProtobufCMessage *message = NULL;
    struct lane_rows rows;
    struct err err = {0};
    if (unpack(&muster__lane_batch__descriptor, bytes_of(data, size), &limits, &arena, &message,
               &err) &&
        rows_of_columns((const Muster__LaneBatch *)message, &arena, &rows, &err)) {
        struct arena fresh = {.limit_bytes = 4 * BATCH_ARENA_BYTES};
        go_round(&rows, &fresh);
        arena_done(&fresh);
    }
    HOLDS(arena.used_bytes <= arena.limit_bytes);
    arena_done(&arena);
    return 0;
}
