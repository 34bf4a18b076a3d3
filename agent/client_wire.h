/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CLIENT_WIRE_H
#define AGENT_CLIENT_WIRE_H

#include "base/buf.h"

#include <stdint.h>
#include <sys/un.h>

/*
 * Delimited frames over a unix stream socket with plain poll(2), for callers without a loop. No
 * function waits past `until_ms` (CLOCK_BOOTTIME). After any failure the connection is closed, so
 * that no late answer can be taken for another request's; but for a patient one, whose caller can
 * tell them apart: it outlasts an answer that is late, once all is sent.
 */
struct client_wire {
    struct sockaddr_un address;
    int fd; /* -1: not connected */
    size_t max_frame_bytes;
    bool patient;
    struct buf in;
    size_t in_taken; /* bytes of `in` whose frames were handed out */
    struct buf out;
};

/* False: the path does not fit into a socket address. */
bool client_wire_init(struct client_wire *wire, const char *path, size_t max_frame_bytes,
                      struct err *err) MUSTER_CHECK;
void client_wire_done(struct client_wire *wire);
void client_wire_close(struct client_wire *wire);

/* ERR_UNAVAILABLE at once when nobody listens there for us; ERR_TIMEOUT when nobody accepts. */
bool client_wire_connect(struct client_wire *wire, int64_t until_ms, struct err *err) MUSTER_CHECK;
/* Takes a copy; client_wire_turn sends it. */
bool client_wire_queue(struct client_wire *wire, struct bytes frame, struct err *err) MUSTER_CHECK;
/* Waits until something was read or sent, or `watch_fd` (-1: none) can be read, which
 * `ret_readable` (may be NULL) tells. ERR_TIMEOUT when nothing happens until then. */
bool client_wire_turn(struct client_wire *wire, int watch_fd, int64_t until_ms, bool *ret_readable,
                      struct err *err) MUSTER_CHECK;
/* The next whole frame that was read; `ret_frame->data` is NULL if there is none yet. It is valid
 * until the next turn. */
bool client_wire_next(struct client_wire *wire, struct bytes *ret_frame,
                      struct err *err) MUSTER_CHECK;
/* Turns until a frame is there. */
bool client_wire_receive(struct client_wire *wire, int64_t until_ms, struct bytes *ret_frame,
                         struct err *err) MUSTER_CHECK;

#endif
