/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/rows.h"

#include "base/mask.h"
#include "base/utf8.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <string.h>

bool rows_plan_make(int lane, struct rows_plan *ret_plan, struct err *err)
{
    const ProtobufCMessageDescriptor *type = lane_message((Muster__Lane)lane);
    struct rows_plan plan = {0};
    const char *const *columns = fleetdb_columns(lane, &plan.count);
    if (plan.count > FLEETDB_COLUMNS_MAX || plan.count != type->n_fields)
        return err_set(err, ERR_INVALID, "%s has %u fields, its table %zu columns", type->name,
                       type->n_fields, plan.count);
    plan.masked = plan.key = plan.wall = plan.boot = plan.count;
    for (size_t i = 0; i < plan.count; i++) {
        plan.fields[i] = protobuf_c_message_descriptor_get_field_by_name(type, columns[i]);
        if (plan.fields[i] == NULL)
            return err_set(err, ERR_INVALID, "%s has no field %s", type->name, columns[i]);
        if (strcmp(columns[i], "masked") == 0)
            plan.masked = i;
        if (strcmp(columns[i], "idempotency_key") == 0)
            plan.key = i;
        if (strcmp(columns[i], "wall_ms") == 0)
            plan.wall = i;
        if (strcmp(columns[i], "boot_ms") == 0)
            plan.boot = i;
    }
    if (plan.wall == plan.count || plan.boot == plan.count)
        return err_set(err, ERR_INVALID, "%s has no wall_ms or no boot_ms", type->name);
    *ret_plan = plan;
    return true;
}

/* Copies what is UTF-8 and no control character, the rest becomes '?'. */
static void clean(struct bytes in, char *out)
{
    size_t at = 0;
    while (at < in.length) {
        uint32_t code = 0;
        if (in.data[at] >= 0x20 && in.data[at] < 0x7f) { /* nearly all there is */
            out[at] = (char)in.data[at];
            at++;
            continue;
        }
        size_t size = utf8_next(bytes_of(in.data + at, in.length - at), &code);
        bool printable = size > 0 && code >= 0x20 && code != 0x7f;
        if (size == 0)
            size = 1;
        if (printable)
            memcpy(out + at, in.data + at, size);
        else
            memset(out + at, '?', size);
        at += size;
    }
}

static char *copy_text(const char *text, size_t length, struct arena *arena, bool *ret_masked)
{
    char *copy = arena_alloc(arena, length + 1);
    if (copy == NULL)
        return NULL;
    clean(bytes_of(text, length), copy);
    *ret_masked = mask_card_numbers(copy, length);
    return copy;
}

char *rows_text(const char *text, size_t max, struct arena *arena, bool *ret_masked)
{
    return copy_text(text, text != NULL ? strnlen(text, max) : 0, arena, ret_masked);
}

static int64_t number_of(const void *at, ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return *(const int32_t *)at;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return *(const int64_t *)at;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: {
        uint64_t value = *(const uint64_t *)at;
        return value > INT64_MAX ? INT64_MAX : (int64_t)value;
    }
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)at != 0;
    default: /* uint32, fixed32, enums */
        return *(const uint32_t *)at;
    }
}

/* What the row before came to. Rows of a batch share most of their texts: what one was made to need
 * not be made again. */
struct last {
    const ProtobufCMessage *row; /* NULL: there is none */
    const struct fleetdb_value *values;
    bool masked[FLEETDB_COLUMNS_MAX];
};

static const void *cell(const ProtobufCMessage *row, const ProtobufCFieldDescriptor *field)
{
    return (const uint8_t *)row + field->offset;
}

static bool text_of(const ProtobufCFieldDescriptor *field, const char *text, size_t column,
                    struct last *last, struct arena *arena, struct fleetdb_value *ret_value,
                    struct err *err)
{
    if (last->row != NULL && *(char *const *)cell(last->row, field) == text) {
        *ret_value = last->values[column];
        return true;
    }
    const size_t length = text != NULL ? strnlen(text, LIMIT_RECORD_BYTES) : 0;
    const char *copy = copy_text(text, length, arena, &last->masked[column]);
    if (copy == NULL)
        return err_set(err, ERR_NO_MEMORY, "the batch's texts need too much memory");
    *ret_value = fleetdb_bytes(FLEETDB_TEXT, bytes_of(copy, length));
    return true;
}

/* `last` becomes this row. */
static bool values_of(const struct rows_plan *plan, const ProtobufCMessage *row, struct last *last,
                      struct arena *arena, struct fleetdb_value *ret_values, bool *ret_masked,
                      struct err *err)
{
    bool masked = false;
    for (size_t i = 0; i < plan->count; i++) {
        const ProtobufCFieldDescriptor *field = plan->fields[i];
        const void *at = cell(row, field);
        if (field->type == PROTOBUF_C_TYPE_STRING) {
            if (!text_of(field, *(char *const *)at, i, last, arena, &ret_values[i], err))
                return false;
            masked = masked || last->masked[i];
        } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
            const ProtobufCBinaryData *data = at;
            ret_values[i] = fleetdb_bytes(FLEETDB_BLOB, bytes_of(data->data, data->len));
        } else {
            ret_values[i] = fleetdb_integer(number_of(at, field->type));
        }
    }
    if (masked && plan->masked < plan->count)
        ret_values[plan->masked].integer = 1;
    *ret_masked = masked;
    last->row = row;
    last->values = ret_values;
    return true;
}

bool rows_values(const struct rows_plan *plan, const ProtobufCMessage *row, struct arena *arena,
                 struct fleetdb_value *ret_values, bool *ret_masked, struct err *err)
{
    struct last none = {0};
    return values_of(plan, row, &none, arena, ret_values, ret_masked, err);
}

bool rows_digest(const ProtobufCMessage *row, size_t size, struct buf *scratch,
                 struct sha256_state *hash, uint64_t *ret_digest, struct err *err)
{
    uint8_t digest[32];
    buf_clear(scratch);
    uint8_t *room = buf_reserve(scratch, size, err);
    if (room == NULL)
        return false;
    scratch->length = protobuf_c_message_pack(row, room);
    sha256_add(hash, buf_bytes(scratch));
    sha256_next(hash, digest);
    memcpy(ret_digest, digest, sizeof *ret_digest);
    return true;
}

bool rows_make_ready(const struct rows_plan *plan, const struct lane_rows *rows,
                     struct buf *scratch, struct sha256_state *hash, struct arena *arena,
                     struct rows_ready *ret_ready, struct err *err)
{
    struct fleetdb_value *values = arena_room(arena, rows->count * plan->count * sizeof *values);
    uint64_t *digests = arena_alloc(arena, rows->count * sizeof *digests);
    bool *masked = arena_alloc(arena, rows->count * sizeof *masked);
    struct last last = {0};
    if (values == NULL || digests == NULL || masked == NULL)
        return err_set(err, ERR_NO_MEMORY, "the batch's rows need too much memory");
    for (size_t i = 0; i < rows->count; i++) {
        if (!values_of(plan, rows->rows[i], &last, arena, &values[i * plan->count], &masked[i],
                       err) ||
            !rows_digest(rows->rows[i], rows->sizes[i], scratch, hash, &digests[i], err))
            return false;
    }
    *ret_ready = (struct rows_ready){values, digests, masked};
    return true;
}
