/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/intake.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mask.h"
#include "base/stream.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct intake {
    struct intake_handlers handlers;
    void *ctx;
    struct peers peers;
    struct stream_server *server;
    struct arena arena;
    uint64_t refused;
    struct log_gate gate; /* of lines that clients can cause */
};

/* Answers may come after the client has gone, so they hold on to this, not to the stream. */
struct client {
    struct intake *intake;
    struct stream *stream; /* NULL: gone */
    struct stream_peer peer;
    unsigned holders;
    unsigned later;       /* answers that are still to come, but for those to results */
    struct import import; /* what is coming in from a file over this connection */
};

struct answer {
    struct client *client;
    uint64_t request_id;
    bool later; /* counted as such */
};

/* Counts a refusal; true: it may be logged too. */
static bool refuse(struct intake *intake)
{
    intake->refused++;
    return log_gate_pass(&intake->gate, clock_boot_ms(&clock_real), "frames_refused in status");
}

static void client_release(struct client *client)
{
    if (--client->holders == 0) {
        import_end(&client->import);
        free(client);
    }
}

static void reply(struct client *client, const Muster__ClientReply *message)
{
    if (client->stream == NULL)
        return;
    struct err err = {0};
    struct buf frame = {.limit = LIMIT_CLIENT_FRAME_BYTES};
    if (!pack(&message->base, &frame, &err) ||
        !stream_send(client->stream, buf_bytes(&frame), &err)) {
        if (refuse(client->intake))
            log_warn("client: an answer could not be given: %s", err.text);
        stream_close(client->stream);
    }
    buf_done(&frame);
}

static Muster__ReplyStatus status_of(const struct err *err)
{
    switch (err->code) {
    case ERR_FULL:
        return MUSTER__REPLY_STATUS__REPLY_FULL;
    case ERR_INVALID:
    case ERR_REFUSED:
    case ERR_CONFLICT:
        return MUSTER__REPLY_STATUS__REPLY_INVALID;
    default:
        return MUSTER__REPLY_STATUS__REPLY_FAILED;
    }
}

static void reply_error(struct client *client, uint64_t request_id, const struct err *err)
{
    Muster__ClientReply message = MUSTER__CLIENT_REPLY__INIT;
    /* It may repeat what the client sent, and applications write it into logs of their own. */
    struct err told = *err;
    mask_card_numbers(told.text, strlen(told.text));
    message.id = request_id;
    message.status = status_of(err);
    message.why = told.text;
    message.refusal = (Muster__Refusal)err->reason;
    reply(client, &message);
}

static struct answer *answer_new(struct client *client, uint64_t request_id, struct err *err)
{
    struct answer *answer = calloc(1, sizeof *answer);
    if (answer == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for an answer");
        return NULL;
    }
    answer->client = client;
    answer->request_id = request_id;
    client->holders++;
    return answer;
}

static void answer_free(struct answer *answer)
{
    if (answer->later)
        answer->client->later--;
    client_release(answer->client);
    free(answer);
}

static void on_stored(void *ctx, const struct spool_record *record, const struct err *err)
{
    struct answer *answer = ctx;
    if (record == NULL) {
        reply_error(answer->client, answer->request_id, err);
        answer_free(answer);
        return;
    }
    Muster__RecordId id = MUSTER__RECORD_ID__INIT;
    id.lane = (Muster__Lane)record->lane;
    id.incarnation = record->incarnation;
    id.seq = record->seq;
    Muster__ClientReply message = MUSTER__CLIENT_REPLY__INIT;
    message.id = answer->request_id;
    message.status =
        record->duplicate ? MUSTER__REPLY_STATUS__REPLY_DUPLICATE : MUSTER__REPLY_STATUS__REPLY_OK;
    message.why = (char *)(uintptr_t)(record->duplicate ? "this key was stored before" : "");
    message.record = &id;
    reply(answer->client, &message);
    answer_free(answer);
}

static bool ask_txn(struct client *client, const Muster__ClientRequest *request, struct err *err)
{
    struct answer *answer = answer_new(client, request->id, err);
    if (answer == NULL)
        return false;
    struct intake *intake = client->intake;
    if (intake->handlers.txn(intake->ctx, request->txn, on_stored, answer, err))
        return true;
    answer_free(answer);
    return false;
}

/* The answer to what took its time; `tell` fills it. */
static void answer_with(struct answer *answer,
                        bool (*tell)(struct intake *intake, struct arena *arena,
                                     Muster__ClientReply *message, struct err *err))
{
    struct arena arena = {0};
    struct err err = {0};
    Muster__ClientReply message = MUSTER__CLIENT_REPLY__INIT;
    message.id = answer->request_id;
    message.status = MUSTER__REPLY_STATUS__REPLY_OK;
    if (tell(answer->client->intake, &arena, &message, &err))
        reply(answer->client, &message);
    else
        reply_error(answer->client, answer->request_id, &err);
    arena_done(&arena);
    answer_free(answer);
}

static bool tell_settled(struct intake *intake, struct arena *arena, Muster__ClientReply *message,
                         struct err *err)
{
    static const Muster__ImportQuery ask = MUSTER__IMPORT_QUERY__INIT;
    return intake->handlers.import(intake->ctx, NULL, &ask, arena, message, err) &&
           intake->handlers.state(intake->ctx, arena, message, err);
}

static void on_settled(void *ctx)
{
    answer_with(ctx, tell_settled);
}

static bool tell_checked(struct intake *intake, struct arena *arena, Muster__ClientReply *message,
                         struct err *err)
{
    return intake->handlers.state(intake->ctx, arena, message, err);
}

static void on_checked(void *ctx)
{
    answer_with(ctx, tell_checked);
}

static bool tell_lease(struct intake *intake, struct arena *arena, Muster__ClientReply *message,
                       struct err *err)
{
    return intake->handlers.tell_lease(intake->ctx, arena, message, err);
}

static void on_leased(void *ctx)
{
    answer_with(ctx, tell_lease);
}

/* Not each user that hands over results may decide what the application is to bear. */
static bool may_decide(const struct client *client, struct err *err)
{
    return client->peer.uid == 0 || client->peer.uid == geteuid() ||
           err_set(err, ERR_REFUSED,
                   "user %u may not decide this: only root and the agent's own user may",
                   (unsigned)client->peer.uid);
}

static bool start(struct client *client, const Muster__ClientRequest *request,
                  struct answer *answer, struct err *err)
{
    const struct intake *intake = client->intake;
    const struct intake_handlers *handlers = &intake->handlers;
    const struct intake_speaker who = {client, client->peer.uid, client->peer.pid};
    switch (request->what_case) {
    case MUSTER__CLIENT_REQUEST__WHAT_SELFCHECK:
        return handlers->selfcheck(intake->ctx, on_checked, answer, err);
    case MUSTER__CLIENT_REQUEST__WHAT_LEASE:
        return handlers->lease(intake->ctx, request->lease, &who, on_leased, answer, err);
    case MUSTER__CLIENT_REQUEST__WHAT_APPLY:
        return may_decide(client, err) &&
               handlers->apply(intake->ctx, request->apply, &who, on_checked, answer, err);
    default:
        return handlers->settle(intake->ctx, on_settled, answer, err);
    }
}

/* Answered when the registry is where it was asked to be. */
static bool ask_later(struct client *client, const Muster__ClientRequest *request, struct err *err)
{
    if (client->later == INTAKE_ANSWERS_MAX)
        return err_set(err, ERR_FULL, "%d answers of this connection are still to come",
                       INTAKE_ANSWERS_MAX);
    struct answer *answer = answer_new(client, request->id, err);
    if (answer == NULL)
        return false;
    answer->later = true;
    client->later++;
    if (start(client, request, answer, err))
        return true;
    client->later--;
    client->holders--; /* its connection, which asks, is one still */
    free(answer);
    return false;
}

static bool ask_now(struct client *client, const Muster__ClientRequest *request, struct err *err)
{
    struct intake *intake = client->intake;
    struct arena arena = {0};
    Muster__ClientReply message = MUSTER__CLIENT_REPLY__INIT;
    message.id = request->id;
    message.status = MUSTER__REPLY_STATUS__REPLY_OK;
    const struct intake_handlers *handlers = &intake->handlers;
    const struct intake_speaker who = {client, client->peer.uid, client->peer.pid};
    bool ok;
    if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_STATUS)
        ok = handlers->status(intake->ctx, &arena, &message, err);
    else if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_IMPORT)
        ok = handlers->import(intake->ctx, &client->import, request->import, &arena, &message, err);
    else if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_PLAN)
        ok = handlers->plan(intake->ctx, &arena, &message, err);
    else if (request->what_case == MUSTER__CLIENT_REQUEST__WHAT_FORGET)
        ok = may_decide(client, err) && handlers->forget(intake->ctx, request->forget, &who, err) &&
             handlers->plan(intake->ctx, &arena, &message, err);
    else
        ok = handlers->why(intake->ctx, request->why->limit, &arena, &message, err);
    if (ok)
        reply(client, &message);
    arena_done(&arena);
    return ok;
}

static bool ask(struct client *client, const Muster__ClientRequest *request, struct err *err)
{
    switch (request->what_case) {
    case MUSTER__CLIENT_REQUEST__WHAT_TXN:
        return ask_txn(client, request, err);
    case MUSTER__CLIENT_REQUEST__WHAT_SELFCHECK:
    case MUSTER__CLIENT_REQUEST__WHAT_LEASE:
    case MUSTER__CLIENT_REQUEST__WHAT_APPLY:
        return ask_later(client, request, err);
    case MUSTER__CLIENT_REQUEST__WHAT_IMPORT:
        return request->import->kind == MUSTER__IMPORT_KIND__IMPORT_SETTLE
                   ? ask_later(client, request, err)
                   : ask_now(client, request, err);
    case MUSTER__CLIENT_REQUEST__WHAT_STATUS:
    case MUSTER__CLIENT_REQUEST__WHAT_WHY:
    case MUSTER__CLIENT_REQUEST__WHAT_PLAN:
    case MUSTER__CLIENT_REQUEST__WHAT_FORGET:
        return ask_now(client, request, err);
    default:
        return err_set(err, ERR_INVALID, "the request asks for nothing this version knows");
    }
}

static bool on_accepted(void *ctx, struct stream *stream, struct stream_peer peer)
{
    struct intake *intake = ctx;
    if (!peers_allow(&intake->peers, peer.uid)) {
        if (refuse(intake))
            log_warn("client socket: process %d of user %u refused: not in client.users",
                     (int)peer.pid, (unsigned)peer.uid);
        return false;
    }
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return false;
    *client = (struct client){.intake = intake, .stream = stream, .peer = peer, .holders = 1};
    stream_set_user(stream, client);
    return true;
}

static void on_crowded(void *ctx)
{
    struct intake *intake = ctx;
    if (refuse(intake))
        log_warn("client socket: a connection refused: all of client.max are taken; raise it, or "
                 "let clients close what they do not use");
}

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    struct intake *intake = ctx;
    struct client *client = stream_user(stream);
    static const struct unpack_limits limits = {.max_bytes = LIMIT_CLIENT_FRAME_BYTES,
                                                .max_elements = 128};
    ProtobufCMessage *message = NULL;
    struct err err = {0};
    uint64_t request_id = 0;
    bool ok =
        unpack(&muster__client_request__descriptor, frame, &limits, &intake->arena, &message, &err);
    if (ok) {
        const Muster__ClientRequest *request = (const Muster__ClientRequest *)message;
        request_id = request->id;
        ok = ask(client, request, &err);
    }
    if (!ok) {
        if (refuse(intake))
            log_warn("client: a request of %zu bytes refused: %s", frame.length, err.text);
        reply_error(client, request_id, &err);
    }
    arena_done(&intake->arena);
}

static void on_closed(void *ctx, struct stream *stream, const struct err *why)
{
    struct intake *intake = ctx;
    struct client *client = stream_user(stream);
    if (why != NULL) {
        if (refuse(intake))
            log_warn("client: connection ended: %s", why->text);
    }
    if (client == NULL)
        return;
    client->stream = NULL;
    intake->handlers.gone(intake->ctx, client);
    client_release(client);
}

bool intake_open(uv_loop_t *loop, const char *path, const struct peers *peers, unsigned max_clients,
                 const struct intake_handlers *handlers, void *ctx, struct intake **ret_intake,
                 struct err *err)
{
    struct intake *intake = calloc(1, sizeof *intake);
    if (intake == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the client socket");
    intake->handlers = *handlers;
    intake->ctx = ctx;
    intake->peers = *peers;
    intake->arena.limit_bytes = (size_t)LIMIT_CLIENT_FRAME_BYTES * 8;
    const struct stream_limits limits = {
        .max_frame_bytes = LIMIT_CLIENT_FRAME_BYTES,
        .max_queue_bytes = (size_t)LIMIT_CLIENT_FRAME_BYTES * 8,
        .max_clients = max_clients,
        .partial_frame_ms = 10000,
    };
    static const struct stream_events events = {
        .accepted = on_accepted, .crowded = on_crowded, .frame = on_frame, .closed = on_closed};
    /* Who may speak is decided by SO_PEERCRED against client.users, not by the file's bits. */
    if (!stream_listen(loop, path, 0666, &limits, &events, intake, &intake->server, err)) {
        free(intake);
        return false;
    }
    *ret_intake = intake;
    return true;
}

void intake_close(struct intake *intake)
{
    if (intake == NULL || intake->server == NULL)
        return;
    stream_server_close(intake->server);
    intake->server = NULL;
}

void intake_free(struct intake *intake)
{
    free(intake);
}

uint64_t intake_refused(const struct intake *intake)
{
    return intake->refused;
}
