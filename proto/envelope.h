/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include "base/buf.h"

/* What is in the bytes of an Envelope, in place; no signature has been looked at yet. For seal.c
 * and, since a root carries the keys that it is checked with, trust.c. */
enum { ENVELOPE_SIGNATURES = 16 };

struct envelope {
    struct bytes body;
    struct {
        struct bytes key_id;    /* 0 or KEY_ID_BYTES long */
        struct bytes signature; /* 64 bytes */
    } signatures[ENVELOPE_SIGNATURES];
    size_t signature_count;
};

/* Also one that nobody has signed yet: what people pass on until enough of them have. */
bool envelope_read_any(struct bytes in, struct envelope *ret_envelope,
                       struct err *err) MUSTER_CHECK;
bool envelope_read(struct bytes in, struct envelope *ret_envelope, struct err *err) MUSTER_CHECK;

#endif
