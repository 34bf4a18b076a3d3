/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include "base/buf.h"

/* protobuf's wire form, one field at a time and without copying: for foreign bytes. */
enum wire_type { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_LENGTH = 2, WIRE_32BIT = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    struct bytes content; /* the value's bytes, for WIRE_LENGTH without the length */
};

/* Reads the field at the front of `in` and moves `in` behind it. ERR_INVALID: field number 0 or
 * above 2^29 - 1, a group, a bad varint, an end in the middle. */
bool wire_next(struct bytes *in, struct wire_field *ret_field, struct err *err) MUSTER_CHECK;

/* UTF-8 (RFC 3629) without NUL, so that it can be a C string. */
bool wire_text_valid(struct bytes text);

#endif
