/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/lane.h"

#include "proto/mixed.h"

#include <string.h>

/*
 * About, in 1/16 bit: what the two dictionaries make of a quotient. `steps` is for quotients that
 * lie about their mean, `marks` for those that are mostly 0. A few bits are given away for a
 * divisor that is usual, because then the whole list of series is one that the dictionary knows.
 */
static const uint16_t steps_bits[] = {79, 71, 61, 50, 47, 47, 50,  55,
                                      62, 68, 76, 83, 91, 99, 106, 113},
                      marks_bits[] = {23,  51,  68,  75,  87,  92,  96,  101,
                                      105, 107, 108, 110, 111, 112, 113, 116};
enum { FAR_BITS = 128, BYTE_BITS = 8 * 16, USUAL_BITS = 100 * 16 };

static uint64_t bits_of(const uint16_t *table, uint64_t quotient)
{
    uint64_t bits = quotient < 16 ? table[quotient] : quotient < 24 ? FAR_BITS : FAR_BITS + 24;
    for (quotient >>= 7; quotient > 0; quotient >>= 7)
        bits += BYTE_BITS + 16;
    return bits;
}

/* log2 in 1/16, between powers of two along the chord */
static uint64_t log2_bits(uint64_t number)
{
    unsigned power = 0;
    while (number >> power > 1)
        power++;
    uint64_t rest = number - (UINT64_C(1) << power);
    return 16 * (uint64_t)power + (power > 4 ? rest >> (power - 4) : rest << (4 - power));
}

/* ---- a field's rows as numbers ---- */

static bool digits_number(const char *text, uint32_t digits, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (!text || !*text) {
        *ret_number = 0;
        return true;
    }
    if (strlen(text) != digits)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        number = number * 10 + (uint64_t)(*text - '0');
    }
    *ret_number = number + 1;
    return true;
}

static bool width_number(ProtobufCBinaryData value, uint32_t width, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (value.len != width)
        return false;
    for (uint32_t i = 0; i < width; i++)
        number = number << 8 | value.data[i];
    *ret_number = number;
    return true;
}

static bool number_of(const ProtobufCMessage *row, const ProtobufCFieldDescriptor *field,
                      const struct series_plan *plan, uint64_t *ret_number)
{
    switch (form_of(field)) {
    case FORM_NUMBER:
        *ret_number = cell_number(row, field);
        if (field_is_signed(field))
            *ret_number = (uint64_t)unzigzag(*ret_number);
        return field->type != PROTOBUF_C_TYPE_ENUM || *ret_number <= INT32_MAX;
    case FORM_TEXT:
        return plan->digits > 0 &&
               digits_number(*(char *const *)cell_at(row, field), plan->digits, ret_number);
    case FORM_BYTES:
        return plan->width > 0 && width_number(cell_value(row, field), plan->width, ret_number);
    default:
        return false;
    }
}

static bool numbers_of(const struct lane_rows *rows, const struct series_plan *plan,
                       uint64_t *numbers)
{
    const ProtobufCMessageDescriptor *type = rows->rows[0]->descriptor;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(type, plan->field);
    const ProtobufCFieldDescriptor *of =
        plan->of > 0 ? protobuf_c_message_descriptor_get_field(type, plan->of) : NULL;
    for (size_t i = 0; i < rows->count; i++) {
        uint64_t other = 0;
        if (!number_of(rows->rows[i], field, plan, &numbers[i]) ||
            (of && !number_of(rows->rows[i], of, &(struct series_plan){0}, &other)))
            return false;
        numbers[i] -= other;
    }
    return true;
}

/* ---- numbers to steps ---- */

static void make_deltas(struct series_draft *draft, size_t count)
{
    uint64_t *steps = draft->steps, first = steps[0];
    bool even = count > 1;
    for (size_t i = count - 1; i > 0; i--) {
        steps[i] -= steps[i - 1];
        even = even && steps[i] == steps[count - 1];
    }
    /* Where all rows have the same distance, the first has it too. */
    steps[0] = even ? steps[1] : 0;
    draft->base = first - steps[0];
}

static size_t count_runs(const uint64_t *steps, size_t count)
{
    size_t runs = 1;
    for (size_t i = 1; i < count; i++)
        runs += steps[i] != steps[i - 1];
    return runs;
}

/* A run is two varints in `raw`. */
static uint64_t runs_bits(const uint64_t *steps, size_t count)
{
    uint64_t bits = BYTE_BITS;
    uint8_t bytes[10];
    for (size_t i = 0; i < count; i++)
        if (i == 0 || steps[i] != steps[i - 1])
            bits += BYTE_BITS * (1 + varint_put(steps[i], bytes));
    return bits;
}

/* What the steps cost by `divisor`; *ret_shape: which dictionary is the better. */
static uint64_t cost_of(const struct series_draft *draft, size_t count, uint64_t divisor,
                        uint64_t unit, Muster__Shape *ret_shape)
{
    uint64_t by_steps = 0, by_marks = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t quotient = draft->steps[i] / unit / divisor;
        by_steps += bits_of(steps_bits, quotient);
        by_marks += bits_of(marks_bits, quotient);
        most = quotient > most ? quotient : most;
    }
    uint64_t mixed = count * log2_bits(divisor);
    *ret_shape = MUSTER__SHAPE__SHAPE_MIXED;
    if (most == 0)
        return mixed;
    *ret_shape = by_steps <= by_marks ? MUSTER__SHAPE__SHAPE_STEPS : MUSTER__SHAPE__SHAPE_MARKS;
    return mixed + (by_steps <= by_marks ? by_steps : by_marks);
}

static void try_divisor(struct series_draft *draft, size_t count, uint64_t divisor, uint64_t gift)
{
    Muster__Shape shape;
    uint64_t unit = draft->series.unit > 0 ? draft->series.unit : 1;
    uint64_t bits = cost_of(draft, count, divisor, unit, &shape);
    bits = bits > gift ? bits - gift : 0;
    if (bits >= draft->bits)
        return;
    draft->bits = bits;
    draft->series.divisor = divisor;
    draft->series.shape = shape;
}

static void choose_divisor(struct series_draft *draft, size_t count, uint64_t usual)
{
    uint64_t most = 0, unit = draft->series.unit > 0 ? draft->series.unit : 1;
    for (size_t i = 0; i < count; i++)
        most = draft->steps[i] / unit > most ? draft->steps[i] / unit : most;
    draft->bits = UINT64_MAX;
    for (uint64_t divisor = 1; divisor <= most && divisor <= MIXED_DIVISOR_MAX;
         divisor += divisor / 5 + 1)
        try_divisor(draft, count, divisor, 0);
    if (most < MIXED_DIVISOR_MAX)
        try_divisor(draft, count, most + 1, 0);
    if (usual > 0)
        try_divisor(draft, count, usual, USUAL_BITS);
    if (unit > 1)
        draft->bits += count * 4 * 16;
}

bool series_draft(const struct lane_rows *rows, const struct series_plan *plan, struct arena *arena,
                  struct series_draft *ret_draft)
{
    struct series_draft draft = {.steps = arena_alloc(arena, rows->count * sizeof *draft.steps)};
    if (!draft.steps || !numbers_of(rows, plan, draft.steps))
        return false;
    muster__series__init(&draft.series);
    draft.series.field = plan->field;
    draft.series.of = plan->of;
    draft.series.digits = plan->digits;
    draft.series.width = plan->width;
    draft.series.delta = plan->delta;
    draft.series.zigzag = plan->zigzag;
    if (plan->delta)
        make_deltas(&draft, rows->count);
    for (size_t i = 0; plan->zigzag && i < rows->count; i++)
        draft.steps[i] = zigzag((int64_t)draft.steps[i]);
    size_t runs = count_runs(draft.steps, rows->count);
    draft.series.unit = runs == 1 ? 0 : plan->unit;
    choose_divisor(&draft, rows->count, plan->usual);
    uint64_t by_runs = runs_bits(draft.steps, rows->count);
    if (runs == 1 || by_runs < draft.bits) {
        draft.series.shape = runs == 1 ? MUSTER__SHAPE__SHAPE_EQUAL : MUSTER__SHAPE__SHAPE_RUNS;
        draft.series.divisor = 0;
        draft.series.unit = 0;
        draft.bits = by_runs;
    }
    draft.bits += plan->delta ? 48 * 16 : 0;
    *ret_draft = draft;
    return true;
}

/* ---- out ---- */

static bool put_varint(struct buf *out, uint64_t value, struct err *err)
{
    uint8_t bytes[10];
    return buf_append(out, bytes, varint_put(value, bytes), err);
}

static bool put_base(const struct series_draft *draft, struct buf *raw, struct err *err)
{
    uint8_t bytes[8];
    uint32_t width = draft->series.width;
    if (!draft->series.delta)
        return true;
    if (width == 0)
        return put_varint(raw, zigzag((int64_t)draft->base), err);
    for (uint32_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(draft->base >> 8 * (width - 1 - i));
    return buf_append(raw, bytes, width, err);
}

static bool put_runs(const struct series_draft *draft, size_t rows, struct buf *raw,
                     struct err *err)
{
    if (!put_varint(raw, count_runs(draft->steps, rows), err))
        return false;
    for (size_t row = 0, next; row < rows; row = next) {
        for (next = row + 1; next < rows && draft->steps[next] == draft->steps[row];)
            next++;
        if (!put_varint(raw, next - row, err) || !put_varint(raw, draft->steps[row], err))
            return false;
    }
    return true;
}

/* The unit's marks, then the quotients; the remainders stay in `steps`. */
static bool put_quotients(struct series_draft *draft, size_t rows, struct lane_out *out,
                          struct err *err)
{
    uint64_t unit = draft->series.unit;
    struct buf *to = draft->series.shape == MUSTER__SHAPE__SHAPE_MARKS ? &out->marks : &out->steps;
    for (size_t i = 0; unit > 0 && i < rows; i++) {
        uint8_t mark = (uint8_t)(draft->steps[i] % unit);
        if (!buf_append(&out->marks, &mark, 1, err))
            return false;
        draft->steps[i] /= unit;
    }
    for (size_t i = 0; i < rows; i++) {
        if (draft->series.shape != MUSTER__SHAPE__SHAPE_MIXED &&
            !put_varint(to, draft->steps[i] / draft->series.divisor, err))
            return false;
        draft->steps[i] %= draft->series.divisor;
    }
    return true;
}

static bool put_series(struct series_draft *draft, size_t rows, struct lane_out *out,
                       struct err *err)
{
    if (!put_base(draft, &out->raw, err))
        return false;
    switch (draft->series.shape) {
    case MUSTER__SHAPE__SHAPE_EQUAL:
        draft->series.step = draft->steps[0];
        return true;
    case MUSTER__SHAPE__SHAPE_RUNS:
        return put_runs(draft, rows, &out->raw, err);
    default:
        return put_quotients(draft, rows, out, err);
    }
}

static bool is_mixed(const struct series_draft *draft)
{
    return draft->series.shape >= MUSTER__SHAPE__SHAPE_STEPS;
}

/* The bytes that the largest number takes. */
static bool size_mixed(const struct series_draft *drafts, size_t count, uint32_t *ret_bytes,
                       struct err *err)
{
    struct mixed largest = {0};
    for (size_t i = count; i-- > 0;)
        if (is_mixed(&drafts[i]) &&
            !mixed_put(&largest, drafts[i].series.divisor, drafts[i].series.divisor - 1))
            return err_set(err, ERR_FULL, "mixed numbers of more than %d bytes", MIXED_BYTES);
    *ret_bytes = (uint32_t)largest.length;
    return true;
}

static bool put_mixed(const struct series_draft *drafts, size_t count, size_t rows, size_t bytes,
                      struct buf *raw, struct err *err)
{
    for (size_t row = 0; row < rows; row++) {
        struct mixed mixed = {0};
        bool fits = true;
        for (size_t i = count; i-- > 0;)
            fits = fits && (!is_mixed(&drafts[i]) ||
                            mixed_put(&mixed, drafts[i].series.divisor, drafts[i].steps[row]));
        if (!fits || !buf_append(raw, mixed.bytes, bytes, err))
            return false;
    }
    return true;
}

bool series_pack(struct series_draft *drafts, size_t draft_count, size_t rows, struct arena *arena,
                 struct lane_out *out, Muster__LaneBatch *batch, struct err *err)
{
    batch->series = arena_alloc(arena, draft_count * sizeof(Muster__Series *));
    if (!batch->series)
        return lane_no_memory(err);
    for (size_t i = 0; i < draft_count; i++) {
        batch->series[batch->n_series++] = &drafts[i].series;
        if (!put_series(&drafts[i], rows, out, err))
            return false;
    }
    return size_mixed(drafts, draft_count, &batch->mixed_bytes, err) &&
           put_mixed(drafts, draft_count, rows, batch->mixed_bytes, &out->raw, err);
}
