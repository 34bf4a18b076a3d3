/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/cells.h"

#include <string.h>

enum form form_of(const ProtobufCFieldDescriptor *field)
{
    /* Flat rows of plain fields only: what is default is not there, nothing else to tell apart. */
    if (field->label != PROTOBUF_C_LABEL_NONE || (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
        return FORM_NONE;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return FORM_TEXT;
    case PROTOBUF_C_TYPE_BYTES:
        return FORM_BYTES;
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return FORM_NONE;
    default:
        return FORM_NUMBER;
    }
}

uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (value & 1 ? UINT64_MAX : 0));
}

size_t cell_size(const ProtobufCFieldDescriptor *field)
{
    switch (form_of(field)) {
    case FORM_TEXT:
        return sizeof(char *);
    case FORM_BYTES:
        return sizeof(ProtobufCBinaryData);
    case FORM_NONE:
        return 0;
    default:
        break;
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    default:
        return sizeof(uint32_t);
    }
}

void *cell_at(const ProtobufCMessage *row, const ProtobufCFieldDescriptor *field)
{
    return (uint8_t *)(uintptr_t)row + field->offset;
}

uint64_t cell_number(const ProtobufCMessage *row, const ProtobufCFieldDescriptor *field)
{
    const void *at = cell_at(row, field);
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return zigzag(*(const int32_t *)at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return zigzag(*(const int64_t *)at);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return *(const uint64_t *)at;
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)at != 0;
    default: /* 32 bits without a sign, enums among them */
        return *(const uint32_t *)at;
    }
}

/* False if the field cannot hold `value`. */
bool cell_put_number(ProtobufCMessage *row, const ProtobufCFieldDescriptor *field, uint64_t value)
{
    void *at = cell_at(row, field);
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        *(int32_t *)at = (int32_t)unzigzag(value);
        return value <= UINT32_MAX;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        *(int64_t *)at = unzigzag(value);
        return true;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        *(uint64_t *)at = value;
        return true;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)at = value != 0;
        return value <= 1;
    case PROTOBUF_C_TYPE_ENUM: /* a newer sender's word is kept as its number */
        *(uint32_t *)at = (uint32_t)value;
        return value <= INT32_MAX;
    default:
        *(uint32_t *)at = (uint32_t)value;
        return value <= UINT32_MAX;
    }
}

ProtobufCBinaryData cell_value(const ProtobufCMessage *row, const ProtobufCFieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return *(const ProtobufCBinaryData *)cell_at(row, field);
    char *text = *(char *const *)cell_at(row, field);
    return (ProtobufCBinaryData){.len = text ? strlen(text) : 0, .data = (uint8_t *)text};
}

bool cell_is_default(const ProtobufCMessage *row, const ProtobufCFieldDescriptor *field)
{
    if (form_of(field) == FORM_NUMBER)
        return cell_number(row, field) == 0;
    return cell_value(row, field).len == 0;
}

bool value_equal(ProtobufCBinaryData a, ProtobufCBinaryData b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool field_is_signed(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return true;
    default:
        return false;
    }
}

bool cell_equal(const ProtobufCMessage *a, const ProtobufCMessage *b,
                const ProtobufCFieldDescriptor *field)
{
    if (form_of(field) == FORM_NUMBER)
        return cell_number(a, field) == cell_number(b, field);
    return value_equal(cell_value(a, field), cell_value(b, field));
}

void cell_copy(const ProtobufCMessage *from, const ProtobufCFieldDescriptor *field,
               ProtobufCMessage *to)
{
    switch (form_of(field)) {
    case FORM_NUMBER: /* what one of its kind holds, another does */
        (void)cell_put_number(to, field, cell_number(from, field));
        return;
    case FORM_TEXT:
        *(char **)cell_at(to, field) = *(char *const *)cell_at(from, field);
        return;
    case FORM_BYTES:
        *(ProtobufCBinaryData *)cell_at(to, field) =
            *(const ProtobufCBinaryData *)cell_at(from, field);
        return;
    default:
        return;
    }
}
