/* SPDX-License-Identifier: Apache-2.0 */
/* The link's side of the link socket. */
#include "tests/attack/session.h"

#include "proto/envelope.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/unpack.h"

#include <string.h>

static void note_hello(struct session *session, struct bytes payload)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_HELLO_BYTES,
                                                .max_elements = 16384};
    struct arena arena = {0};
    struct envelope envelope;
    ProtobufCMessage *message = NULL;
    struct err err = {0};
    must(envelope_read(payload, &envelope, &err) &&
             unpack(&muster__hello__descriptor, envelope.body, &limits, &arena, &message, &err),
         "a hello", &err);
    const Muster__Hello *hello = (const Muster__Hello *)message;
    must(hello->nonce.len == sizeof session->nonce, "a hello's nonce", NULL);
    memcpy(session->nonce_before, session->nonce, sizeof session->nonce);
    memcpy(session->nonce, hello->nonce.data, sizeof session->nonce);
    session->hellos++;
    arena_done(&arena);
}

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_LINK_FRAME_BYTES,
                                                .max_elements = 4096};
    struct session *session = ctx;
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    struct topic topic;
    struct err err = {0};
    (void)stream;
    must(unpack(&muster__link_down__descriptor, frame, &limits, &arena, &message, &err),
         "what the agent says to its link", &err);
    const Muster__LinkDown *down = (const Muster__LinkDown *)message;
    if (down->what_case == MUSTER__LINK_DOWN__WHAT_PUBLISH) {
        must(topic_parse(down->publish->topic, &topic, &err), "a topic", &err);
        if (topic.kind == TOPIC_UP_HELLO)
            note_hello(session, bytes_of(down->publish->payload.data, down->publish->payload.len));
    }
    arena_done(&arena);
}

static void on_opened(void *ctx, struct stream *stream)
{
    Muster__LinkState state = MUSTER__LINK_STATE__INIT;
    Muster__LinkUp up = MUSTER__LINK_UP__INIT;
    struct buf frame = {0};
    struct err err = {0};
    (void)ctx;
    state.connected = true;
    up.what_case = MUSTER__LINK_UP__WHAT_STATE;
    up.state = &state;
    must(pack(&up.base, &frame, &err) && stream_send(stream, buf_bytes(&frame), &err),
         "the link's state", &err);
    buf_done(&frame);
}

static void on_link_closed(void *ctx, struct stream *stream, const struct err *why)
{
    struct session *session = ctx;
    (void)why;
    if (stream == session->link)
        session->link = NULL;
}

void session_join(struct session *session)
{
    static const struct stream_limits limits = {.max_frame_bytes = LIMIT_LINK_FRAME_BYTES,
                                                .max_queue_bytes = LIMIT_LINK_FRAME_BYTES};
    static const struct stream_events events = {
        .opened = on_opened, .frame = on_frame, .closed = on_link_closed};
    unsigned before = session->hellos;
    char path[TERMINAL_PATH + 16];
    struct err err = {0};
    session_path(path, sizeof path, session->settings.run_dir, "link.sock");
    must(stream_connect(&session->loop, path, &limits, &events, session, &session->link, &err),
         "the link", &err);
    while (session->hellos == before)
        (void)uv_run(&session->loop, UV_RUN_ONCE);
    session_turn(session);
}

void session_leave(struct session *session)
{
    stream_close(session->link);
    while (session->link != NULL || linkport_state(session->agent->port)->joined)
        (void)uv_run(&session->loop, UV_RUN_ONCE);
}
