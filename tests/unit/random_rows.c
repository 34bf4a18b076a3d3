/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/random_rows.h"

#include "proto/unpack.h"

#include <stdlib.h>
#include <string.h>

enum pattern { ABSENT, CONSTANT, SPARSE, RISING, WILD, PATTERNS };

uint64_t dice_next(struct dice *dice)
{
    dice->state ^= dice->state >> 12;
    dice->state ^= dice->state << 25;
    dice->state ^= dice->state >> 27;
    return dice->state * UINT64_C(2685821657736338717);
}

uint64_t dice_below(struct dice *dice, uint64_t below)
{
    return dice_next(dice) % below;
}

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* Small numbers and the ends of the range come up as often as those in between. */
static uint64_t wild_number(struct dice *dice)
{
    switch (dice_below(dice, 4)) {
    case 0:
        return dice_below(dice, 200);
    case 1:
        return UINT64_MAX - dice_below(dice, 3);
    case 2:
        return (UINT64_C(1) << 63) - dice_below(dice, 3);
    default:
        return dice_next(dice) >> dice_below(dice, 64);
    }
}

static void set_number(void *at, ProtobufCType type, uint64_t number)
{
    switch (type) {
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SINT64:
        *(uint64_t *)at = number;
        return;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)at = (protobuf_c_boolean)(number & 1);
        return;
    case PROTOBUF_C_TYPE_ENUM:
        *(uint32_t *)at = number & INT32_MAX;
        return;
    default:
        *(uint32_t *)at = (uint32_t)number;
        return;
    }
}

static void set_value(struct dice *dice, void *at, ProtobufCType type, size_t length,
                      struct arena *arena)
{
    uint8_t *data = must(arena_alloc(arena, length + 1));
    bool text = type == PROTOBUF_C_TYPE_STRING;
    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t)(text ? 'a' + dice_below(dice, 26) : dice_below(dice, 256));
    if (text)
        *(char **)at = (char *)data;
    else
        *(ProtobufCBinaryData *)at = (ProtobufCBinaryData){.len = length, .data = data};
}

static void fill_cell(struct dice *dice, void *at, ProtobufCType type, enum pattern pattern,
                      size_t row, size_t width, struct arena *arena)
{
    if (type != PROTOBUF_C_TYPE_STRING && type != PROTOBUF_C_TYPE_BYTES)
        set_number(at, type,
                   pattern == RISING ? 1000000 + row * 7 + dice_below(dice, 3) : wild_number(dice));
    else
        set_value(dice, at, type, pattern == RISING ? width : dice_below(dice, 20), arena);
}

static size_t cell_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SINT64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(char *);
    default:
        return sizeof(uint32_t);
    }
}

static void fill_column(struct dice *dice, const ProtobufCFieldDescriptor *field,
                        struct lane_rows *rows, struct arena *arena)
{
    enum pattern pattern = (enum pattern)dice_below(dice, PATTERNS);
    size_t width = 1 + dice_below(dice, 12);
    for (size_t i = 0; i < rows->count; i++) {
        uint8_t *at = (uint8_t *)rows->rows[i] + field->offset;
        if (pattern == ABSENT || (pattern == SPARSE && dice_below(dice, 5)))
            continue;
        if (pattern == CONSTANT && i)
            memcpy(at, (uint8_t *)rows->rows[0] + field->offset, cell_size(field->type));
        else
            fill_cell(dice, at, field->type, pattern, i, width, arena);
    }
}

void random_rows(struct dice *dice, Muster__Lane lane, size_t count, struct arena *arena,
                 struct lane_rows *ret_rows)
{
    const ProtobufCMessageDescriptor *type = lane_message(lane);
    struct lane_rows rows = {
        .lane = lane,
        .incarnation = dice_next(dice),
        .first_seq = 1 + dice_below(dice, UINT64_C(1) << 40),
        .count = count,
        .rows = must(arena_alloc(arena, count * sizeof(ProtobufCMessage *))),
    };
    for (size_t i = 0; i < count; i++) {
        rows.rows[i] = must(arena_alloc(arena, type->sizeof_message));
        protobuf_c_message_init(type, rows.rows[i]);
    }
    for (unsigned i = 0; i < type->n_fields; i++)
        fill_column(dice, &type->fields[i], &rows, arena);
    *ret_rows = rows;
}

static bool same_row(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    struct buf left = {0}, right = {0};
    bool same = pack(a, &left, NULL) && pack(b, &right, NULL) &&
                bytes_equal(buf_bytes(&left), buf_bytes(&right));
    buf_done(&left);
    buf_done(&right);
    return same;
}

bool same_rows(const struct lane_rows *a, const struct lane_rows *b)
{
    if (a->lane != b->lane || a->incarnation != b->incarnation || a->first_seq != b->first_seq ||
        a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_row(a->rows[i], b->rows[i]))
            return false;
    return true;
}
