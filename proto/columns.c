/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/columns.h"

#include "proto/cells.h"
#include "proto/limits.h"
#include "proto/wire.h"

#include <inttypes.h>
#include <string.h>

static size_t varint_size(uint64_t value)
{
    uint8_t out[10];
    return varint_put(value, out);
}

static bool no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "needs more memory than is allowed for it");
}

/* ---- rows to columns ---- */

/* Which rows have a value, and how many. */
static bool mark_present(const struct lane_rows *rows, const ProtobufCFieldDescriptor *field,
                         struct arena *arena, ProtobufCBinaryData *ret_bits, size_t *ret_present,
                         struct err *err)
{
    size_t present = 0;
    ProtobufCBinaryData bits = {.len = (rows->count + 7) / 8};
    bits.data = arena_alloc(arena, bits.len);
    if (!bits.data)
        return no_memory(err);
    for (size_t i = 0; i < rows->count; i++) {
        if (cell_is_default(rows->rows[i], field))
            continue;
        bits.data[i / 8] = (uint8_t)(bits.data[i / 8] | 1u << i % 8);
        present++;
    }
    if (present == rows->count)
        bits = (ProtobufCBinaryData){0};
    *ret_bits = bits;
    *ret_present = present;
    return true;
}

/* Takes the deltas where they are shorter. */
static void choose_coding(Muster__Column *column)
{
    size_t plain = 0, delta = 0;
    uint64_t previous = 0;
    for (size_t i = 0; i < column->n_numbers; i++) {
        uint64_t number = column->numbers[i];
        plain += varint_size(number);
        delta += varint_size(i ? zigzag((int64_t)(number - previous)) : number);
        previous = number;
    }
    if (delta >= plain)
        return;
    column->coding = MUSTER__CODING__CODING_DELTA;
    for (size_t i = column->n_numbers - 1; i > 0; i--)
        column->numbers[i] = zigzag((int64_t)(column->numbers[i] - column->numbers[i - 1]));
}

static bool numbers_of_rows(const struct lane_rows *rows, const ProtobufCFieldDescriptor *field,
                            size_t present, struct arena *arena, Muster__Column *column,
                            struct err *err)
{
    column->numbers = arena_alloc(arena, present * sizeof column->numbers[0]);
    if (!column->numbers)
        return no_memory(err);
    bool equal = true;
    for (size_t i = 0; i < rows->count; i++) {
        if (cell_is_default(rows->rows[i], field))
            continue;
        uint64_t number = cell_number(rows->rows[i], field);
        if (field->type == PROTOBUF_C_TYPE_ENUM && number > INT32_MAX)
            return err_set(err, ERR_INVALID, "row %zu: %s is negative", i, field->name);
        column->numbers[column->n_numbers++] = number;
        equal = equal && number == column->numbers[0];
    }
    if (equal)
        column->n_numbers = 1;
    choose_coding(column);
    return true;
}

/* Values of one width go end to end, without a length each. */
static bool pack_values(Muster__Column *column, struct arena *arena, struct err *err)
{
    size_t width = column->values[0].len;
    column->packed.data = arena_alloc(arena, width * column->n_values);
    if (!column->packed.data)
        return no_memory(err);
    for (size_t i = 0; i < column->n_values; i++)
        memcpy(column->packed.data + i * width, column->values[i].data, width);
    column->packed.len = width * column->n_values;
    column->width = (uint32_t)width;
    column->n_values = 0;
    return true;
}

static bool values_of_rows(const struct lane_rows *rows, const ProtobufCFieldDescriptor *field,
                           size_t present, struct arena *arena, Muster__Column *column,
                           struct err *err)
{
    column->values = arena_alloc(arena, present * sizeof column->values[0]);
    if (!column->values)
        return no_memory(err);
    bool equal = true, one_width = form_of(field) == FORM_BYTES;
    for (size_t i = 0; i < rows->count; i++) {
        ProtobufCBinaryData value = cell_value(rows->rows[i], field);
        if (value.len == 0)
            continue;
        if (value.len > LIMIT_RECORD_BYTES)
            return err_set(err, ERR_INVALID, "row %zu: %s has %zu bytes", i, field->name,
                           value.len);
        column->values[column->n_values++] = value;
        equal = equal && value_equal(value, column->values[0]);
        one_width = one_width && value.len == column->values[0].len;
    }
    if (equal)
        column->n_values = 1;
    return equal || !one_width || pack_values(column, arena, err);
}

bool column_of_rows(const struct lane_rows *rows, const ProtobufCFieldDescriptor *field,
                    struct arena *arena, Muster__Column **ret_column, struct err *err)
{
    ProtobufCBinaryData bits;
    size_t present = 0;
    if (form_of(field) == FORM_NONE)
        return err_set(err, ERR_INVALID, "%s is of a kind that rows cannot have", field->name);
    if (!mark_present(rows, field, arena, &bits, &present, err))
        return false;
    if (present == 0)
        return true;
    Muster__Column *column = arena_alloc(arena, sizeof *column);
    if (!column)
        return no_memory(err);
    muster__column__init(column);
    column->field = field->id;
    column->present = bits;
    bool ok = form_of(field) == FORM_NUMBER
                  ? numbers_of_rows(rows, field, present, arena, column, err)
                  : values_of_rows(rows, field, present, arena, column, err);
    if (ok)
        *ret_column = column;
    return ok;
}

/* The same rules for what we send and what we are sent. */
static bool check_span(Muster__Lane lane, uint64_t first_seq, size_t count, struct err *err)
{
    if (!lane_message(lane))
        return err_set(err, ERR_INVALID, "lane %d is not known", (int)lane);
    if (count == 0 || count > LIMIT_BATCH_ROWS)
        return err_set(err, ERR_INVALID, "lane %s: %zu rows, 1 to %d are allowed", lane_name(lane),
                       count, LIMIT_BATCH_ROWS);
    if (first_seq == 0 || first_seq > UINT64_MAX - (count - 1))
        return err_set(err, ERR_INVALID, "lane %s: no room for %zu rows from seq %" PRIu64,
                       lane_name(lane), count, first_seq);
    return true;
}

bool columns_begin(const struct lane_rows *rows, Muster__LaneBatch *ret_batch, struct err *err)
{
    if (!check_span(rows->lane, rows->first_seq, rows->count, err))
        return false;
    const ProtobufCMessageDescriptor *type = lane_message(rows->lane);
    for (size_t i = 0; i < rows->count; i++)
        if (rows->rows[i]->descriptor != type)
            return err_set(err, ERR_INVALID, "row %zu is a %s", i, rows->rows[i]->descriptor->name);
    muster__lane_batch__init(ret_batch);
    ret_batch->lane = rows->lane;
    ret_batch->incarnation = rows->incarnation;
    ret_batch->first_seq = rows->first_seq;
    ret_batch->count = (uint32_t)rows->count;
    return true;
}

bool columns_of_rows(const struct lane_rows *rows, struct arena *arena,
                     Muster__LaneBatch *ret_batch, struct err *err)
{
    Muster__LaneBatch batch = MUSTER__LANE_BATCH__INIT;
    if (!columns_begin(rows, &batch, err))
        return false;
    const ProtobufCMessageDescriptor *type = lane_message(rows->lane);
    batch.columns = arena_alloc(arena, type->n_fields * sizeof(Muster__Column *));
    if (!batch.columns)
        return no_memory(err);
    for (unsigned i = 0; i < type->n_fields; i++) {
        Muster__Column *column = NULL;
        if (!column_of_rows(rows, &type->fields[i], arena, &column, err))
            return err_context(err, "lane %s", lane_name(rows->lane));
        if (column)
            batch.columns[batch.n_columns++] = column;
    }
    *ret_batch = batch;
    return true;
}

/* ---- columns to rows ---- */

/* A column whose counts agree with each other, ready to be read value by value. */
struct reader {
    const Muster__Column *column;
    const ProtobufCFieldDescriptor *field;
    size_t present;
    struct arena *arena;
};

static bool refuse(const struct reader *reader, struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID, "%s: %s", reader->field->name, what);
}

static bool is_present(const Muster__Column *column, size_t row)
{
    return column->present.len == 0 || (column->present.data[row / 8] >> row % 8 & 1);
}

static bool count_present(struct reader *reader, size_t rows, struct err *err)
{
    const ProtobufCBinaryData *bits = &reader->column->present;
    if (bits->len && bits->len != (rows + 7) / 8)
        return refuse(reader, err, "as many presence bits as rows are due");
    if (bits->len && rows % 8 && bits->data[bits->len - 1] >> rows % 8)
        return refuse(reader, err, "presence bits beyond the last row");
    for (size_t i = 0; i < rows; i++)
        reader->present += is_present(reader->column, i);
    return reader->present > 0 || refuse(reader, err, "a column without values");
}

static bool check_counts(const struct reader *reader, struct err *err)
{
    const Muster__Column *column = reader->column;
    enum form form = form_of(reader->field);
    bool one_form = form == FORM_NUMBER ? !column->n_values && !column->packed.len && !column->width
                    : form == FORM_TEXT
                        ? !column->n_numbers && !column->packed.len && !column->width
                    : column->width ? !column->n_numbers && !column->n_values
                                    : !column->n_numbers && !column->packed.len;
    if (!one_form)
        return refuse(reader, err, "values of another kind than the field");
    if (protobuf_c_enum_descriptor_get_value(&muster__coding__descriptor, (int)column->coding) ==
        NULL)
        return err_set(err, ERR_NEWER, "%s: coding %d is not known here", reader->field->name,
                       (int)column->coding);
    if (column->coding != MUSTER__CODING__CODING_PLAIN &&
        (form != FORM_NUMBER || column->coding != MUSTER__CODING__CODING_DELTA))
        return refuse(reader, err, "a coding that is not for it");
    if (form == FORM_BYTES && column->width) {
        if (column->packed.len % column->width ||
            column->packed.len / column->width != reader->present)
            return refuse(reader, err, "as many packed bytes as values are due");
        return true;
    }
    size_t values = form == FORM_NUMBER ? column->n_numbers : column->n_values;
    if (values != 1 && values != reader->present)
        return refuse(reader, err, "as many values as rows that have one are due");
    return true;
}

static bool read_numbers(const struct reader *reader, ProtobufCMessage **rows, size_t count,
                         struct err *err)
{
    const Muster__Column *column = reader->column;
    bool delta = column->coding == MUSTER__CODING__CODING_DELTA;
    uint64_t number = 0;
    for (size_t i = 0, next = 0; i < count; i++) {
        if (!is_present(column, i))
            continue;
        if (next < column->n_numbers) {
            uint64_t coded = column->numbers[next];
            number = delta && next ? number + (uint64_t)unzigzag(coded) : coded;
            next++;
        }
        if (!cell_put_number(rows[i], reader->field, number))
            return refuse(reader, err, "a number out of range");
    }
    return true;
}

static bool read_texts(const struct reader *reader, ProtobufCMessage **rows, size_t count,
                       struct err *err)
{
    const Muster__Column *column = reader->column;
    char *text = NULL;
    for (size_t i = 0, next = 0; i < count; i++) {
        if (!is_present(column, i))
            continue;
        if (next < column->n_values) {
            ProtobufCBinaryData value = column->values[next++];
            if (!wire_text_valid(bytes_of(value.data, value.len)))
                return refuse(reader, err, "text that is not UTF-8, or holds a NUL");
            text = arena_alloc(reader->arena, value.len + 1);
            if (!text)
                return no_memory(err);
            if (value.len)
                memcpy(text, value.data, value.len);
        }
        *(char **)cell_at(rows[i], reader->field) = text;
    }
    return true;
}

static void read_bytes(const struct reader *reader, ProtobufCMessage **rows, size_t count)
{
    const Muster__Column *column = reader->column;
    for (size_t i = 0, next = 0; i < count; i++) {
        if (!is_present(column, i))
            continue;
        ProtobufCBinaryData value = {.len = column->width};
        if (column->width)
            value.data = column->packed.data + next * column->width;
        else
            value = column->values[column->n_values == 1 ? 0 : next];
        *(ProtobufCBinaryData *)cell_at(rows[i], reader->field) = value;
        next++;
    }
}

static bool read_column(const Muster__Column *column, const ProtobufCFieldDescriptor *field,
                        struct arena *arena, struct lane_rows *rows, struct err *err)
{
    struct reader reader = {.column = column, .field = field, .arena = arena};
    if (form_of(field) == FORM_NONE)
        return refuse(&reader, err, "of a kind that rows cannot have");
    if (!count_present(&reader, rows->count, err) || !check_counts(&reader, err))
        return false;
    switch (form_of(field)) {
    case FORM_NUMBER:
        return read_numbers(&reader, rows->rows, rows->count, err);
    case FORM_TEXT:
        return read_texts(&reader, rows->rows, rows->count, err);
    default:
        read_bytes(&reader, rows->rows, rows->count);
        return true;
    }
}

static bool make_rows(const ProtobufCMessageDescriptor *type, struct arena *arena,
                      struct lane_rows *rows, struct err *err)
{
    uint8_t *memory = arena_alloc(arena, rows->count * type->sizeof_message);
    rows->rows = arena_alloc(arena, rows->count * sizeof rows->rows[0]);
    if (!memory || !rows->rows)
        return no_memory(err);
    for (size_t i = 0; i < rows->count; i++) {
        rows->rows[i] = (ProtobufCMessage *)(void *)(memory + i * type->sizeof_message);
        protobuf_c_message_init(type, rows->rows[i]);
    }
    return true;
}

static bool read_columns(const Muster__LaneBatch *batch, const ProtobufCMessageDescriptor *type,
                         struct arena *arena, struct lane_rows *rows, struct err *err)
{
    bool *seen = arena_alloc(arena, type->n_fields * sizeof *seen);
    if (!seen)
        return no_memory(err);
    for (size_t i = 0; i < batch->n_columns; i++) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(type, batch->columns[i]->field);
        if (!field) /* a newer sender's */
            continue;
        if (seen[field - type->fields])
            return err_set(err, ERR_INVALID, "%s: two columns", field->name);
        seen[field - type->fields] = true;
        if (!read_column(batch->columns[i], field, arena, rows, err))
            return false;
    }
    return true;
}

bool rows_of_columns(const Muster__LaneBatch *batch, struct arena *arena,
                     struct lane_rows *ret_rows, struct err *err)
{
    if (!check_span(batch->lane, batch->first_seq, batch->count, err))
        return false;
    const ProtobufCMessageDescriptor *type = lane_message(batch->lane);
    struct lane_rows rows = {
        .lane = batch->lane,
        .incarnation = batch->incarnation,
        .first_seq = batch->first_seq,
        .count = batch->count,
    };
    if (!make_rows(type, arena, &rows, err) || !read_columns(batch, type, arena, &rows, err))
        return err_context(err, "lane %s", lane_name(batch->lane));
    *ret_rows = rows;
    return true;
}
