/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/lane.h"

#include "proto/limits.h"
#include "proto/unpack.h"

#include <string.h>

/* About, in 1/16 bit: what a record costs that no list knows, one more run, one mark. */
enum { RECORD_BYTE_BITS = 5 * 16, RECORD_BITS = 16 * 16, RUN_BITS = 8 * 16 };
static const uint16_t mark_bits[] = {22, 44, 60, 70, 78, 84};

/* ---- rows to a part ---- */

bool part_record(const ProtobufCMessage *row, const uint32_t *fields, size_t count,
                 ProtobufCMessage *some, struct arena *arena, ProtobufCBinaryData *ret_record,
                 struct err *err)
{
    const ProtobufCMessageDescriptor *type = row->descriptor;
    protobuf_c_message_init(type, some);
    for (size_t i = 0; i < count; i++)
        cell_copy(row, protobuf_c_message_descriptor_get_field(type, fields[i]), some);
    ProtobufCBinaryData record = {.len = protobuf_c_message_get_packed_size(some)};
    record.data = arena_alloc(arena, record.len + 1);
    if (!record.data)
        return lane_no_memory(err);
    (void)protobuf_c_message_pack(some, record.data);
    *ret_record = record;
    return true;
}

struct drafting {
    const struct lane_rows *rows;
    const uint32_t *fields;
    size_t field_count;
    const Muster__RecordList *known; /* NULL: none */
    size_t known_count;
    uint16_t *numbers; /* of each row's record */
    size_t run_count;
    Muster__Part *part;
    ProtobufCMessage *some; /* fields of the row at hand */
};

static bool rows_alike(const struct drafting *drafting, size_t a, size_t b)
{
    const ProtobufCMessage *left = drafting->rows->rows[a], *right = drafting->rows->rows[b];
    for (size_t i = 0; i < drafting->field_count; i++)
        if (!cell_equal(
                left, right,
                protobuf_c_message_descriptor_get_field(left->descriptor, drafting->fields[i])))
            return false;
    return true;
}

/* False: PART_RECORDS are not enough. */
static bool number_record(const struct drafting *drafting, ProtobufCBinaryData record,
                          uint16_t *ret_number)
{
    for (size_t i = 0; i < drafting->known_count; i++)
        if (value_equal(drafting->known->records[i], record)) {
            *ret_number = (uint16_t)i;
            return true;
        }
    Muster__Part *part = drafting->part;
    size_t at = 0;
    while (at < part->n_records && !value_equal(part->records[at], record))
        at++;
    if (drafting->known_count + at >= PART_RECORDS)
        return false;
    if (at == part->n_records)
        part->records[part->n_records++] = record;
    *ret_number = (uint16_t)(drafting->known_count + at);
    return true;
}

/* *ret_fits is false where PART_RECORDS are not enough. */
static bool number_rows(struct drafting *drafting, struct arena *arena, bool *ret_fits,
                        struct err *err)
{
    *ret_fits = false;
    for (size_t row = 0; row < drafting->rows->count; row++) {
        if (row > 0 && rows_alike(drafting, row, row - 1)) {
            drafting->numbers[row] = drafting->numbers[row - 1];
            continue;
        }
        ProtobufCBinaryData record = {0};
        if (!part_record(drafting->rows->rows[row], drafting->fields, drafting->field_count,
                         drafting->some, arena, &record, err))
            return false;
        if (!number_record(drafting, record, &drafting->numbers[row]))
            return true;
        drafting->run_count++;
    }
    *ret_fits = true;
    return true;
}

static uint64_t records_bits(const Muster__Part *part)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < part->n_records; i++)
        bits += RECORD_BITS + part->records[i].len * RECORD_BYTE_BITS;
    return bits;
}

static uint64_t marks_bits(const struct drafting *drafting)
{
    uint64_t bits = 0;
    for (size_t row = 0; row < drafting->rows->count; row++) {
        size_t number = drafting->numbers[row], last = sizeof mark_bits / sizeof *mark_bits - 1;
        bits += mark_bits[number < last ? number : last] + (number > 16 ? 16u : 0u);
    }
    return bits;
}

/* Runs name their records in the order in which they come. */
static bool take_runs(const struct drafting *drafting, struct arena *arena, Muster__Part *part,
                      struct err *err)
{
    part->runs = arena_alloc(arena, drafting->run_count * sizeof *part->runs);
    part->records = arena_alloc(arena, drafting->run_count * sizeof *part->records);
    if (!part->runs || !part->records)
        return lane_no_memory(err);
    for (size_t row = 0; row < drafting->rows->count; row++) {
        if (row == 0 || drafting->numbers[row] != drafting->numbers[row - 1]) {
            if (!part_record(drafting->rows->rows[row], drafting->fields, drafting->field_count,
                             drafting->some, arena, &part->records[part->n_records++], err))
                return false;
            part->runs[part->n_runs++] = 0;
        }
        part->runs[part->n_runs - 1]++;
    }
    return true;
}

static bool take_marks(const struct drafting *drafting, uint32_t known, struct arena *arena,
                       struct part_draft *draft, struct err *err)
{
    size_t rows = drafting->rows->count;
    draft->marks = arena_alloc(arena, rows);
    if (!draft->marks)
        return lane_no_memory(err);
    for (size_t row = 0; row < rows; row++)
        draft->marks[row] = (uint8_t)drafting->numbers[row];
    draft->part->marked = true;
    draft->part->known = drafting->known ? known : 0;
    return true;
}

static bool choose(const struct drafting *drafting, uint32_t known, struct arena *arena,
                   struct part_draft *draft, struct err *err)
{
    Muster__Part *part = drafting->part, *runs = arena_alloc(arena, sizeof *runs);
    if (!runs)
        return lane_no_memory(err);
    muster__part__init(runs);
    uint64_t marked = records_bits(part) + marks_bits(drafting);
    draft->part = part;
    draft->bits = marked;
    if (drafting->run_count * RUN_BITS >= marked)
        return take_marks(drafting, known, arena, draft, err);
    if (!take_runs(drafting, arena, runs, err))
        return false;
    uint64_t by_runs = records_bits(runs) + drafting->run_count * RUN_BITS;
    if (by_runs >= marked)
        return take_marks(drafting, known, arena, draft, err);
    draft->part = runs;
    draft->bits = by_runs;
    return true;
}

bool part_draft(const struct lane_rows *rows, const uint32_t *fields, size_t count,
                const Muster__Dictionary *dictionary, uint32_t known, struct arena *arena,
                struct part_draft *ret_draft, struct err *err)
{
    struct drafting drafting = {.rows = rows, .fields = fields, .field_count = count};
    bool fits = false;
    *ret_draft = (struct part_draft){0};
    if (known > 0 && known <= dictionary->n_known) {
        drafting.known = dictionary->known[known - 1];
        drafting.known_count = drafting.known->n_records;
    }
    drafting.numbers = arena_alloc(arena, rows->count * sizeof *drafting.numbers);
    drafting.part = arena_alloc(arena, sizeof *drafting.part);
    drafting.some = arena_alloc(arena, rows->rows[0]->descriptor->sizeof_message);
    if (!drafting.numbers || !drafting.part || !drafting.some)
        return lane_no_memory(err);
    muster__part__init(drafting.part);
    drafting.part->records = arena_alloc(arena, PART_RECORDS * sizeof(ProtobufCBinaryData));
    if (!drafting.part->records)
        return lane_no_memory(err);
    if (!number_rows(&drafting, arena, &fits, err))
        return false;
    return !fits || choose(&drafting, known, arena, ret_draft, err);
}

/* ---- a part to rows ---- */

struct opened {
    ProtobufCMessage *message; /* NULL: not opened yet */
    const ProtobufCFieldDescriptor **fields;
    size_t field_count;
};

struct reading {
    const Muster__Part *part;
    const Muster__RecordList *known;
    size_t known_count, total;
    struct opened *opened;
    struct arena *arena;
};

static bool open_record(const struct reading *reading, const ProtobufCMessageDescriptor *type,
                        size_t number, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_RECORD_BYTES,
                                                .max_elements = 256};
    struct opened *opened = &reading->opened[number];
    ProtobufCBinaryData record = number < reading->known_count
                                     ? reading->known->records[number]
                                     : reading->part->records[number - reading->known_count];
    ProtobufCMessage *message = NULL;
    if (!unpack(type, bytes_of(record.data, record.len), &limits, reading->arena, &message, err))
        return err_context(err, "a part's record %zu", number);
    opened->fields =
        arena_alloc(reading->arena, type->n_fields * sizeof(ProtobufCFieldDescriptor *));
    if (!opened->fields)
        return lane_no_memory(err);
    for (unsigned i = 0; i < type->n_fields; i++)
        if (form_of(&type->fields[i]) != FORM_NONE && !cell_is_default(message, &type->fields[i]))
            opened->fields[opened->field_count++] = &type->fields[i];
    opened->message = message;
    return true;
}

static bool merge(const struct reading *reading, ProtobufCMessage *row, size_t number,
                  struct err *err)
{
    if (number >= reading->total)
        return err_set(err, ERR_INVALID, "a part has %zu records, a row takes number %zu",
                       reading->total, number);
    struct opened *opened = &reading->opened[number];
    if (!opened->message && !open_record(reading, row->descriptor, number, err))
        return false;
    for (size_t i = 0; i < opened->field_count; i++)
        cell_copy(opened->message, opened->fields[i], row);
    return true;
}

static bool merge_runs(const struct reading *reading, struct lane_rows *rows, struct err *err)
{
    size_t row = 0;
    for (size_t run = 0; run < reading->part->n_runs; run++) {
        if (reading->part->runs[run] > rows->count - row)
            return err_set(err, ERR_INVALID, "a part has runs over more than %zu rows",
                           rows->count);
        for (uint32_t i = 0; i < reading->part->runs[run]; i++)
            if (!merge(reading, rows->rows[row++], run, err))
                return false;
    }
    return row == rows->count ||
           err_set(err, ERR_INVALID, "a part has runs over %zu of %zu rows", row, rows->count);
}

static bool merge_rows(const struct reading *reading, struct lane_in *in, struct lane_rows *rows,
                       struct err *err)
{
    struct bytes marks = {0};
    if (reading->part->n_runs > 0)
        return merge_runs(reading, rows, err);
    if (reading->part->marked && !lane_take(&in->marks, rows->count, "marks", &marks, err))
        return false;
    for (size_t row = 0; row < rows->count; row++)
        if (!merge(reading, rows->rows[row], marks.data != NULL ? marks.data[row] : 0, err))
            return false;
    return true;
}

bool parts_unpack(const Muster__LaneBatch *batch, const Muster__Dictionary *dictionary,
                  struct lane_in *in, struct arena *arena, struct lane_rows *rows, struct err *err)
{
    if (batch->n_parts > LANE_FIELDS_MAX)
        return err_set(err, ERR_INVALID, "%zu parts, %d are the most", batch->n_parts,
                       LANE_FIELDS_MAX);
    for (size_t i = 0; i < batch->n_parts; i++) {
        struct reading reading = {.part = batch->parts[i], .arena = arena};
        if (reading.part->known > dictionary->n_known)
            return err_set(err, ERR_INVALID, "dictionary %u has no list %u of known records",
                           dictionary->version, reading.part->known);
        if (reading.part->known > 0) {
            reading.known = dictionary->known[reading.part->known - 1];
            reading.known_count = reading.known->n_records;
        }
        reading.total = reading.known_count + reading.part->n_records;
        reading.opened = arena_alloc(arena, reading.total * sizeof *reading.opened);
        if (!reading.opened)
            return lane_no_memory(err);
        if (!merge_rows(&reading, in, rows, err))
            return false;
    }
    return true;
}
