/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { READ_STEP_BYTES = 64 * 1024 };

void lines_init(struct lines *lines, int fd)
{
    *lines = (struct lines){.fd = fd, .in = {.limit = LINES_MAX_BYTES + 1 + READ_STEP_BYTES}};
}

void lines_done(struct lines *lines)
{
    buf_done(&lines->in);
}

bool lines_read(struct lines *lines, struct err *err)
{
    buf_consume(&lines->in, lines->taken);
    lines->taken = 0;
    uint8_t *to = buf_reserve(&lines->in, READ_STEP_BYTES, err);
    if (to == NULL)
        return false;
    ssize_t n = read(lines->fd, to, READ_STEP_BYTES);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return err_errno(err, errno, "cannot read");
    if (n > 0)
        lines->in.length += (size_t)n;
    lines->eof = n == 0;
    return true;
}

/* Drops what is there of a line that does not end; its number counts when its end is found. */
static bool skip(struct lines *lines)
{
    lines->skipping = true;
    lines->taken = lines->in.length;
    return false;
}

bool lines_next(struct lines *lines, struct line *ret_line)
{
    size_t left = lines->in.length - lines->taken;
    const uint8_t *start = left > 0 ? lines->in.data + lines->taken : NULL;
    const uint8_t *end = left > 0 ? memchr(start, '\n', left) : NULL;
    if (end == NULL && !lines->eof)
        return left > LINES_MAX_BYTES ? skip(lines) : false;
    if (end == NULL && left == 0 && !lines->skipping)
        return false;
    size_t length = end != NULL ? (size_t)(end - start) : left;
    lines->taken += end != NULL ? length + 1 : length;
    bool too_long = lines->skipping || length > LINES_MAX_BYTES;
    lines->skipping = false;
    *ret_line = (struct line){.text = too_long ? bytes_of(NULL, 0) : bytes_of(start, length),
                              .number = ++lines->number,
                              .too_long = too_long};
    return true;
}
