/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_STREAM_INTERNAL_H
#define BASE_STREAM_INTERNAL_H

#include "base/stream.h"

#include <sys/stat.h>
#include <sys/un.h>

/* What stream.c (frames in and out, and connecting) and stream_server.c (listening) share. */

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
    bool starved; /* a connection waits for the memory that the next closing stream gives back */
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    dev_t dev;
    ino_t ino;
};

void stream_init(struct stream *stream, uv_loop_t *loop, const struct stream_limits *limits,
                 const struct stream_events *events, void *ctx);
/* Begins to read from the connected pipe; closes the stream if that fails. */
void stream_start_reading(struct stream *stream);
void stream_close_because(struct stream *stream, const struct err *why);
bool stream_address(const char *path, struct sockaddr_un *ret_address,
                    struct err *err) MUSTER_CHECK;
/* A peer that goes away must not end this process: libuv writes without MSG_NOSIGNAL. */
void stream_ignore_sigpipe(void);
/* Takes the stream out of its server, and frees it. */
void stream_server_forget(struct stream *stream);

#endif
