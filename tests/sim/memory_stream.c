/* SPDX-License-Identifier: Apache-2.0 */
/* In place of base/stream*.c: a pair of streams within one loop, without descriptors. What is sent
 * arrives in the next turn. The loop's data is the root of a tree of those who listen. */
#include "base/stream.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 108, HEAD_BYTES = 10 };

struct stream {
    struct stream *peer; /* NULL: gone, or never there */
    struct stream_server *server;
    struct stream *next; /* of the server's */
    struct stream_limits limits;
    struct stream_events events;
    void *ctx, *user;
    uv_idle_t turn;
    struct buf in; /* varint length and frame, as on a socket */
    bool connecting, ended, closing, refused, failed;
    struct err why;
};

struct stream_server {
    char path[PATH_BYTES];
    uv_loop_t *loop;
    struct stream_limits limits;
    struct stream_events events;
    void *ctx;
    struct stream *streams;
    unsigned clients;
    bool closing;
};

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct stream_server *)a)->path, ((const struct stream_server *)b)->path);
}

static struct stream_server *who_listens(uv_loop_t *loop, const char *path)
{
    struct stream_server wanted = {.loop = loop};
    strcpy(wanted.path, path);
    struct stream_server **found = tfind(&wanted, &loop->data, by_path);
    return found != NULL ? *found : NULL;
}

static bool path_fits(const char *path, struct err *err)
{
    size_t length = strlen(path);
    return (length > 0 && length < PATH_BYTES) ||
           err_set(err, ERR_INVALID, "socket path %s has %zu bytes; 1 to %d are allowed", path,
                   length, PATH_BYTES - 1);
}

/* ---- closing ---- */

static void leave_server(struct stream *stream)
{
    struct stream_server *server = stream->server;
    struct stream **link = &server->streams;
    while (*link != stream)
        link = &(*link)->next;
    *link = stream->next;
    if (--server->clients == 0 && server->closing)
        free(server);
}

static void on_turn(uv_idle_t *turn);

static void wake(struct stream *stream)
{
    if (!stream->closing)
        (void)uv_idle_start(&stream->turn, on_turn);
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    if (!stream->refused && stream->events.closed != NULL)
        stream->events.closed(stream->ctx, stream, stream->failed ? &stream->why : NULL);
    if (stream->server != NULL)
        leave_server(stream);
    buf_done(&stream->in);
    free(stream);
}

void stream_close(struct stream *stream)
{
    if (stream->closing)
        return;
    stream->closing = true;
    if (stream->peer != NULL) {
        stream->peer->ended = true;
        stream->peer->peer = NULL;
        wake(stream->peer);
        stream->peer = NULL;
    }
    uv_close((uv_handle_t *)&stream->turn, on_closed);
}

static void close_because(struct stream *stream, const struct err *why)
{
    if (stream->closing)
        return;
    stream->failed = true;
    stream->why = *why;
    stream_close(stream);
}

void stream_server_close(struct stream_server *server)
{
    if (server->closing)
        return;
    server->closing = true;
    (void)tdelete(server, &server->loop->data, by_path);
    if (server->clients == 0) {
        free(server);
        return;
    }
    for (struct stream *stream = server->streams; stream != NULL; stream = stream->next)
        stream_close(stream);
}

/* ---- opening ---- */

static struct stream *stream_new(uv_loop_t *loop, const struct stream_limits *limits,
                                 const struct stream_events *events, void *ctx)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->limits = *limits;
    stream->events = *events;
    stream->ctx = ctx;
    stream->in.limit = 2 * limits->max_queue_bytes + HEAD_BYTES;
    (void)uv_idle_init(loop, &stream->turn);
    stream->turn.data = stream;
    return stream;
}

bool stream_listen(uv_loop_t *loop, const char *path, unsigned mode,
                   const struct stream_limits *limits, const struct stream_events *events,
                   void *ctx, struct stream_server **ret_server, struct err *err)
{
    (void)mode;
    if (!path_fits(path, err))
        return false;
    if (who_listens(loop, path) != NULL)
        return err_set(err, ERR_CONFLICT, "somebody listens on %s already", path);
    struct stream_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a server");
    *server =
        (struct stream_server){.loop = loop, .limits = *limits, .events = *events, .ctx = ctx};
    strcpy(server->path, path);
    if (tsearch(server, &loop->data, by_path) == NULL) {
        free(server);
        return err_set(err, ERR_NO_MEMORY, "no memory for a server");
    }
    *ret_server = server;
    return true;
}

static struct stream *accept_from(struct stream_server *server, struct stream *client)
{
    const struct stream_peer self = {.pid = getpid(), .uid = getuid(), .gid = getgid()};
    if (server->limits.max_clients > 0 && server->clients >= server->limits.max_clients) {
        if (server->events.crowded != NULL)
            server->events.crowded(server->ctx);
        return NULL;
    }
    struct stream *stream = stream_new(server->loop, &server->limits, &server->events, server->ctx);
    if (stream == NULL)
        return NULL;
    stream->server = server;
    stream->next = server->streams;
    server->streams = stream;
    server->clients++;
    stream->peer = client;
    client->peer = stream;
    if (server->events.accepted != NULL && !server->events.accepted(server->ctx, stream, self)) {
        stream->refused = true;
        stream_close(stream);
    }
    return stream;
}

/* The path is in `in`, as it was asked for. */
static void connect_now(struct stream *stream)
{
    char path[PATH_BYTES];
    struct err why = {0};
    strcpy(path, (const char *)stream->in.data);
    buf_clear(&stream->in);
    stream->connecting = false;
    struct stream_server *server = who_listens(stream->turn.loop, path);
    if (server == NULL || accept_from(server, stream) == NULL) {
        (void)err_set(&why, ERR_UNAVAILABLE, "%s: cannot connect: nobody takes it", path);
        close_because(stream, &why);
    } else if (stream->events.opened != NULL && stream->peer != NULL) {
        stream->events.opened(stream->ctx, stream);
    }
}

bool stream_connect(uv_loop_t *loop, const char *path, const struct stream_limits *limits,
                    const struct stream_events *events, void *ctx, struct stream **ret_stream,
                    struct err *err)
{
    if (!path_fits(path, err))
        return false;
    struct stream *stream = stream_new(loop, limits, events, ctx);
    if (stream == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a connection");
    stream->connecting = true;
    if (!buf_append(&stream->in, path, strlen(path) + 1, err)) {
        stream->refused = true; /* nobody is told of it */
        stream_close(stream);
        return false;
    }
    wake(stream);
    *ret_stream = stream;
    return true;
}

/* ---- frames ---- */

/* What comes meanwhile belongs to the next turn. */
static void deliver(struct stream *stream)
{
    struct buf frames = stream->in;
    stream->in = (struct buf){.limit = frames.limit};
    size_t at = 0;
    while (at < frames.length && !stream->closing) {
        uint64_t length = 0;
        at += (size_t)varint_get(bytes_of(frames.data + at, frames.length - at), &length);
        stream->events.frame(stream->ctx, stream, bytes_of(frames.data + at, (size_t)length));
        at += (size_t)length;
    }
    buf_done(&frames);
}

static void on_turn(uv_idle_t *turn)
{
    struct stream *stream = turn->data;
    (void)uv_idle_stop(turn);
    if (stream->connecting)
        connect_now(stream);
    else
        deliver(stream);
    if (stream->ended && stream->in.length == 0)
        stream_close(stream);
}

size_t stream_queued_bytes(const struct stream *stream)
{
    return stream->peer != NULL ? stream->peer->in.length : 0;
}

bool stream_send(struct stream *stream, struct bytes frame, struct err *err)
{
    struct stream *peer = stream->peer;
    uint8_t head[HEAD_BYTES];
    struct err why = {0};
    if (stream->closing || stream->connecting)
        return err_set(err, ERR_UNAVAILABLE, "the connection is closing");
    if (frame.length > stream->limits.max_frame_bytes)
        return err_set(err, ERR_INVALID, "a frame of %zu bytes; at most %zu are allowed",
                       frame.length, stream->limits.max_frame_bytes);
    if (peer == NULL)
        return true; /* as into a socket whose other end has just gone */
    if (peer->in.length + frame.length > stream->limits.max_queue_bytes) {
        (void)err_set(&why, ERR_FULL, "the peer does not read: %zu bytes wait for it",
                      peer->in.length);
    } else if (buf_append(&peer->in, head, varint_put(frame.length, head), &why) &&
               buf_append(&peer->in, frame.data, frame.length, &why)) {
        wake(peer);
        return true;
    }
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
