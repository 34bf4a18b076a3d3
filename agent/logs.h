/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LOGS_H
#define AGENT_LOGS_H

#include "base/buf.h"

/*
 * A log bundle: the newest whole lines of each source, every card number in them masked
 * (agent/logs_guard.h), one zstd frame that is no longer than it may be. What is longer loses its
 * oldest lines. No agent, no loop: for a worker.
 */
enum { LOGS_SOURCES_MAX = 16 };

struct logs_order {
    const char *files;   /* absolute paths, with commas; "": none */
    struct bytes said;   /* what the log program wrote, its end at least */
    bool asked;          /* there is one */
    uint64_t said_bytes; /* all that it wrote */
    size_t limit_bytes;  /* of the frame */
};

struct logs_bundle {
    struct buf frame;
    uint64_t text_bytes;
    bool masked; /* something was */
};

/* Of `limit_bytes`: how much of the log program's words is worth keeping. */
size_t logs_text_limit(size_t limit_bytes);
/* Adds to what was said, and drops its beginning beyond `max`. */
bool logs_hear(struct buf *said, struct bytes part, size_t max);
bool logs_make(const struct logs_order *order, struct logs_bundle *ret_bundle,
               struct err *err) MUSTER_CHECK;
void logs_done(struct logs_bundle *bundle);

#endif
