/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/linkport.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/stream.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FETCH_MAX = LIMIT_MANIFEST_ITEMS };

struct linkport {
    struct linkport_events events;
    void *ctx;
    struct peers peers;
    struct stream_server *server;
    struct stream *link; /* the one that counts; NULL: none */
    bool closing;
    struct linkport_state state;
    struct arena arena;
    struct log_gate gate; /* of lines that the other side can cause */
    uint8_t fetch[FETCH_MAX][32];
    uint64_t fetch_sizes[FETCH_MAX];
    size_t fetch_count;
    uint64_t trust;            /* version of the root that is waited for; 0: of none */
    struct linkport_time time; /* at_least_ms 0: nothing is known */
};

static bool refuse(struct linkport *port)
{
    port->state.frames_refused++;
    return log_gate_pass(&port->gate, clock_boot_ms(&clock_real), "frames_refused in status");
}

static bool send_down(struct linkport *port, const Muster__LinkDown *down, struct err *err)
{
    if (port->link == NULL)
        return err_set(err, ERR_UNAVAILABLE, "muster-link has not joined");
    struct buf frame = {.limit = LIMIT_LINK_FRAME_BYTES};
    bool ok = pack(&down->base, &frame, err) && stream_send(port->link, buf_bytes(&frame), err);
    buf_done(&frame);
    return ok;
}

static void say_fetch(struct linkport *port)
{
    ProtobufCBinaryData blobs[FETCH_MAX];
    for (size_t i = 0; i < port->fetch_count; i++)
        blobs[i] = (ProtobufCBinaryData){.len = 32, .data = port->fetch[i]};
    Muster__LinkFetch fetch = MUSTER__LINK_FETCH__INIT;
    fetch.blobs = blobs;
    fetch.n_blobs = port->fetch_count;
    fetch.sizes = port->fetch_sizes;
    fetch.n_sizes = port->fetch_count;
    fetch.trust = port->trust;
    Muster__LinkDown down = MUSTER__LINK_DOWN__INIT;
    down.what_case = MUSTER__LINK_DOWN__WHAT_FETCH;
    down.fetch = &fetch;
    struct err err = {0};
    if (!send_down(port, &down, &err) && err.code != ERR_UNAVAILABLE) {
        log_warn("link: cannot say what to fetch: %s; asking it to join again", err.text);
        stream_close(port->link);
    }
}

static void say_time(struct linkport *port)
{
    Muster__LinkTime time = MUSTER__LINK_TIME__INIT;
    Muster__LinkDown down = MUSTER__LINK_DOWN__INIT;
    struct err err = {0};
    time.at_least_ms = port->time.at_least_ms;
    time.boot_ms = (uint64_t)port->time.boot_ms;
    time.exact = port->time.exact;
    down.what_case = MUSTER__LINK_DOWN__WHAT_TIME;
    down.time = &time;
    if (port->time.at_least_ms > 0 && !send_down(port, &down, &err) && err.code != ERR_UNAVAILABLE)
        log_warn("link: cannot say what the time is: %s", err.text);
}

static bool on_accepted(void *ctx, struct stream *stream, struct stream_peer peer)
{
    struct linkport *port = ctx;
    if (!peers_allow(&port->peers, peer.uid)) {
        if (refuse(port))
            log_warn("link socket: process %d of user %u refused: not in link.users", (int)peer.pid,
                     (unsigned)peer.uid);
        return false;
    }
    if (port->link != NULL)
        stream_close(port->link);
    port->link = stream;
    port->state.joined = true;
    port->state.connected = false;
    snprintf(port->state.reason, sizeof port->state.reason, "muster-link has just joined");
    say_time(port);
    say_fetch(port);
    port->events.changed(port->ctx);
    return true;
}

static void on_crowded(void *ctx)
{
    struct linkport *port = ctx;
    if (refuse(port))
        log_warn("link socket: a connection refused: another muster-link has just come and gone; "
                 "see that only one is started");
}

static void note_failure(struct linkport *port, const Muster__LinkState *state)
{
    if (state->failures == 0 || state->connected || state->reason[0] == '\0')
        return; /* a link that is new, or says only that a subscription was refused */
    snprintf(port->state.failure, sizeof port->state.failure, "%s", state->reason);
    port->state.failed_ms = clock_wall_ms(&clock_real);
}

static void take_state(struct linkport *port, const Muster__LinkState *state)
{
    bool was = port->state.connected;
    port->state.connected = state->connected;
    port->state.keeps_nothing = state->keeps_nothing;
    snprintf(port->state.broker, sizeof port->state.broker, "%s", state->broker);
    snprintf(port->state.reason, sizeof port->state.reason, "%s", state->reason);
    port->state.next_attempt_ms = state->next_attempt_ms;
    if (state->link_start != port->state.link_start ||
        state->failures != port->state.link_failures) {
        note_failure(port, state);
    }
    port->state.link_start = state->link_start;
    port->state.link_sessions = state->sessions;
    port->state.link_resumed = state->resumed;
    port->state.link_failures = state->failures;
    port->state.link_refused = state->refused;
    snprintf(port->state.content_held, sizeof port->state.content_held, "%s", state->content_held);
    port->state.content_held_ms = state->content_held_ms;
    port->state.traffic = (struct traffic){
        .up = {.payload = state->payload_bytes_up,
               .mqtt = state->mqtt_bytes_up,
               .tls = state->tls_bytes_up,
               .tcpip = state->tcpip_bytes_up},
        .down = {.payload = state->payload_bytes_down,
                 .mqtt = state->mqtt_bytes_down,
                 .tls = state->tls_bytes_down,
                 .tcpip = state->tcpip_bytes_down},
    };
    if (state->connected && !was)
        port->state.sessions++;
    if (state->connected != was)
        port->events.changed(port->ctx);
}

static void take(struct linkport *port, const Muster__LinkUp *up)
{
    switch (up->what_case) {
    case MUSTER__LINK_UP__WHAT_STATE:
        take_state(port, up->state);
        return;
    case MUSTER__LINK_UP__WHAT_PUBACK:
        port->events.puback(port->ctx, up->puback->token, up->puback->accepted);
        return;
    case MUSTER__LINK_UP__WHAT_MESSAGE:
        port->events.message(port->ctx, up->message->topic,
                             bytes_of(up->message->payload.data, up->message->payload.len));
        return;
    default:
        if (refuse(port))
            log_warn("link: a frame that says nothing this version knows: ignored");
    }
}

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    struct linkport *port = ctx;
    if (stream != port->link || port->closing)
        return;
    static const struct unpack_limits limits = {.max_bytes = LIMIT_LINK_FRAME_BYTES,
                                                .max_elements = 32};
    ProtobufCMessage *message = NULL;
    struct err err = {0};
    if (unpack(&muster__link_up__descriptor, frame, &limits, &port->arena, &message, &err)) {
        take(port, (const Muster__LinkUp *)message);
    } else {
        if (refuse(port))
            log_warn("link: a frame of %zu bytes refused: %s", frame.length, err.text);
    }
    arena_done(&port->arena);
}

static void on_closed(void *ctx, struct stream *stream, const struct err *why)
{
    struct linkport *port = ctx;
    if (stream != port->link || port->closing)
        return;
    port->link = NULL;
    port->state.joined = false;
    port->state.connected = false;
    port->state.next_attempt_ms = 0;
    port->state.content_held[0] = '\0';
    port->state.content_held_ms = 0;
    snprintf(port->state.reason, sizeof port->state.reason, "muster-link is not running (%.400s)",
             why == NULL ? "it left" : why->text);
    port->events.changed(port->ctx);
}

bool linkport_open(uv_loop_t *loop, const char *path, const struct peers *peers,
                   const struct linkport_events *events, void *ctx, struct linkport **ret_port,
                   struct err *err)
{
    struct linkport *port = calloc(1, sizeof *port);
    if (port == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the link socket");
    port->events = *events;
    port->ctx = ctx;
    port->peers = *peers;
    port->arena.limit_bytes = (size_t)LIMIT_LINK_FRAME_BYTES * 2;
    snprintf(port->state.reason, sizeof port->state.reason, "muster-link has not joined yet");
    static const struct stream_limits limits = {
        .max_frame_bytes = LIMIT_LINK_FRAME_BYTES,
        .max_queue_bytes = (size_t)LIMIT_BATCH_WIRE_BYTES * 8,
        .max_clients = 2, /* a new link may come before the old one is seen to be gone */
        .partial_frame_ms = 60000,
    };
    static const struct stream_events stream_events = {
        .accepted = on_accepted, .crowded = on_crowded, .frame = on_frame, .closed = on_closed};
    /* Who may be the link is decided by SO_PEERCRED against link.users. */
    if (!stream_listen(loop, path, 0666, &limits, &stream_events, port, &port->server, err)) {
        free(port);
        return false;
    }
    *ret_port = port;
    return true;
}

void linkport_close(struct linkport *port)
{
    if (port == NULL || port->closing)
        return;
    port->closing = true;
    port->state.joined = port->state.connected = false;
    stream_server_close(port->server);
}

void linkport_drop(struct linkport *port)
{
    if (port->link != NULL)
        stream_close(port->link);
}

void linkport_free(struct linkport *port)
{
    free(port);
}

const struct linkport_state *linkport_state(const struct linkport *port)
{
    return &port->state;
}

bool linkport_publish(struct linkport *port, uint64_t token, const char *topic,
                      struct bytes payload, struct err *err)
{
    if (!port->state.connected)
        return err_set(err, ERR_UNAVAILABLE, "no session with the broker: %s", port->state.reason);
    Muster__LinkPublish publish = MUSTER__LINK_PUBLISH__INIT;
    publish.token = token;
    publish.topic = (char *)(uintptr_t)topic;
    publish.payload =
        (ProtobufCBinaryData){.len = payload.length, .data = (uint8_t *)(uintptr_t)payload.data};
    Muster__LinkDown down = MUSTER__LINK_DOWN__INIT;
    down.what_case = MUSTER__LINK_DOWN__WHAT_PUBLISH;
    down.publish = &publish;
    return send_down(port, &down, err);
}

void linkport_fetch(struct linkport *port, const uint8_t (*blobs)[32], const uint64_t *sizes,
                    size_t count)
{
    port->fetch_count = count > FETCH_MAX ? FETCH_MAX : count;
    if (port->fetch_count > 0) {
        memcpy(port->fetch, blobs, port->fetch_count * sizeof *port->fetch);
        memcpy(port->fetch_sizes, sizes, port->fetch_count * sizeof *port->fetch_sizes);
    }
    if (port->link != NULL)
        say_fetch(port);
}

void linkport_trust(struct linkport *port, uint64_t version)
{
    port->trust = version;
    if (port->link != NULL)
        say_fetch(port);
}

void linkport_time(struct linkport *port, const struct linkport_time *time)
{
    port->time = *time;
    if (port->link != NULL)
        say_time(port);
}
