/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_UNPACK_H
#define PROTO_UNPACK_H

#include "base/buf.h"
#include "proto/arena.h"

/*
 * Foreign bytes to a message, safely: the wire form is walked first against the message's
 * descriptor, and refused when it is longer than `max_bytes`, nested deeper than 4, malformed, or
 * holds more than `max_elements` fields and list elements in all; only then protobuf-c sees it,
 * allocating from `arena`. The message lives as long as the arena.
 */
struct unpack_limits {
    size_t max_bytes;
    size_t max_elements; /* 0: 4096 */
};

bool unpack(const ProtobufCMessageDescriptor *type, struct bytes in,
            const struct unpack_limits *limits, struct arena *arena, ProtobufCMessage **ret_message,
            struct err *err) MUSTER_CHECK;

/* Packs `message` at the end of `out`. */
bool pack(const ProtobufCMessage *message, struct buf *out, struct err *err) MUSTER_CHECK;

#endif
