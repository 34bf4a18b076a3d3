/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LINES_H
#define AGENT_LINES_H

#include "base/buf.h"

#include <stdint.h>

/* Lines of a descriptor that may be a pipe somebody writes to now and then. A line longer than
 * LINES_MAX_BYTES is skipped as one line, whatever its length. */
enum { LINES_MAX_BYTES = 16 * 1024 };

struct lines {
    int fd;
    struct buf in;
    size_t taken; /* bytes of `in` that were handed out */
    bool eof;
    bool skipping; /* inside a line that is too long */
    uint64_t number;
};

struct line {
    struct bytes text; /* without its end; valid until the next lines_read */
    uint64_t number;   /* from 1 */
    bool too_long;     /* `text` is empty */
};

void lines_init(struct lines *lines, int fd);
void lines_done(struct lines *lines);
/* Reads once; waits if nothing is there. */
bool lines_read(struct lines *lines, struct err *err) MUSTER_CHECK;
/* False: no whole line is there; read again, or after `eof` it is the end. */
bool lines_next(struct lines *lines, struct line *ret_line);

#endif
