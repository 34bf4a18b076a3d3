/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/lane.h"

#include "proto/mixed.h"

#include <string.h>

enum { TEXT_DIGITS = 18, WIDTH_MAX = 8, UNIT_MAX = 256 };

struct reader {
    const Muster__Series *series;
    const ProtobufCFieldDescriptor *field; /* NULL: a newer sender's, read and passed over */
    const ProtobufCFieldDescriptor *of;    /* NULL: none */
    uint64_t base;
    uint64_t *steps; /* quotients first */
    struct bytes marks;
    uint64_t divisor; /* 0: not one of the mixed */
};

struct reading {
    struct reader *readers;
    size_t count;
    struct lane_in *in;
    struct arena *arena;
    struct lane_rows *rows;
};

static bool refuse(const struct reader *reader, struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID, "%s: %s",
                   reader->field ? reader->field->name : "a field not known here", what);
}

static bool take_varint(struct bytes *in, uint64_t *ret_value)
{
    int length = varint_get(*in, ret_value);
    if (length <= 0)
        return false;
    *in = bytes_of(in->data + length, in->length - (size_t)length);
    return true;
}

static bool check_series(const struct reader *reader, struct err *err)
{
    const Muster__Series *series = reader->series;
    enum form wanted = series->digits > 0  ? FORM_TEXT
                       : series->width > 0 ? FORM_BYTES
                                           : FORM_NUMBER;
    if ((reader->field && form_of(reader->field) != wanted) ||
        (series->digits > 0 && series->width > 0))
        return refuse(reader, err, "a series of another kind than the field");
    if (series->digits > TEXT_DIGITS || series->width > WIDTH_MAX || series->unit == 1 ||
        series->unit > UNIT_MAX || series->divisor > MIXED_DIVISOR_MAX)
        return refuse(reader, err, "a series out of its bounds");
    if (reader->of && form_of(reader->of) != FORM_NUMBER)
        return refuse(reader, err, "a series of a field that is no number");
    if (reader->field && series->of > 0 && !reader->of)
        return err_set(err, ERR_NEWER, "%s: goes by field %u, which is not known here",
                       reader->field->name, series->of);
    return true;
}

static bool take_base(const struct reading *reading, struct reader *reader, struct err *err)
{
    struct bytes *raw = &reading->in->raw, taken;
    uint64_t value = 0;
    if (!reader->series->delta)
        return true;
    if (reader->series->width == 0) {
        if (!take_varint(raw, &value))
            return refuse(reader, err, "a series without the number before its first row");
        reader->base = (uint64_t)unzigzag(value);
        return true;
    }
    if (!lane_take(raw, reader->series->width, "numbers", &taken, err))
        return false;
    for (size_t i = 0; i < taken.length; i++)
        reader->base = reader->base << 8 | taken.data[i];
    return true;
}

static bool take_runs(const struct reading *reading, struct reader *reader, struct err *err)
{
    uint64_t runs = 0, length = 0, step = 0;
    size_t row = 0;
    if (!take_varint(&reading->in->raw, &runs))
        return refuse(reader, err, "a series without runs");
    for (uint64_t run = 0; run < runs; run++) {
        if (!take_varint(&reading->in->raw, &length) || !take_varint(&reading->in->raw, &step) ||
            length == 0 || length > reading->rows->count - row)
            return refuse(reader, err, "runs that do not fit the rows");
        for (uint64_t i = 0; i < length; i++)
            reader->steps[row++] = step;
    }
    return row == reading->rows->count || refuse(reader, err, "runs that do not fit the rows");
}

static bool take_quotients(const struct reading *reading, struct reader *reader, struct err *err)
{
    struct bytes *from = reader->series->shape == MUSTER__SHAPE__SHAPE_MARKS ? &reading->in->marks
                                                                             : &reading->in->steps;
    for (size_t row = 0; row < reading->rows->count; row++)
        if (!take_varint(from, &reader->steps[row]))
            return refuse(reader, err, "as many quotients as rows are due");
    return true;
}

static bool read_series(const struct reading *reading, struct reader *reader, struct err *err)
{
    reader->steps = arena_alloc(reading->arena, reading->rows->count * sizeof *reader->steps);
    if (!reader->steps)
        return lane_no_memory(err);
    if (!check_series(reader, err) || !take_base(reading, reader, err))
        return false;
    if (reader->series->unit > 0 &&
        !lane_take(&reading->in->marks, reading->rows->count, "marks", &reader->marks, err))
        return false;
    if (reader->series->shape >= MUSTER__SHAPE__SHAPE_STEPS)
        reader->divisor = reader->series->divisor > 0 ? reader->series->divisor : 1;
    switch (reader->series->shape) {
    case MUSTER__SHAPE__SHAPE_EQUAL:
        for (size_t row = 0; row < reading->rows->count; row++)
            reader->steps[row] = reader->series->step;
        return true;
    case MUSTER__SHAPE__SHAPE_RUNS:
        return take_runs(reading, reader, err);
    case MUSTER__SHAPE__SHAPE_STEPS:
    case MUSTER__SHAPE__SHAPE_MARKS:
        return take_quotients(reading, reader, err);
    case MUSTER__SHAPE__SHAPE_MIXED:
        return true;
    case MUSTER__SHAPE__SHAPE_UNKNOWN:
        return refuse(reader, err, "a series without a shape");
    default:
        return err_set(err, ERR_NEWER, "%s: shape %d is not known here",
                       reader->field ? reader->field->name : "a field not known here",
                       (int)reader->series->shape);
    }
}

/* The remainders join the quotients. */
static bool read_mixed(const struct reading *reading, size_t bytes, struct err *err)
{
    if (bytes > MIXED_BYTES)
        return err_set(err, ERR_INVALID, "mixed numbers of %zu bytes, %d are the most", bytes,
                       MIXED_BYTES);
    for (size_t row = 0; row < reading->rows->count; row++) {
        struct mixed mixed = {.length = bytes};
        struct bytes taken;
        if (!lane_take(&reading->in->raw, bytes, "mixed numbers", &taken, err))
            return false;
        if (bytes > 0)
            memcpy(mixed.bytes, taken.data, bytes);
        for (size_t i = 0; i < reading->count; i++) {
            struct reader *reader = &reading->readers[i];
            if (reader->divisor > 0)
                reader->steps[row] =
                    reader->steps[row] * reader->divisor + mixed_take(&mixed, reader->divisor);
        }
    }
    return true;
}

static bool put_digits(const struct reading *reading, const struct reader *reader,
                       ProtobufCMessage *row, uint64_t number, struct err *err)
{
    uint32_t length = reader->series->digits;
    if (number == 0)
        return true;
    char *text = arena_alloc(reading->arena, length + 1);
    if (!text)
        return lane_no_memory(err);
    number--;
    for (uint32_t i = length; i-- > 0; number /= 10)
        text[i] = (char)('0' + number % 10);
    if (number > 0)
        return refuse(reader, err, "a number of more digits than stated");
    *(char **)cell_at(row, reader->field) = text;
    return true;
}

static bool put_width(const struct reading *reading, const struct reader *reader,
                      ProtobufCMessage *row, uint64_t number, struct err *err)
{
    uint32_t width = reader->series->width;
    uint8_t *data = arena_alloc(reading->arena, width);
    if (!data)
        return lane_no_memory(err);
    for (uint32_t i = width; i-- > 0; number >>= 8)
        data[i] = (uint8_t)number;
    if (number > 0 && width < WIDTH_MAX)
        return refuse(reader, err, "a number out of range");
    *(ProtobufCBinaryData *)cell_at(row, reader->field) =
        (ProtobufCBinaryData){.len = width, .data = data};
    return true;
}

static bool put_number(const struct reader *reader, ProtobufCMessage *row, uint64_t number,
                       struct err *err)
{
    uint64_t wire = field_is_signed(reader->field) ? zigzag((int64_t)number) : number;
    return cell_put_number(row, reader->field, wire) ||
           refuse(reader, err, "a number out of range");
}

static uint64_t number_of(const ProtobufCMessage *row, const ProtobufCFieldDescriptor *field)
{
    uint64_t number = cell_number(row, field);
    return field_is_signed(field) ? (uint64_t)unzigzag(number) : number;
}

static bool fill_rows(const struct reading *reading, const struct reader *reader, struct err *err)
{
    const Muster__Series *series = reader->series;
    uint64_t before = reader->base;
    for (size_t i = 0; i < reading->rows->count; i++) {
        ProtobufCMessage *row = reading->rows->rows[i];
        uint64_t step = reader->steps[i];
        if (series->unit > 0)
            step = step * series->unit + reader->marks.data[i];
        uint64_t number = series->zigzag ? (uint64_t)unzigzag(step) : step;
        if (series->delta)
            before = number += before;
        if (reader->of)
            number += number_of(row, reader->of);
        bool put = series->digits > 0  ? put_digits(reading, reader, row, number, err)
                   : series->width > 0 ? put_width(reading, reader, row, number, err)
                                       : put_number(reader, row, number, err);
        if (!put)
            return false;
    }
    return true;
}

static bool unpack_known(const Muster__LaneBatch *batch, const struct reading *reading,
                         struct err *err)
{
    for (size_t i = 0; i < reading->count; i++)
        if (!read_series(reading, &reading->readers[i], err))
            return false;
    if (!read_mixed(reading, batch->mixed_bytes, err))
        return false;
    for (size_t i = 0; i < reading->count; i++)
        if (reading->readers[i].field && !fill_rows(reading, &reading->readers[i], err))
            return false;
    return true;
}

bool series_unpack(const Muster__LaneBatch *batch, struct lane_in *in, struct arena *arena,
                   struct lane_rows *rows, struct err *err)
{
    const ProtobufCMessageDescriptor *type = lane_message(rows->lane);
    struct reading reading = {.in = in, .arena = arena, .rows = rows, .count = batch->n_series};
    struct lane_fields_set set = {0};
    if (batch->n_series > LANE_FIELDS_MAX)
        return err_set(err, ERR_INVALID, "%zu series, %d are the most", batch->n_series,
                       LANE_FIELDS_MAX);
    reading.readers = arena_alloc(arena, batch->n_series * sizeof *reading.readers);
    if (!reading.readers)
        return lane_no_memory(err);
    for (size_t i = 0; i < batch->n_series; i++) {
        struct reader *reader = &reading.readers[i];
        reader->series = batch->series[i];
        reader->field = protobuf_c_message_descriptor_get_field(type, batch->series[i]->field);
        if (!lane_set_once(&set, type, reader->field, "series", err))
            return false;
        if (batch->series[i]->of > 0)
            reader->of = protobuf_c_message_descriptor_get_field(type, batch->series[i]->of);
    }
    return unpack_known(batch, &reading, err);
}
