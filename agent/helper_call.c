/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/helper_call.h"

#include "base/stream.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_ID = 1, VERB_CHARS = 32 };

struct helper_call {
    struct stream *stream; /* NULL: gone */
    uv_timer_t timer;
    unsigned open_handles; /* the stream, the timer */
    char verb[VERB_CHARS];
    int64_t limit_ms;
    bool asked;
    void (*done)(void *ctx,
                 const struct helper_result *result); /* NULL: it was, or it is dropped */
    void *ctx;
};

static void release(struct helper_call *call)
{
    if (--call->open_handles == 0)
        free(call);
}

static void timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void finish(struct helper_call *call, enum helper_end outcome, const char *text)
{
    void (*done)(void *ctx, const struct helper_result *result) = call->done;
    const struct helper_result result = {outcome, text};
    call->done = NULL;
    if (!uv_is_closing((uv_handle_t *)&call->timer))
        uv_close((uv_handle_t *)&call->timer, timer_closed);
    if (call->stream != NULL)
        stream_close(call->stream);
    if (done != NULL)
        done(call->ctx, &result);
}

static void on_limit(uv_timer_t *timer)
{
    struct helper_call *call = timer->data;
    char text[120];
    (void)snprintf(text, sizeof text, "muster-helper did not answer within %" PRId64 " s",
                   call->limit_ms / 1000);
    finish(call, call->asked ? HELPER_NO_ANSWER : HELPER_NOT_REACHED, text);
}

static bool send_request(struct helper_call *call, struct err *err)
{
    Muster__HelperRequest request = MUSTER__HELPER_REQUEST__INIT;
    struct buf frame = {.limit = LIMIT_HELPER_FRAME_BYTES};
    request.id = CALL_ID;
    request.verb = call->verb;
    bool ok = pack(&request.base, &frame, err) && stream_send(call->stream, buf_bytes(&frame), err);
    buf_done(&frame);
    return ok;
}

static void on_opened(void *ctx, struct stream *stream)
{
    struct helper_call *call = ctx;
    struct err err = {0};
    (void)stream;
    call->asked = send_request(call, &err);
    if (!call->asked)
        finish(call, HELPER_NOT_REACHED, err.text);
}

/* A program that was killed at its limit may have done all of it before. */
static enum helper_end end_of(int outcome)
{
    if (outcome == MUSTER__HELPER_OUTCOME__HELPER_DONE)
        return HELPER_DID;
    return outcome == MUSTER__HELPER_OUTCOME__HELPER_LATE ? HELPER_NO_ANSWER : HELPER_NOT_DONE;
}

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    struct helper_call *call = ctx;
    static const struct unpack_limits limits = {.max_bytes = LIMIT_HELPER_FRAME_BYTES};
    struct arena arena = {0};
    struct err err = {0};
    ProtobufCMessage *message = NULL;
    (void)stream;
    bool good = unpack(&muster__helper_reply__descriptor, frame, &limits, &arena, &message, &err);
    const Muster__HelperReply *reply = (const Muster__HelperReply *)message;
    if (!good || reply->id != CALL_ID)
        finish(call, HELPER_NO_ANSWER, "muster-helper answered what makes no sense");
    else
        finish(call, end_of((int)reply->outcome), reply->text);
    arena_done(&arena);
}

static void on_closed(void *ctx, struct stream *stream, const struct err *why)
{
    struct helper_call *call = ctx;
    char text[320];
    (void)stream;
    call->stream = NULL;
    (void)snprintf(text, sizeof text, "muster-helper %s: %.200s",
                   call->asked ? "went away before its answer" : "is not to be reached",
                   why != NULL ? why->text : "it closed the connection");
    finish(call, call->asked ? HELPER_NO_ANSWER : HELPER_NOT_REACHED, text);
    release(call);
}

bool helper_call(uv_loop_t *loop, const char *socket, const char *verb, int64_t limit_ms,
                 void (*done)(void *ctx, const struct helper_result *result), void *ctx,
                 struct helper_call **ret_call, struct err *err)
{
    static const struct stream_limits limits = {.max_frame_bytes = LIMIT_HELPER_FRAME_BYTES,
                                                .max_queue_bytes = LIMIT_HELPER_FRAME_BYTES};
    static const struct stream_events events = {
        .opened = on_opened, .frame = on_frame, .closed = on_closed};
    struct helper_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to ask muster-helper");
    (void)snprintf(call->verb, sizeof call->verb, "%s", verb);
    call->limit_ms = limit_ms;
    call->done = done;
    call->ctx = ctx;
    if (!stream_connect(loop, socket, &limits, &events, call, &call->stream, err)) {
        free(call);
        return err_context(err, "muster-helper is not to be reached");
    }
    (void)uv_timer_init(loop, &call->timer); /* cannot fail */
    call->timer.data = call;
    call->open_handles = 2;
    (void)uv_timer_start(&call->timer, on_limit, (uint64_t)limit_ms, 0);
    *ret_call = call;
    return true;
}

void helper_call_drop(struct helper_call *call)
{
    call->done = NULL;
    finish(call, HELPER_NO_ANSWER, "");
}
