/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/lane.h"

#include "proto/columns.h"

/*
 * What the fields of a result are like, so that a sender need not find out: which go together, and
 * which follow from each other. What is not named here travels as its values suggest. The lists of
 * known records (Dictionary.known) are in the order of these parts.
 */
static const uint32_t txn_parts[][PART_FIELDS] = {
    {14, 44, 45, 46},                 /* issuer, and that it is not known */
    {4, 5, 12, 13, 29, 30},           /* scheme, with what goes by it */
    {10, 22, 23, 24, 26, 27, 28, 31}, /* entry mode and outcome */
};
static const struct series_plan txn_series[] = {
    {.field = 2, .delta = true, .usual = 33000},                         /* wall_ms */
    {.field = 3, .of = 2, .delta = true, .zigzag = true},                /* boot_ms */
    {.field = 7, .delta = true, .zigzag = true},                         /* stan */
    {.field = 18, .of = 7, .delta = true, .zigzag = true, .digits = 12}, /* rrn */
    {.field = 40, .delta = true, .zigzag = true, .usual = 7},            /* signal_dbm */
    {.field = 19, .digits = 6, .usual = 1000001},                        /* auth_code */
    {.field = 33, .usual = 18},                                          /* connect_ms */
    {.field = 34, .usual = 27},                                          /* tls_ms */
    {.field = 32, .usual = 137},                                         /* read_ms */
    {.field = 35, .usual = 75},                                          /* host_ms */
    {.field = 36, .usual = 365},                                         /* total_ms */
    {.field = 20, .unit = 100, .usual = 11},                             /* amount_minor */
    {.field = 1, .delta = true, .width = 8},                             /* idempotency_key */
};
enum {
    TXN_PARTS = sizeof txn_parts / sizeof *txn_parts,
    TXN_SERIES = sizeof txn_series / sizeof *txn_series,
};

const uint32_t *lane_part_fields(uint32_t which, size_t *ret_count)
{
    size_t count = 0;
    if (which >= TXN_PARTS)
        return NULL;
    while (count < PART_FIELDS && txn_parts[which][count] != 0)
        count++;
    *ret_count = count;
    return txn_parts[which];
}

bool lane_no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "needs more memory than is allowed for it");
}

bool lane_set_once(struct lane_fields_set *set, const ProtobufCMessageDescriptor *type,
                   const ProtobufCFieldDescriptor *field, const char *what, struct err *err)
{
    if (!field)
        return true;
    bool *seen = &set->seen[field - type->fields];
    if (*seen)
        return err_set(err, ERR_INVALID, "%s: set by two %s", field->name, what);
    *seen = true;
    return true;
}

bool lane_take(struct bytes *in, size_t length, const char *what, struct bytes *ret_taken,
               struct err *err)
{
    if (length > in->length)
        return err_set(err, ERR_INVALID, "%zu more bytes of %s are due, %zu are there", length,
                       what, in->length);
    *ret_taken = bytes_of(in->data, length);
    if (length > 0)
        *in = bytes_of(in->data + length, in->length - length);
    return true;
}

/* ---- pack ---- */

struct packing {
    const struct lane_rows *rows;
    const ProtobufCMessageDescriptor *type;
    const Muster__Dictionary *dictionary;
    struct arena *arena;
    struct lane_out *out;
    bool taken[LANE_FIELDS_MAX], alike[LANE_FIELDS_MAX]; /* by the field's place in the type */
    struct series_draft *drafts;
    size_t draft_count;
    Muster__LaneBatch *batch;
};

static size_t place(const struct packing *packing, const ProtobufCFieldDescriptor *field)
{
    return (size_t)(field - packing->type->fields);
}

static const ProtobufCFieldDescriptor *field_of(const struct packing *packing, uint32_t number)
{
    return protobuf_c_message_descriptor_get_field(packing->type, number);
}

static void find_alike(struct packing *packing)
{
    for (unsigned i = 0; i < packing->type->n_fields; i++) {
        packing->alike[i] = true;
        for (size_t row = 1; row < packing->rows->count && packing->alike[i]; row++)
            packing->alike[i] = cell_equal(packing->rows->rows[row], packing->rows->rows[0],
                                           &packing->type->fields[i]);
    }
}

static void put_part(struct packing *packing, Muster__Part *part)
{
    packing->batch->parts[packing->batch->n_parts++] = part;
}

static bool put_draft(struct packing *packing, const struct part_draft *draft, struct err *err)
{
    put_part(packing, draft->part);
    return !draft->part->marked ||
           buf_append(&packing->out->marks, draft->marks, packing->rows->count, err);
}

/* Fields that go together, unless they are the same in all rows anyway. */
static bool pack_group(struct packing *packing, const uint32_t *fields, uint32_t known,
                       struct err *err)
{
    struct part_draft draft;
    size_t count = 0;
    bool alike = true;
    for (; count < PART_FIELDS && fields[count] != 0; count++)
        alike = alike && packing->alike[place(packing, field_of(packing, fields[count]))];
    if (alike)
        return true;
    if (!part_draft(packing->rows, fields, count, packing->dictionary, known, packing->arena,
                    &draft, err))
        return false;
    if (!draft.part)
        return true;
    for (size_t i = 0; i < count; i++)
        packing->taken[place(packing, field_of(packing, fields[i]))] = true;
    return put_draft(packing, &draft, err);
}

/* One record for all rows. */
static bool pack_alike(struct packing *packing, struct err *err)
{
    uint32_t fields[LANE_FIELDS_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < packing->type->n_fields; i++) {
        if (packing->taken[i] || !packing->alike[i])
            continue;
        packing->taken[i] = true;
        if (!cell_is_default(packing->rows->rows[0], &packing->type->fields[i]))
            fields[count++] = packing->type->fields[i].id;
    }
    Muster__Part *part = arena_alloc(packing->arena, sizeof *part);
    ProtobufCBinaryData *record = arena_alloc(packing->arena, sizeof *record);
    ProtobufCMessage *some = arena_alloc(packing->arena, packing->type->sizeof_message);
    if (!part || !record || !some)
        return lane_no_memory(err);
    if (count == 0)
        return true;
    muster__part__init(part);
    part->records = record;
    part->n_records = 1;
    put_part(packing, part);
    return part_record(packing->rows->rows[0], fields, count, some, packing->arena, record, err);
}

static void draft_series(struct packing *packing, const struct series_plan *plan)
{
    bool *taken = &packing->taken[place(packing, field_of(packing, plan->field))];
    struct series_draft *draft = &packing->drafts[packing->draft_count];
    if (*taken || !series_draft(packing->rows, plan, packing->arena, draft))
        return;
    /* Random bytes are better as they are. */
    if (plan->width > 0 && draft->bits > packing->rows->count * plan->width * 8 * 16)
        return;
    *taken = true;
    packing->draft_count++;
}

/* The cheapest of three ways to tell a number that no plan names; false: none does. */
static bool draft_any(struct packing *packing, uint32_t field, struct series_draft *ret_draft)
{
    bool found = false;
    for (unsigned way = 0; way < 3; way++) {
        struct series_plan plan = {.field = field, .delta = way > 0, .zigzag = way > 1};
        struct series_draft draft;
        if (!series_draft(packing->rows, &plan, packing->arena, &draft))
            continue;
        if (!found || draft.bits < ret_draft->bits)
            *ret_draft = draft;
        found = true;
    }
    return found;
}

static bool pack_number(struct packing *packing, const ProtobufCFieldDescriptor *field,
                        struct err *err)
{
    struct series_draft series;
    struct part_draft part;
    bool found = draft_any(packing, field->id, &series);
    if (!part_draft(packing->rows, &field->id, 1, packing->dictionary, 0, packing->arena, &part,
                    err))
        return false;
    if (part.part && (!found || part.bits < series.bits))
        return put_draft(packing, &part, err);
    if (!found)
        return err_set(err, ERR_INVALID, "%s has values that no row may have", field->name);
    packing->drafts[packing->draft_count++] = series;
    return true;
}

static bool put_plain(struct packing *packing, const ProtobufCFieldDescriptor *field, size_t width,
                      struct err *err)
{
    Muster__Plain *plain = arena_alloc(packing->arena, sizeof *plain);
    if (!plain)
        return lane_no_memory(err);
    muster__plain__init(plain);
    plain->field = field->id;
    plain->width = (uint32_t)width;
    packing->batch->plains[packing->batch->n_plains++] = plain;
    return true;
}

/* Texts and bytes that repeat go by their number; bytes of one width as they are; the rest is a
 * column. */
static bool pack_value(struct packing *packing, const ProtobufCFieldDescriptor *field,
                       struct err *err)
{
    struct part_draft draft;
    size_t count = packing->rows->count, width = cell_value(packing->rows->rows[0], field).len;
    size_t total = 0;
    bool one_width = form_of(field) == FORM_BYTES;
    for (size_t row = 0; row < count; row++) {
        size_t length = cell_value(packing->rows->rows[row], field).len;
        total += length;
        one_width = one_width && length == width;
    }
    if (!part_draft(packing->rows, &field->id, 1, packing->dictionary, 0, packing->arena, &draft,
                    err))
        return false;
    if (draft.part && draft.bits < total * (one_width ? 8 : 6) * 16)
        return put_draft(packing, &draft, err);
    if (one_width)
        return put_plain(packing, field, width, err);
    Muster__Column **to = &packing->batch->columns[packing->batch->n_columns];
    if (!column_of_rows(packing->rows, field, packing->arena, to, err))
        return false;
    packing->batch->n_columns += *to != NULL;
    return true;
}

static bool pack_rest(struct packing *packing, struct err *err)
{
    for (unsigned i = 0; i < packing->type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &packing->type->fields[i];
        if (packing->taken[i])
            continue;
        if (!(form_of(field) == FORM_NUMBER ? pack_number(packing, field, err)
                                            : pack_value(packing, field, err)))
            return false;
    }
    return true;
}

static bool make_lists(struct packing *packing, struct err *err)
{
    size_t fields = packing->type->n_fields;
    Muster__LaneBatch *batch = packing->batch;
    batch->parts = arena_alloc(packing->arena, (fields + 1) * sizeof(Muster__Part *));
    batch->columns = arena_alloc(packing->arena, fields * sizeof(Muster__Column *));
    batch->plains = arena_alloc(packing->arena, fields * sizeof(Muster__Plain *));
    packing->drafts = arena_alloc(packing->arena, fields * sizeof *packing->drafts);
    return (batch->parts && batch->columns && batch->plains && packing->drafts) ||
           lane_no_memory(err);
}

static bool put_plains(struct packing *packing, struct err *err)
{
    const Muster__LaneBatch *batch = packing->batch;
    for (size_t i = 0; i < batch->n_plains; i++)
        for (size_t row = 0; row < packing->rows->count; row++)
            if (!buf_append(
                    &packing->out->raw,
                    cell_value(packing->rows->rows[row], field_of(packing, batch->plains[i]->field))
                        .data,
                    batch->plains[i]->width, err))
                return false;
    return true;
}

static bool pack_fields(struct packing *packing, struct err *err)
{
    bool txn = packing->rows->lane == MUSTER__LANE__LANE_TXN;
    find_alike(packing);
    for (uint32_t i = 0; txn && i < TXN_PARTS; i++)
        if (!pack_group(packing, txn_parts[i], i + 1, err))
            return false;
    if (!pack_alike(packing, err))
        return false;
    for (size_t i = 0; txn && i < TXN_SERIES; i++)
        draft_series(packing, &txn_series[i]);
    return pack_rest(packing, err) &&
           series_pack(packing->drafts, packing->draft_count, packing->rows->count, packing->arena,
                       packing->out, packing->batch, err) &&
           put_plains(packing, err);
}

bool lane_pack(const struct lane_rows *rows, const Muster__Dictionary *dictionary,
               struct arena *arena, struct lane_out *out, Muster__LaneBatch *ret_batch,
               struct err *err)
{
    struct packing packing = {.rows = rows,
                              .type = lane_message(rows->lane),
                              .dictionary = dictionary,
                              .arena = arena,
                              .out = out,
                              .batch = ret_batch};
    if (!columns_begin(rows, ret_batch, err))
        return false;
    bool done = make_lists(&packing, err) && pack_fields(&packing, err);
    return done || err_context(err, "lane %s", lane_name(rows->lane));
}

/* ---- unpack ---- */

static bool plains_unpack(const Muster__LaneBatch *batch, struct lane_in *in,
                          struct lane_rows *rows, struct err *err)
{
    const ProtobufCMessageDescriptor *type = lane_message(rows->lane);
    struct lane_fields_set set = {0};
    if (batch->n_plains > LANE_FIELDS_MAX)
        return err_set(err, ERR_INVALID, "%zu plains, %d are the most", batch->n_plains,
                       LANE_FIELDS_MAX);
    for (size_t i = 0; i < batch->n_plains; i++) {
        const Muster__Plain *plain = batch->plains[i];
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(type, plain->field);
        if (field && form_of(field) != FORM_BYTES)
            return err_set(err, ERR_INVALID, "%s: plain bytes for what is no bytes", field->name);
        if (!lane_set_once(&set, type, field, "plains", err))
            return false;
        for (size_t row = 0; row < rows->count; row++) {
            struct bytes taken;
            if (!lane_take(&in->raw, plain->width, "plain bytes", &taken, err))
                return false;
            if (field) /* otherwise a newer sender's */
                *(ProtobufCBinaryData *)cell_at(rows->rows[row], field) = (ProtobufCBinaryData){
                    .len = taken.length, .data = (uint8_t *)(uintptr_t)taken.data};
        }
    }
    return true;
}

bool lane_unpack(const Muster__LaneBatch *batch, struct lane_known *known, struct lane_in *in,
                 struct arena *arena, struct lane_rows *rows, struct err *err)
{
    bool done = parts_unpack(batch, known, in, arena, rows, err) &&
                series_unpack(batch, in, arena, rows, err) && plains_unpack(batch, in, rows, err);
    return done || err_context(err, "lane %s", lane_name(batch->lane));
}
