/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stream.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LISTEN_BACKLOG = 128,
    VARINT_BYTES = 10,
    READ_STEP_BYTES = 64 * 1024,
    KEPT_BYTES = 64 * 1024, /* an idle stream gives back what it holds beyond this */
};

/* A stream holds three libuv handles; it is freed when the last of them is closed. */
struct stream {
    struct stream_server *server; /* NULL: a client */
    struct stream *next, **link;  /* in the server's list */
    struct stream_limits limits;
    const struct stream_events *events;
    void *ctx;
    void *user;
    uv_pipe_t pipe;
    uv_timer_t partial_timer;
    uv_idle_t flush; /* runs in the loop turn after a frame was queued, without waiting */
    uv_connect_t connect;
    uv_write_t write;
    struct buf in;
    struct buf queued;  /* frames not yet handed to libuv */
    struct buf sending; /* the one write that libuv has */
    bool write_pending;
    bool closing;
    bool refused; /* by `accepted`: there is no `closed` for it */
    unsigned open_handles;
    bool failed;
    struct err why;
};

struct stream_server {
    uv_pipe_t pipe;
    struct stream_limits limits;
    struct stream_events events;
    void *ctx;
    struct stream *streams;
    unsigned clients; /* streams not yet freed */
    bool closing;
    bool pipe_closed;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    dev_t dev;
    ino_t ino;
};

/* A client's events live with it, a server's with the server. */
struct client {
    struct stream stream;
    struct stream_events events;
};

static void free_server_if_done(struct stream_server *server)
{
    if (server->closing && server->pipe_closed && server->clients == 0)
        free(server);
}

static void free_stream(struct stream *stream)
{
    struct stream_server *server = stream->server;
    buf_done(&stream->in);
    buf_done(&stream->queued);
    buf_done(&stream->sending);
    if (server != NULL) {
        *stream->link = stream->next;
        if (stream->next != NULL)
            stream->next->link = stream->link;
        server->clients--;
        free(stream);
        free_server_if_done(server);
        return;
    }
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

void stream_close(struct stream *stream)
{
    if (stream->closing)
        return;
    stream->closing = true;
    uv_close((uv_handle_t *)&stream->pipe, on_handle_closed);
    uv_close((uv_handle_t *)&stream->partial_timer, on_handle_closed);
    uv_close((uv_handle_t *)&stream->flush, on_handle_closed);
}

/* The first reason stays. */
static void close_because(struct stream *stream, const struct err *why)
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
    close_because(stream, &why);
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
            close_because(stream, &why);
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
    close_because(stream, &why);
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
        close_because(stream, &why);
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
        close_because(stream, &why);
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
    close_because(stream, &why);
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

static void ignore_sigpipe(void)
{
    struct sigaction now;
    /* libuv writes without MSG_NOSIGNAL; a peer that goes away must not end this process. */
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN);
}

static void stream_init(struct stream *stream, uv_loop_t *loop, const struct stream_limits *limits,
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
    stream->connect.data = stream;
    stream->write.data = stream;
}

/* ---- server ---- */

static bool peer_of(struct stream *stream, struct stream_peer *ret_peer)
{
    uv_os_fd_t fd = -1;
    struct ucred cred;
    socklen_t size = sizeof cred;
    if (uv_fileno((uv_handle_t *)&stream->pipe, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) != 0)
        return false;
    *ret_peer = (struct stream_peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
    return true;
}

static void refuse(struct stream *stream)
{
    stream->refused = true;
    stream_close(stream);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct stream_server *server = listener->data;
    if (status != 0 || server->closing)
        return;
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return; /* the connection waits in the backlog */
    stream->server = server;
    stream->next = server->streams;
    stream->link = &server->streams;
    if (stream->next != NULL)
        stream->next->link = &stream->next;
    server->streams = stream;
    bool full = server->clients++ >= server->limits.max_clients;
    stream_init(stream, listener->loop, &server->limits, &server->events, server->ctx);

    struct stream_peer peer;
    if (uv_accept(listener, (uv_stream_t *)&stream->pipe) != 0 || full || !peer_of(stream, &peer)) {
        refuse(stream);
        return;
    }
    if (server->events.accepted != NULL && !server->events.accepted(server->ctx, stream, peer)) {
        refuse(stream);
        return;
    }
    int failed =
        stream->closing ? 0 : uv_read_start((uv_stream_t *)&stream->pipe, on_alloc, on_read);
    if (failed != 0) {
        struct err why = uv_error(failed, "cannot read");
        close_because(stream, &why);
    }
}

static bool address_of(const char *path, struct sockaddr_un *ret_address, struct err *err)
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

/* True when nothing is at `path` or a socket that nobody listens on, which is then removed. */
static bool remove_dead_socket(const struct sockaddr_un *address, struct err *err)
{
    const char *path = address->sun_path;
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT || err_errno(err, errno, "cannot stat %s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_CONFLICT, "%s exists and is not a socket: move it away", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(err, errno, "cannot make a socket");
    int failed = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 ? errno : 0;
    (void)close(fd);
    if (failed != ECONNREFUSED && failed != ENOENT)
        return err_set(err, ERR_CONFLICT,
                       "another process listens on %s: stop it first, or set another path", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return err_errno(err, errno, "cannot remove the old socket %s", path);
    return true;
}

/* On Linux the file takes the descriptor's mode less the umask: it never has more than `mode`.
 * Nobody can connect before listen(2), so putting back what the umask took is no race either. */
static bool bind_socket(int fd, const struct sockaddr_un *address, unsigned mode,
                        struct stream_server *server, struct err *err)
{
    const char *path = address->sun_path;
    struct stat st;
    if (fchmod(fd, (mode_t)mode) != 0)
        return err_errno(err, errno, "cannot set the mode of %s", path);
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        return err_errno(err, errno, "cannot bind %s", path);
    if (chmod(path, (mode_t)mode) != 0 || lstat(path, &st) != 0) {
        err_errno(err, errno, "cannot set the mode of %s", path);
        (void)unlink(path);
        return false;
    }
    server->dev = st.st_dev;
    server->ino = st.st_ino;
    memcpy(server->path, path, sizeof server->path);
    return true;
}

static void on_server_pipe_closed(uv_handle_t *handle)
{
    struct stream_server *server = handle->data;
    server->pipe_closed = true;
    free_server_if_done(server);
}

void stream_server_close(struct stream_server *server)
{
    if (server->closing)
        return;
    server->closing = true;
    struct stat st;
    /* Only our own file: somebody may have put another in its place. */
    if (server->path[0] != '\0' && lstat(server->path, &st) == 0 && st.st_dev == server->dev &&
        st.st_ino == server->ino)
        (void)unlink(server->path);
    for (struct stream *stream = server->streams; stream != NULL; stream = stream->next)
        stream_close(stream);
    uv_close((uv_handle_t *)&server->pipe, on_server_pipe_closed);
}

/* Takes `fd` over. */
static bool listen_on(struct stream_server *server, int fd, struct err *err)
{
    int failed = uv_pipe_open(&server->pipe, fd);
    if (failed != 0) {
        (void)close(fd);
        return err_errno(err, -failed, "cannot use the socket %s", server->path);
    }
    failed = uv_listen((uv_stream_t *)&server->pipe, LISTEN_BACKLOG, on_connection);
    return failed == 0 || err_errno(err, -failed, "cannot listen on %s", server->path);
}

bool stream_listen(uv_loop_t *loop, const char *path, unsigned mode,
                   const struct stream_limits *limits, const struct stream_events *events,
                   void *ctx, struct stream_server **ret_server, struct err *err)
{
    ignore_sigpipe();
    struct sockaddr_un address;
    if (!address_of(path, &address, err) || !remove_dead_socket(&address, err))
        return false;
    struct stream_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a server");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        free(server);
        return err_errno(err, errno, "cannot make a socket");
    }
    if (!bind_socket(fd, &address, mode, server, err)) {
        (void)close(fd);
        free(server);
        return false;
    }
    server->limits = *limits;
    server->events = *events;
    server->ctx = ctx;
    (void)uv_pipe_init(loop, &server->pipe, 0);
    server->pipe.data = server;
    if (!listen_on(server, fd, err)) {
        stream_server_close(server);
        return false;
    }
    *ret_server = server;
    return true;
}

/* ---- client ---- */

static void on_connected(uv_connect_t *connect, int status)
{
    struct stream *stream = connect->data;
    if (stream->closing)
        return;
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&stream->pipe, on_alloc, on_read);
    if (status != 0) {
        struct err why = uv_error(status, "cannot connect");
        close_because(stream, &why);
        return;
    }
    if (stream->events->opened != NULL)
        stream->events->opened(stream->ctx, stream);
}

bool stream_connect(uv_loop_t *loop, const char *path, const struct stream_limits *limits,
                    const struct stream_events *events, void *ctx, struct stream **ret_stream,
                    struct err *err)
{
    ignore_sigpipe();
    struct sockaddr_un address;
    if (!address_of(path, &address, err)) /* libuv would cut it off silently */
        return false;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a connection");
    client->events = *events;
    struct stream *stream = &client->stream;
    stream_init(stream, loop, limits, &client->events, ctx);
    uv_pipe_connect(&stream->connect, &stream->pipe, address.sun_path, on_connected);
    *ret_stream = stream;
    return true;
}
