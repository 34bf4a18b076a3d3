/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stream_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LISTEN_BACKLOG = 128,
};

static void free_server_if_done(struct stream_server *server)
{
    if (server->closing && server->pipe_closed && server->clients == 0)
        free(server);
}

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

/* In the server's list from here on; its handles close before it goes. */
static struct stream *new_stream(struct stream_server *server, uv_loop_t *loop)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->server = server;
    stream->next = server->streams;
    stream->link = &server->streams;
    if (stream->next != NULL)
        stream->next->link = &stream->next;
    server->streams = stream;
    server->clients++;
    stream_init(stream, loop, &server->limits, &server->events, server->ctx);
    return stream;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct stream_server *server = listener->data;
    if (status != 0 || server->closing)
        return;
    struct stream *stream = new_stream(server, listener->loop);
    if (stream == NULL) {
        server->starved = true; /* libuv listens no further until this one is accepted */
        return;
    }
    struct stream_peer peer;
    bool crowded = server->clients > server->limits.max_clients;
    if (uv_accept(listener, (uv_stream_t *)&stream->pipe) != 0 || crowded ||
        !peer_of(stream, &peer)) {
        refuse(stream);
        if (crowded && server->events.crowded != NULL)
            server->events.crowded(server->ctx);
        return;
    }
    if (server->events.accepted != NULL && !server->events.accepted(server->ctx, stream, peer)) {
        refuse(stream);
        return;
    }
    stream_start_reading(stream);
}

void stream_server_forget(struct stream *stream)
{
    struct stream_server *server = stream->server;
    *stream->link = stream->next;
    if (stream->next != NULL)
        stream->next->link = stream->link;
    server->clients--;
    free(stream);
    if (server->starved && !server->closing) {
        server->starved = false;
        on_connection((uv_stream_t *)&server->pipe, 0);
    }
    free_server_if_done(server);
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
    stream_ignore_sigpipe();
    struct sockaddr_un address;
    if (!stream_address(path, &address, err) || !remove_dead_socket(&address, err))
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
