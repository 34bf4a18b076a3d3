/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/lane.h"

#include "proto/limits.h"
#include "proto/unpack.h"

#include <stdlib.h>
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

enum { FIELD_BITS = 64 }; /* more fields than any message of a lane has */

struct reading {
    const Muster__Part *part;
    const Muster__RecordList *known;
    size_t known_count, total;
    struct part_opened *known_opened, *opened; /* of the list's records, of the part's own */
    struct arena *known_arena, *arena;
    uint64_t fields; /* that rows were given by it: as part_opened has them */
};

static bool note_cells(const ProtobufCMessage *message, struct arena *arena,
                       struct part_opened *opened, struct err *err)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    if (type->n_fields > FIELD_BITS)
        abort();
    opened->cell_count = 0;
    opened->fields = 0;
    opened->cells = arena_alloc(arena, type->n_fields * sizeof *opened->cells);
    if (!opened->cells)
        return lane_no_memory(err);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        size_t size = cell_size(field);
        if (size == 0 || cell_is_default(message, field))
            continue;
        opened->cells[opened->cell_count++] =
            (struct part_cell){.offset = field->offset, .size = (uint32_t)size};
        opened->fields |= UINT64_C(1) << i;
    }
    opened->message = message;
    return true;
}

static bool open_record(const ProtobufCMessageDescriptor *type, ProtobufCBinaryData record,
                        struct arena *arena, struct part_opened *opened, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_RECORD_BYTES,
                                                .max_elements = 256};
    ProtobufCMessage *message = NULL;
    return unpack(type, bytes_of(record.data, record.len), &limits, arena, &message, err) &&
           note_cells(message, arena, opened, err);
}

/* NULL: `err` says why. */
static const struct part_opened *opened_record(const struct reading *reading,
                                               const ProtobufCMessageDescriptor *type,
                                               size_t number, struct err *err)
{
    bool known = number < reading->known_count;
    size_t own = number - reading->known_count;
    struct part_opened *opened = known ? &reading->known_opened[number] : &reading->opened[own];
    if (opened->message)
        return opened;
    if (open_record(type, known ? reading->known->records[number] : reading->part->records[own],
                    known ? reading->known_arena : reading->arena, opened, err))
        return opened;
    (void)err_context(err, "a part's record %zu", number);
    return NULL;
}

/* What one message of a type holds in a cell, another holds too. */
static void take_over(const struct part_opened *opened, ProtobufCMessage *row)
{
    for (size_t i = 0; i < opened->cell_count; i++) {
        const struct part_cell *cell = &opened->cells[i];
        const uint8_t *from = (const uint8_t *)opened->message + cell->offset;
        uint8_t *to = (uint8_t *)row + cell->offset;
        if (cell->size == sizeof(uint32_t))
            memcpy(to, from, sizeof(uint32_t));
        else if (cell->size == sizeof(uint64_t))
            memcpy(to, from, sizeof(uint64_t));
        else
            memcpy(to, from, cell->size);
    }
}

static bool merge(struct reading *reading, ProtobufCMessage *row, size_t number, struct err *err)
{
    if (number >= reading->total)
        return err_set(err, ERR_INVALID, "a part has %zu records, a row takes number %zu",
                       reading->total, number);
    const struct part_opened *opened = opened_record(reading, row->descriptor, number, err);
    if (!opened)
        return false;
    reading->fields |= opened->fields;
    take_over(opened, row);
    return true;
}

static bool merge_runs(struct reading *reading, struct lane_rows *rows, struct err *err)
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

static bool merge_rows(struct reading *reading, struct lane_in *in, struct lane_rows *rows,
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

/* The list that the part names. Its records read as results stay open for the next batch; as
 * something else, which no sender of ours asks for, they are the batch's own. */
static bool find_known(struct reading *reading, struct lane_known *known, Muster__Lane lane,
                       struct err *err)
{
    const Muster__Dictionary *dictionary = known->dictionary;
    const uint32_t list = reading->part->known;
    if (list > dictionary->n_known)
        return err_set(err, ERR_INVALID, "dictionary %u has no list %u of known records",
                       dictionary->version, list);
    if (list == 0)
        return true;
    reading->known = dictionary->known[list - 1];
    reading->known_count = reading->known->n_records;
    bool stays = lane == MUSTER__LANE__LANE_TXN && list <= LANE_KNOWN_LISTS;
    reading->known_arena = stays ? known->arena : reading->arena;
    reading->known_opened = stays ? known->opened[list - 1] : NULL;
    if (!reading->known_opened)
        reading->known_opened =
            arena_alloc(reading->known_arena, reading->known_count * sizeof *reading->known_opened);
    if (stays)
        known->opened[list - 1] = reading->known_opened;
    return reading->known_opened || lane_no_memory(err);
}

/* The first field that both have set. */
static bool refuse_twice(const ProtobufCMessageDescriptor *type, uint64_t both, struct err *err)
{
    unsigned place = 0;
    while ((both >> place & 1) == 0)
        place++;
    return err_set(err, ERR_INVALID, "%s: set by two parts", type->fields[place].name);
}

bool parts_unpack(const Muster__LaneBatch *batch, struct lane_known *known, struct lane_in *in,
                  struct arena *arena, struct lane_rows *rows, struct err *err)
{
    if (batch->n_parts > LANE_FIELDS_MAX)
        return err_set(err, ERR_INVALID, "%zu parts, %d are the most", batch->n_parts,
                       LANE_FIELDS_MAX);
    uint64_t fields = 0;
    for (size_t i = 0; i < batch->n_parts; i++) {
        struct reading reading = {.part = batch->parts[i], .arena = arena};
        if (!find_known(&reading, known, rows->lane, err))
            return false;
        reading.total = reading.known_count + reading.part->n_records;
        reading.opened = arena_alloc(arena, reading.part->n_records * sizeof *reading.opened);
        if (!reading.opened)
            return lane_no_memory(err);
        if (!merge_rows(&reading, in, rows, err))
            return false;
        if ((reading.fields & fields) != 0)
            return refuse_twice(lane_message(rows->lane), reading.fields & fields, err);
        fields |= reading.fields;
    }
    return true;
}
