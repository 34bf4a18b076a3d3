/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/helper.h"

#include "agent/peers.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/stream.h"
#include "base/utf8.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS_MAX = 4, TEXT_BYTES = 400, PARTIAL_FRAME_MS = 5000 };

struct helper {
    const struct helper_settings *settings;
    uv_loop_t *loop;
    struct peers peers;
    struct stream_server *server;
    struct stream *asker; /* of what runs; NULL: it has gone */
    uint64_t id;          /* of the request that runs */
    bool runs;
    bool closing;
    char verb[32];
    struct log_gate gate;
};

static void answer(struct stream *stream, uint64_t id, Muster__HelperOutcome outcome,
                   const char *text)
{
    Muster__HelperReply reply = MUSTER__HELPER_REPLY__INIT;
    struct buf frame = {.limit = LIMIT_HELPER_FRAME_BYTES};
    struct err err = {0};
    reply.id = id;
    reply.outcome = outcome;
    reply.text = (char *)(uintptr_t)text;
    if (!pack(&reply.base, &frame, &err) || !stream_send(stream, buf_bytes(&frame), &err))
        log_warn("an answer was not given: %s", err.text);
    buf_done(&frame);
}

/* ---- what runs ---- */

static void describe(const struct helper *helper, const struct child_result *result,
                     char text[TEXT_BYTES])
{
    if (result->timed_out)
        (void)snprintf(text, TEXT_BYTES, "%s did not end within %" PRId64 " s and was killed",
                       helper->verb, helper->settings->limit_ms / 1000);
    else if (result->signal != 0)
        (void)snprintf(text, TEXT_BYTES, "%s was ended by signal %d", helper->verb, result->signal);
    else if (result->exit_status != 0)
        (void)snprintf(text, TEXT_BYTES, "%s ended with exit %d: %.300s", helper->verb,
                       result->exit_status, result->output);
    else
        (void)snprintf(text, TEXT_BYTES, "%.380s", result->output);
    utf8_clean(text);
}

static void on_done(void *ctx, const struct child_result *result)
{
    struct helper *helper = ctx;
    char text[TEXT_BYTES];
    bool well = !result->timed_out && result->signal == 0 && result->exit_status == 0;
    helper->runs = false;
    describe(helper, result, text);
    log_info("%s: %s%s", helper->verb, well ? "done" : "not done: ", well ? "" : text);
    if (helper->asker != NULL)
        answer(helper->asker, helper->id,
               well                ? MUSTER__HELPER_OUTCOME__HELPER_DONE
               : result->timed_out ? MUSTER__HELPER_OUTCOME__HELPER_LATE
                                   : MUSTER__HELPER_OUTCOME__HELPER_FAILED,
               text);
    helper->asker = NULL;
}

static bool run(struct helper *helper, const char *command, struct err *err)
{
    char words[HELPER_COMMAND_BYTES], *argv[HELPER_WORDS_MAX + 1];
    (void)snprintf(words, sizeof words, "%s", command);
    return helper_words(words, argv, err) && helper_program_check(argv[0], err) &&
           child_run(helper->loop, argv, NULL, "/", helper->settings->limit_ms, on_done, helper,
                     err);
}

/* ---- who asks ---- */

static void begin(struct helper *helper, struct stream *stream,
                  const Muster__HelperRequest *request)
{
    struct err err = {0};
    const char *command = helper_command(helper->settings, request->verb);
    if (command == NULL) {
        if (log_gate_pass(&helper->gate, clock_boot_ms(&clock_real), "this log"))
            log_warn("a verb that is not on the list was refused: %.32s", request->verb);
        answer(stream, request->id, MUSTER__HELPER_OUTCOME__HELPER_REFUSED,
               "not on the list of muster-helper's settings");
        return;
    }
    if (helper->runs) {
        answer(stream, request->id, MUSTER__HELPER_OUTCOME__HELPER_BUSY,
               "muster-helper is busy with another verb");
        return;
    }
    (void)snprintf(helper->verb, sizeof helper->verb, "%s", request->verb);
    helper->runs = run(helper, command, &err);
    if (!helper->runs) {
        log_error("%s: %s", helper->verb, err.text);
        answer(stream, request->id, MUSTER__HELPER_OUTCOME__HELPER_FAILED, err.text);
        return;
    }
    log_warn("%s: asked for, begun", helper->verb);
    helper->asker = stream;
    helper->id = request->id;
}

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_HELPER_FRAME_BYTES,
                                                .max_elements = 8};
    struct arena arena = {.limit_bytes = 4 * (size_t)LIMIT_HELPER_FRAME_BYTES};
    struct err err = {0};
    ProtobufCMessage *message = NULL;
    if (unpack(&muster__helper_request__descriptor, frame, &limits, &arena, &message, &err)) {
        begin(ctx, stream, (const Muster__HelperRequest *)message);
    } else {
        log_warn("a request that makes no sense: %s", err.text);
        stream_close(stream);
    }
    arena_done(&arena);
}

static bool on_accepted(void *ctx, struct stream *stream, struct stream_peer peer)
{
    struct helper *helper = ctx;
    (void)stream;
    if (peers_allow(&helper->peers, peer.uid))
        return true;
    if (log_gate_pass(&helper->gate, clock_boot_ms(&clock_real), "this log"))
        log_warn("user %u (process %d) may not ask: see helper.users", (unsigned)peer.uid,
                 (int)peer.pid);
    return false;
}

static void on_closed(void *ctx, struct stream *stream, const struct err *why)
{
    struct helper *helper = ctx;
    (void)why;
    if (helper->asker == stream)
        helper->asker = NULL; /* what was begun goes on */
}

bool helper_open(uv_loop_t *loop, const struct helper_settings *settings,
                 struct helper **ret_helper, struct err *err)
{
    static const struct stream_limits limits = {.max_frame_bytes = LIMIT_HELPER_FRAME_BYTES,
                                                .max_queue_bytes = 4 * LIMIT_HELPER_FRAME_BYTES,
                                                .max_clients = CLIENTS_MAX,
                                                .partial_frame_ms = PARTIAL_FRAME_MS};
    static const struct stream_events events = {
        .accepted = on_accepted, .frame = on_frame, .closed = on_closed};
    struct helper *helper = calloc(1, sizeof *helper);
    if (helper == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory");
    helper->settings = settings;
    helper->loop = loop;
    /* Who may ask is decided by SO_PEERCRED against helper.users. */
    if (!peers_parse(settings->users, &helper->peers, err) ||
        !stream_listen(loop, settings->socket, 0666, &limits, &events, helper, &helper->server,
                       err)) {
        free(helper);
        return false;
    }
    *ret_helper = helper;
    return true;
}

void helper_close(struct helper *helper)
{
    if (helper == NULL || helper->closing)
        return;
    helper->closing = true;
    stream_server_close(helper->server);
}

void helper_free(struct helper *helper)
{
    free(helper);
}
