/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include "base/buf.h"

#include <sys/types.h>
#include <uv.h>

/*
 * Framed messages over a unix stream socket, on a libuv loop: each frame is a varint length and
 * that many bytes (protobuf's delimited form). Memory is bounded both ways: a frame longer than
 * `max_frame_bytes` closes the connection, and so does a peer that lets more than
 * `max_queue_bytes` of answers pile up.
 */
struct stream;
struct stream_server;

struct stream_limits {
    size_t max_frame_bytes;
    size_t max_queue_bytes;
    unsigned max_clients;     /* server only; a further one is closed at once, see `crowded` */
    int64_t partial_frame_ms; /* a frame begun must be complete within this time; 0: no limit */
};

struct stream_peer { /* SO_PEERCRED at connect */
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

struct stream_events {
    /* Server: false refuses and closes without a `closed`; `peer` says who it is. May be NULL. */
    bool (*accepted)(void *ctx, struct stream *stream, struct stream_peer peer);
    /* Server: there were `max_clients` already, and one more was closed. May be NULL. */
    void (*crowded)(void *ctx);
    /* Client: connected. */
    void (*opened)(void *ctx, struct stream *stream);
    /* `frame` is valid during the call only. The handler may call stream_send, stream_close. */
    void (*frame)(void *ctx, struct stream *stream, struct bytes frame);
    /* Last call for this stream, `why` is NULL after a clean end; the stream is freed after it.
     * Client: also called when connecting failed. */
    void (*closed)(void *ctx, struct stream *stream, const struct err *why);
};

/* Listens on `path` with permission bits `mode`; an old socket file that nobody listens on is
 * replaced, a live one is ERR_CONFLICT. The file is removed at close. */
bool stream_listen(uv_loop_t *loop, const char *path, unsigned mode,
                   const struct stream_limits *limits, const struct stream_events *events,
                   void *ctx, struct stream_server **ret_server, struct err *err) MUSTER_CHECK;
void stream_server_close(struct stream_server *server); /* closes its streams too */

/* Begins to connect; the outcome arrives as `opened` or `closed`. */
bool stream_connect(uv_loop_t *loop, const char *path, const struct stream_limits *limits,
                    const struct stream_events *events, void *ctx, struct stream **ret_stream,
                    struct err *err) MUSTER_CHECK;

/* Queues one frame (copied). False: the queue is full or the stream is closing. */
bool stream_send(struct stream *stream, struct bytes frame, struct err *err) MUSTER_CHECK;
size_t stream_queued_bytes(const struct stream *stream);
/* Hands over what the system takes at once of what is queued; calls `closed` from the loop. Safe to
 * call twice. */
void stream_close(struct stream *stream);
void stream_set_user(struct stream *stream, void *user);
void *stream_user(const struct stream *stream);

#endif
