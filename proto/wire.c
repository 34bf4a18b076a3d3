/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <string.h>

static void skip(struct bytes *in, size_t length)
{
    in->data += length;
    in->length -= length;
}

static bool read_varint(struct bytes *in, uint64_t *ret_value, struct err *err)
{
    int length = varint_get(*in, ret_value);
    if (length == 0)
        return err_set(err, ERR_INVALID, "a varint ends in the middle");
    if (length < 0)
        return err_set(err, ERR_INVALID, "a varint is longer than 10 bytes");
    skip(in, (size_t)length);
    return true;
}

static bool read_tag(struct bytes *in, struct wire_field *field, struct err *err)
{
    uint64_t tag = 0;
    if (!read_varint(in, &tag, err))
        return false;
    if (tag >> 3 == 0 || tag > UINT32_MAX)
        return err_set(err, ERR_INVALID, "field number %" PRIu64 " is not allowed", tag >> 3);
    unsigned type = (unsigned)(tag & 7);
    if (type == 3 || type == 4)
        return err_set(err, ERR_INVALID, "groups are not allowed");
    if (type > WIRE_32BIT)
        return err_set(err, ERR_INVALID, "wire type %u does not exist", type);
    field->number = (uint32_t)(tag >> 3);
    field->type = (enum wire_type)type;
    return true;
}

bool wire_next(struct bytes *in, struct wire_field *ret_field, struct err *err)
{
    struct bytes rest = *in;
    struct wire_field field = {0};
    if (!read_tag(&rest, &field, err))
        return false;
    const uint8_t *begin = rest.data;
    uint64_t length = 0;
    if (field.type == WIRE_VARINT) {
        if (!read_varint(&rest, &length, err))
            return false;
        field.content = bytes_of(begin, (size_t)(rest.data - begin));
    } else {
        length = field.type == WIRE_64BIT ? 8 : 4;
        if (field.type == WIRE_LENGTH && !read_varint(&rest, &length, err))
            return false;
        if (length > rest.length)
            return err_set(err, ERR_INVALID,
                           "field %" PRIu32 " wants %" PRIu64 " bytes where %zu are left",
                           field.number, length, rest.length);
        field.content = bytes_of(rest.data, (size_t)length);
        skip(&rest, (size_t)length);
    }
    *ret_field = field;
    *in = rest;
    return true;
}

bool wire_text_valid(struct bytes text)
{
    return (text.length == 0 || memchr(text.data, '\0', text.length) == NULL) && utf8_valid(text);
}
