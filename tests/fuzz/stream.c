/* SPDX-License-Identifier: Apache-2.0 */
/* Frames from a peer, through a real pipe: the first byte says how large the pieces are in which
 * they come. Frames must arrive whole and in order, and end where the first bad one begins. */
#include "base/stream_internal.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FRAME_BYTES = 300, MAX_INPUT_BYTES = 4096 };

struct expected {
    struct bytes rest; /* what has not been delivered yet */
    bool closed;
};

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    (void)stream;
    struct expected *expected = ctx;
    uint64_t length = 0;
    int head = varint_get(expected->rest, &length);
    HOLDS(head > 0 && length == frame.length && length <= MAX_FRAME_BYTES);
    HOLDS(expected->rest.length - (size_t)head >= length);
    HOLDS(bytes_equal(frame, bytes_of(expected->rest.data + head, frame.length)));
    expected->rest.data += (size_t)head + frame.length;
    expected->rest.length -= (size_t)head + frame.length;
}

static void on_closed(void *ctx, struct stream *stream, const struct err *why)
{
    (void)stream;
    struct expected *expected = ctx;
    /* A clean end only where everything was frames. */
    HOLDS(why || expected->rest.length == 0);
    expected->closed = true;
}

static void feed(uv_loop_t *loop, int peer, struct bytes in, size_t piece)
{
    while (in.length) {
        size_t length = in.length < piece ? in.length : piece;
        if (send(peer, in.data, length, MSG_NOSIGNAL) != (ssize_t)length)
            return; /* it has hung up */
        in.data += length;
        in.length -= length;
        (void)uv_run(loop, UV_RUN_NOWAIT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stream_events events = {.frame = on_frame, .closed = on_closed};
    static const struct stream_limits limits = {.max_frame_bytes = MAX_FRAME_BYTES,
                                                .max_queue_bytes = 1024};
    if (size == 0 || size > MAX_INPUT_BYTES)
        return 0;
    struct expected expected = {.rest = bytes_of(data + 1, size - 1)};
    int pair[2];
    uv_loop_t loop;
    struct stream *stream = calloc(1, sizeof *stream);
    HOLDS(stream && uv_loop_init(&loop) == 0);
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    stream_init(stream, &loop, &limits, &events, &expected);
    HOLDS(uv_pipe_open(&stream->pipe, pair[0]) == 0);
    stream_start_reading(stream);
    feed(&loop, pair[1], bytes_of(data + 1, size - 1), 1 + (size_t)data[0] * 4);
    (void)close(pair[1]);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    HOLDS(expected.closed && uv_loop_close(&loop) == 0);
    return 0;
}
