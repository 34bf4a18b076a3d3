/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_ONLINE_H
#define PROTO_ONLINE_H

#include "base/buf.h"

#include <stdint.h>

/* Whether a terminal has a session with the broker: proto/online.proto, and the one byte '1' or '0'
 * of earlier terminals, which tells of no session. */
struct online_word {
    bool online, goodbye;
    uint64_t boot;    /* with began_ms 0: it tells of no session */
    int64_t began_ms; /* boot time */
};

/* Foreign bytes; ERR_INVALID: they are no such word. */
bool online_read(struct bytes payload, struct online_word *ret_word, struct err *err) MUSTER_CHECK;
/* Appends it to `out`. */
bool online_write(const struct online_word *word, struct buf *out, struct err *err) MUSTER_CHECK;

#endif
