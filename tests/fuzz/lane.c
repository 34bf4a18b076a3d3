/* SPDX-License-Identifier: Apache-2.0 */
/* A batch's streams, uncompressed: body, then marks, steps and raw behind a varint length each.
 * Rows that come out must go into a batch and out again unchanged. */
#include "proto/lane.h"
#include "proto/columns.h"
#include "proto/dictionary.h"
#include "proto/unpack.h"
#include "tests/fuzz/fuzz.h"

static struct bytes take_part(struct bytes *in)
{
    uint64_t length = 0;
    int head = varint_get(*in, &length);
    if (head <= 0 || length > in->length - (size_t)head)
        return bytes_of(NULL, 0);
    struct bytes part = bytes_of(in->data + head, (size_t)length);
    *in = bytes_of(in->data + head + length, in->length - (size_t)head - (size_t)length);
    return part;
}

static void pack_rows(const struct lane_rows *rows, struct buf *out)
{
    for (size_t i = 0; i < rows->count; i++)
        HOLDS(pack(rows->rows[i], out, NULL));
}

static void go_round(const struct lane_rows *rows)
{
    struct arena arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct buf wire = {0}, before = {0}, after = {0};
    struct lane_rows *again = NULL;
    size_t count = 0;
    if (batch_encode(rows, 1, 1, &wire, NULL)) {
        HOLDS(batch_decode(buf_bytes(&wire), &arena, &again, &count, NULL));
        HOLDS(count == 1);
        pack_rows(rows, &before);
        pack_rows(again, &after);
        HOLDS(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
    }
    buf_done(&wire);
    buf_done(&before);
    buf_done(&after);
    arena_done(&arena);
}

static void try_lane(const Muster__LaneBatch *batch, struct lane_in *in, struct arena *arena)
{
    struct lane_known known = {.arena = arena};
    struct lane_rows rows;
    struct err err = {0};
    size_t bytes = 0;
    HOLDS(dictionary_find(DICTIONARY_NEWEST, arena, &known.dictionary, &err));
    if (!rows_of_columns(batch, arena, &rows, &err) ||
        !lane_unpack(batch, &known, in, arena, &rows, &err)) {
        HOLDS(err.code != ERR_NONE);
        return;
    }
    for (size_t i = 0; i < rows.count; i++)
        bytes += protobuf_c_message_get_packed_size(rows.rows[i]);
    if (bytes <= 64 * 1024) /* larger ones would only be slow */
        go_round(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct unpack_limits limits = {.max_bytes = 1 << 20, .max_elements = 128000};
    struct arena arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct bytes input = bytes_of(data, size);
    ProtobufCMessage *message = NULL;
    struct bytes body = take_part(&input);
    struct lane_in in = {.marks = take_part(&input), .steps = take_part(&input), .raw = input};
    if (unpack(&muster__lane_batch__descriptor, body, &limits, &arena, &message, NULL))
        try_lane((const Muster__LaneBatch *)message, &in, &arena);
    HOLDS(arena.used_bytes <= arena.limit_bytes);
    arena_done(&arena);
    return 0;
}
