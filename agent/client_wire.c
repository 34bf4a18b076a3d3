/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/client_wire.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    VARINT_BYTES = 10,
    READ_STEP_BYTES = 16 * 1024,
    BACKLOG_RETRY_MS = 2,
};

bool client_wire_init(struct client_wire *wire, const char *path, size_t max_frame_bytes,
                      struct err *err)
{
    struct client_wire made = {.fd = -1, .max_frame_bytes = max_frame_bytes};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof made.address.sun_path)
        return err_set(err, ERR_INVALID, "socket path %.120s has %zu bytes: expected 1 to %zu",
                       path, length, sizeof made.address.sun_path - 1);
    made.address.sun_family = AF_UNIX;
    memcpy(made.address.sun_path, path, length + 1);
    /* A partial frame and a step of reading beyond it. */
    made.in.limit = max_frame_bytes + VARINT_BYTES + READ_STEP_BYTES;
    *wire = made;
    return true;
}

void client_wire_close(struct client_wire *wire)
{
    if (wire->fd >= 0)
        (void)close(wire->fd);
    wire->fd = -1;
    buf_clear(&wire->in);
    wire->in_taken = 0;
    buf_clear(&wire->out);
}

void client_wire_done(struct client_wire *wire)
{
    client_wire_close(wire);
    buf_done(&wire->in);
    buf_done(&wire->out);
}

static int remaining_ms(int64_t until_ms)
{
    int64_t left = until_ms - clock_boot_ms(&clock_real);
    if (left <= 0)
        return 0;
    return left > INT_MAX ? INT_MAX : (int)left;
}

/* Closes, and says what failed on which socket. */
static bool fail(struct client_wire *wire, enum err_code code, const char *what, struct err *err)
{
    client_wire_close(wire);
    return err_set(err, code, "%s: %s", wire->address.sun_path, what);
}

static bool too_late(struct client_wire *wire, struct err *err)
{
    if (!wire->patient || wire->out.length > 0)
        return fail(wire, ERR_TIMEOUT, "no answer within the deadline", err);
    return err_set(err, ERR_TIMEOUT, "%s: no answer within the deadline", wire->address.sun_path);
}

static bool fail_errno(struct client_wire *wire, const char *what, struct err *err)
{
    int failed = errno;
    client_wire_close(wire);
    return err_errno(err, failed, "%s: %s", wire->address.sun_path, what);
}

bool client_wire_connect(struct client_wire *wire, int64_t until_ms, struct err *err)
{
    client_wire_close(wire);
    wire->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (wire->fd < 0)
        return fail_errno(wire, "cannot make a socket", err);
    for (;;) {
        if (connect(wire->fd, (const struct sockaddr *)&wire->address, sizeof wire->address) == 0)
            return true;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) {
            fail_errno(wire, "cannot connect", err);
            if (err != NULL)
                err->code = ERR_UNAVAILABLE; /* whether it is gone or shut to us */
            return false;
        }
        /* The backlog is full, and nothing tells when it has room again. */
        int left = remaining_ms(until_ms);
        if (left == 0)
            return fail(wire, ERR_TIMEOUT, "nobody accepts connections", err);
        (void)poll(NULL, 0, left < BACKLOG_RETRY_MS ? left : BACKLOG_RETRY_MS);
    }
}

bool client_wire_queue(struct client_wire *wire, struct bytes frame, struct err *err)
{
    uint8_t head[VARINT_BYTES];
    size_t head_length = varint_put(frame.length, head);
    if (buf_append(&wire->out, head, head_length, err) &&
        buf_append(&wire->out, frame.data, frame.length, err))
        return true;
    client_wire_close(wire);
    return false;
}

static bool send_some(struct client_wire *wire, struct err *err)
{
    ssize_t n = send(wire->fd, wire->out.data, wire->out.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        buf_consume(&wire->out, (size_t)n);
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        return fail_errno(wire, "cannot send", err);
    return true;
}

static bool read_some(struct client_wire *wire, struct err *err)
{
    buf_consume(&wire->in, wire->in_taken);
    wire->in_taken = 0;
    size_t room = wire->in.limit - wire->in.length;
    size_t step = room < READ_STEP_BYTES ? room : READ_STEP_BYTES;
    if (step == 0) /* the caller left whole frames lying: let it take them first */
        return true;
    uint8_t *to = buf_reserve(&wire->in, step, err);
    if (to == NULL) {
        client_wire_close(wire);
        return false;
    }
    ssize_t n = recv(wire->fd, to, step, MSG_DONTWAIT);
    if (n > 0)
        wire->in.length += (size_t)n;
    else if (n == 0)
        return fail(wire, ERR_UNAVAILABLE, "the agent closed the connection", err);
    else if (errno != EAGAIN && errno != EINTR)
        return fail_errno(wire, "cannot read", err);
    return true;
}

bool client_wire_turn(struct client_wire *wire, int watch_fd, int64_t until_ms, bool *ret_readable,
                      struct err *err)
{
    struct pollfd fds[2] = {
        {.fd = wire->fd, .events = (short)(POLLIN | (wire->out.length > 0 ? POLLOUT : 0))},
        {.fd = watch_fd, .events = POLLIN},
    };
    int n = poll(fds, 2, remaining_ms(until_ms));
    bool interrupted = n < 0 && errno == EINTR;
    if (n < 0 && !interrupted)
        return fail_errno(wire, "cannot poll", err);
    if (n == 0)
        return too_late(wire, err);
    if (!interrupted && (fds[0].revents & POLLOUT) != 0 && !send_some(wire, err))
        return false;
    if (!interrupted && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
        !read_some(wire, err))
        return false;
    if (ret_readable != NULL)
        *ret_readable = !interrupted && fds[1].revents != 0;
    return true;
}

bool client_wire_next(struct client_wire *wire, struct bytes *ret_frame, struct err *err)
{
    struct bytes rest = buf_bytes(&wire->in);
    uint64_t length = 0;
    if (rest.length > 0) /* without any there is no place to count from either */
        rest = bytes_of(rest.data + wire->in_taken, rest.length - wire->in_taken);
    int head = rest.length > 0 ? varint_get(rest, &length) : 0;
    if (head < 0 || length > wire->max_frame_bytes)
        return fail(wire, ERR_IO, "the answer is not a frame of this protocol", err);
    *ret_frame = bytes_of(NULL, 0);
    if (head == 0 || rest.length - (size_t)head < length)
        return true;
    *ret_frame = bytes_of(rest.data + head, (size_t)length);
    wire->in_taken += (size_t)head + (size_t)length;
    return true;
}

bool client_wire_receive(struct client_wire *wire, int64_t until_ms, struct bytes *ret_frame,
                         struct err *err)
{
    for (;;) {
        struct bytes frame = {0};
        if (!client_wire_next(wire, &frame, err))
            return false;
        if (frame.data != NULL) {
            *ret_frame = frame;
            return true;
        }
        if (remaining_ms(until_ms) == 0)
            return too_late(wire, err);
        if (!client_wire_turn(wire, -1, until_ms, NULL, err))
            return false;
    }
}
