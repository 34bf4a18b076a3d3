/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SSE_H
#define FLEET_SSE_H

#include "base/buf.h"

/* Server-sent events (WHATWG HTML, 9.2.6) from bytes that come in any pieces. Zero-initialised plus
 * the callback is ready to use; bounded, whatever comes. */
enum { SSE_ID_CHARS = 64, SSE_NAME_CHARS = 32, SSE_DATA_BYTES = 256 * 1024 };
struct sse_event {
    const char *name; /* "message" unless it says another */
    struct bytes data;
};
struct sse {
    /* Valid during the call only; false ends the reading. */
    bool (*event)(void *ctx, const struct sse_event *event);
    void *ctx;

    char id[SSE_ID_CHARS + 1]; /* of the newest event; to go on from there */
    char next_id[SSE_ID_CHARS + 1];
    char name[SSE_NAME_CHARS + 1];
    struct buf line, data;
    bool after_cr;
};

/* False: the callback has ended it, or it is no such stream (a line or an event that is too long).
 */
bool sse_take(struct sse *sse, struct bytes part) MUSTER_CHECK;
/* Before another connection: what was half said there is forgotten. */
void sse_begin(struct sse *sse);
void sse_done(struct sse *sse);

#endif
