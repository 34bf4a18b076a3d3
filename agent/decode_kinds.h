/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_DECODE_KINDS_H
#define AGENT_DECODE_KINDS_H

#include "proto/desired.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

/* For the decoder's own files: every kind of message, in the order in which they are tried. */
struct decode_kind {
    const char *name;
    const ProtobufCMessageDescriptor *type;
    size_t max_bytes;
    /* Protobuf says nothing of what a message is: whether this one makes sense as this kind. NULL:
     * never found out, only told. */
    bool (*fits)(const ProtobufCMessage *message);
    const char *domain; /* of its signature; NULL: it is never sealed */
    Muster__Role role;  /* whose; UNKNOWN: the agent's */
    bool of_device;     /* the signature covers whose it is */
    bool local;         /* it travels in delimited frames on a socket */
};

extern const struct decode_kind decode_kinds[];
extern const size_t decode_kind_count;

const struct decode_kind *decode_kind_named(const char *name); /* NULL: none */
/* The device that the message names, or NULL. */
const char *decode_device_of(const ProtobufCMessage *message);

#endif
