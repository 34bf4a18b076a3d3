/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_CELLS_H
#define PROTO_CELLS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

/* One field of one row of a flat message. Flat: plain fields only, so that what is default is not
 * there, and nothing else is to be told apart. */
enum form { FORM_NUMBER, FORM_TEXT, FORM_BYTES, FORM_NONE };
enum form form_of(const ProtobufCFieldDescriptor *field);

uint64_t zigzag(int64_t value);
int64_t unzigzag(uint64_t value);

size_t cell_size(const ProtobufCFieldDescriptor *field); /* in bytes; FORM_NONE: 0 */
void *cell_at(const ProtobufCMessage *row, const ProtobufCFieldDescriptor *field);
bool cell_is_default(const ProtobufCMessage *row, const ProtobufCFieldDescriptor *field);
bool cell_equal(const ProtobufCMessage *a, const ProtobufCMessage *b,
                const ProtobufCFieldDescriptor *field);
/* Texts and bytes are shared, not copied. */
void cell_copy(const ProtobufCMessage *from, const ProtobufCFieldDescriptor *field,
               ProtobufCMessage *to);

/* Of a number: signed ones as zigzag. put: false if the field cannot hold it. */
uint64_t cell_number(const ProtobufCMessage *row, const ProtobufCFieldDescriptor *field);
bool cell_put_number(ProtobufCMessage *row, const ProtobufCFieldDescriptor *field, uint64_t value);
bool field_is_signed(const ProtobufCFieldDescriptor *field);
/* Of a text or bytes. */
ProtobufCBinaryData cell_value(const ProtobufCMessage *row, const ProtobufCFieldDescriptor *field);
bool value_equal(ProtobufCBinaryData a, ProtobufCBinaryData b);

#endif
