/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stream_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    VARINT_BYTES = 10,
    READ_STEP_BYTES = 64 * 1024,
    KEPT_BYTES = 64 * 1024, /* an idle stream gives back what it holds beyond this */
};

/* A client's events live with it, a server's with the server. */
struct client {
    struct stream stream;
    struct stream_events events;
    uv_connect_t connect;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
};

static void free_stream(struct stream *stream)
{
    buf_done(&stream->in);
    buf_done(&stream->queued);
    buf_done(&stream->sending);
    if (stream->server != NULL)
        stream_server_forget(stream);
    else
        free(stream); /* the first member of its struct client */
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    if (--stream->open_handles > 0)
        return;
    if (!stream->refused && stream->events->closed != NULL)
        stream->events->closed(stream->ctx, stream, stream->failed ? &stream->why : NULL);
    free_stream(stream);
}

/* Answers given in this turn of the loop are not with libuv yet. The peer can still read what the
 * system takes of them. */
static void hand_over_queued(struct stream *stream)
{
    uv_buf_t out = uv_buf_init((char *)stream->queued.data, (unsigned)stream->queued.length);
    if (!stream->write_pending && out.len > 0)
        (void)uv_try_write((uv_stream_t *)&stream->pipe, &out, 1);
}

void stream_close(struct stream *stream)
{
    if (stream->closing)
        return;
    hand_over_queued(stream);
    stream->closing = true;
    uv_close((uv_handle_t *)&stream->pipe, on_handle_closed);
    uv_close((uv_handle_t *)&stream->partial_timer, on_handle_closed);
    uv_close((uv_handle_t *)&stream->flush, on_handle_closed);
}

/* The first reason stays. */
void stream_close_because(struct stream *stream, const struct err *why)
{
    if (stream->closing)
        return;
    stream->failed = true;
    stream->why = *why;
    stream_close(stream);
}

static struct err uv_error(int status, const char *what)
{
    struct err why;
    err_errno(&why, -status, "%s", what);
    return why;
}

static void on_partial_timeout(uv_timer_t *timer)
{
    struct stream *stream = timer->data;
    struct err why;
    err_set(&why, ERR_TIMEOUT, "a frame was begun and not complete within %lld ms",
            (long long)stream->limits.partial_frame_ms);
    stream_close_because(stream, &why);
}

/* A frame that is begun has its time from its first byte on: dribbling does not extend it. */
static void watch_partial_frame(struct stream *stream, bool frame_completed)
{
    if (stream->closing || stream->limits.partial_frame_ms <= 0)
        return;
    if (stream->in.length == 0)
        (void)uv_timer_stop(&stream->partial_timer);
    else if (frame_completed || !uv_is_active((uv_handle_t *)&stream->partial_timer))
        (void)uv_timer_start(&stream->partial_timer, on_partial_timeout,
                             (uint64_t)stream->limits.partial_frame_ms, 0);
}

/* Finds the frame at the start of `in`: its length on the wire, or 0 if more bytes are needed. */
static bool next_frame(const struct stream *stream, struct bytes in, struct bytes *ret_frame,
                       size_t *ret_wire_bytes, struct err *err)
{
    uint64_t length = 0;
    int head = varint_get(in, &length);
    if (head < 0)
        return err_set(err, ERR_INVALID, "a frame's length is not a varint");
    if (head > 0 && length > stream->limits.max_frame_bytes)
        return err_set(err, ERR_INVALID, "a frame of %llu bytes; at most %zu are allowed",
                       (unsigned long long)length, stream->limits.max_frame_bytes);
    *ret_wire_bytes = 0;
    if (head == 0 || in.length - (size_t)head < length)
        return true;
    *ret_frame = bytes_of(in.data + head, (size_t)length);
    *ret_wire_bytes = (size_t)head + (size_t)length;
    return true;
}

static void deliver_frames(struct stream *stream)
{
    size_t done = 0;
    while (!stream->closing && done < stream->in.length) {
        struct bytes rest = bytes_of(stream->in.data + done, stream->in.length - done);
        struct bytes frame = {0};
        size_t wire_bytes = 0;
        struct err why;
        if (!next_frame(stream, rest, &frame, &wire_bytes, &why)) {
            stream_close_because(stream, &why);
            return;
        }
        if (wire_bytes == 0)
            break;
        done += wire_bytes;
        stream->events->frame(stream->ctx, stream, frame);
    }
    buf_consume(&stream->in, done);
    if (stream->in.length == 0 && stream->in.capacity > KEPT_BYTES)
        buf_done(&stream->in);
    watch_partial_frame(stream, done > 0);
}

/* After a read less than one frame is left, so there is always room for more. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct stream *stream = handle->data;
    size_t room = stream->in.limit - stream->in.length;
    size_t step = room < READ_STEP_BYTES ? room : READ_STEP_BYTES;
    uint8_t *to = buf_reserve(&stream->in, step, NULL);
    *buf = uv_buf_init((char *)to, to != NULL ? (unsigned)step : 0);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    struct stream *stream = handle->data;
    if (stream->closing || n == 0)
        return;
    if (n > 0) {
        stream->in.length += (size_t)n;
        deliver_frames(stream);
        return;
    }
    struct err why;
    if (n == UV_EOF && stream->in.length == 0) {
        stream_close(stream);
        return;
    }
    if (n == UV_EOF)
        err_set(&why, ERR_INVALID, "the peer closed in the middle of a frame");
    else
        why = uv_error((int)n, "cannot read");
    stream_close_because(stream, &why);
}

static void flush_queued(struct stream *stream);

static void on_written(uv_write_t *write, int status)
{
    struct stream *stream = write->data;
    stream->write_pending = false;
    buf_clear(&stream->sending);
    if (stream->sending.capacity > KEPT_BYTES)
        buf_done(&stream->sending);
    if (stream->closing)
        return;
    if (status != 0) {
        struct err why = uv_error(status, "cannot write");
        stream_close_because(stream, &why);
        return;
    }
    flush_queued(stream);
}

/* Everything that is queued goes out as one write; libuv never holds more than that one. */
static void flush_queued(struct stream *stream)
{
    if (stream->closing || stream->write_pending || stream->queued.length == 0)
        return;
    struct buf spare = stream->sending;
    stream->sending = stream->queued;
    stream->queued = spare;
    uv_buf_t out = uv_buf_init((char *)stream->sending.data, (unsigned)stream->sending.length);
    int status = uv_write(&stream->write, (uv_stream_t *)&stream->pipe, &out, 1, on_written);
    if (status != 0) {
        struct err why = uv_error(status, "cannot write");
        stream_close_because(stream, &why);
        return;
    }
    stream->write_pending = true;
}

static void on_flush(uv_idle_t *idle)
{
    (void)uv_idle_stop(idle);
    flush_queued(idle->data);
}

size_t stream_queued_bytes(const struct stream *stream)
{
    return stream->queued.length + stream->sending.length;
}

bool stream_send(struct stream *stream, struct bytes frame, struct err *err)
{
    if (stream->closing)
        return err_set(err, ERR_UNAVAILABLE, "the connection is closing");
    if (frame.length > stream->limits.max_frame_bytes)
        return err_set(err, ERR_INVALID, "a frame of %zu bytes; at most %zu are allowed",
                       frame.length, stream->limits.max_frame_bytes);
    uint8_t head[VARINT_BYTES];
    size_t head_length = varint_put(frame.length, head);
    struct err why;
    size_t waiting = stream_queued_bytes(stream);
    if (waiting > stream->limits.max_queue_bytes ||
        head_length + frame.length > stream->limits.max_queue_bytes - waiting) {
        err_set(&why, ERR_FULL, "the peer does not read: %zu bytes wait for it", waiting);
    } else if (buf_append(&stream->queued, head, head_length, &why) &&
               buf_append(&stream->queued, frame.data, frame.length, &why)) {
        (void)uv_idle_start(&stream->flush, on_flush);
        return true;
    }
    /* Dropping one answer would leave the peer waiting for it: it starts over instead. */
    stream_close_because(stream, &why);
    return err_set(err, why.code, "%s", why.text);
}

void stream_set_user(struct stream *stream, void *user)
{
    stream->user = user;
}

void *stream_user(const struct stream *stream)
{
    return stream->user;
}

void stream_ignore_sigpipe(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN);
}

void stream_init(struct stream *stream, uv_loop_t *loop, const struct stream_limits *limits,
                 const struct stream_events *events, void *ctx)
{
    stream->limits = *limits;
    stream->events = events;
    stream->ctx = ctx;
    stream->in.limit = limits->max_frame_bytes + VARINT_BYTES;
    stream->queued.limit = limits->max_queue_bytes;
    stream->sending.limit = limits->max_queue_bytes;
    (void)uv_pipe_init(loop, &stream->pipe, 0);
    (void)uv_timer_init(loop, &stream->partial_timer);
    (void)uv_idle_init(loop, &stream->flush);
    stream->open_handles = 3;
    stream->pipe.data = stream;
    stream->partial_timer.data = stream;
    stream->flush.data = stream;
    stream->write.data = stream;
}

void stream_start_reading(struct stream *stream)
{
    if (stream->closing)
        return;
    int failed = uv_read_start((uv_stream_t *)&stream->pipe, on_alloc, on_read);
    if (failed != 0) {
        struct err why = uv_error(failed, "cannot read");
        stream_close_because(stream, &why);
    }
}

bool stream_address(const char *path, struct sockaddr_un *ret_address, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path)
        return err_set(err, ERR_INVALID, "socket path %s has %zu bytes; 1 to %zu are allowed", path,
                       length, sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, length + 1);
    *ret_address = address;
    return true;
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct client *client = connect->data;
    struct stream *stream = &client->stream;
    if (stream->closing)
        return;
    if (status != 0) {
        struct err why = uv_error(status, "cannot connect");
        err_context(&why, "%s", client->path);
        stream_close_because(stream, &why);
        return;
    }
    stream_start_reading(stream);
    if (!stream->closing && stream->events->opened != NULL)
        stream->events->opened(stream->ctx, stream);
}

bool stream_connect(uv_loop_t *loop, const char *path, const struct stream_limits *limits,
                    const struct stream_events *events, void *ctx, struct stream **ret_stream,
                    struct err *err)
{
    stream_ignore_sigpipe();
    struct sockaddr_un address;
    if (!stream_address(path, &address, err)) /* libuv would cut it off silently */
        return false;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a connection");
    client->events = *events;
    memcpy(client->path, address.sun_path, sizeof client->path);
    struct stream *stream = &client->stream;
    stream_init(stream, loop, limits, &client->events, ctx);
    client->connect.data = client;
    uv_pipe_connect(&client->connect, &stream->pipe, address.sun_path, on_connected);
    *ret_stream = stream;
    return true;
}
