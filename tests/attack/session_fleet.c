/* SPDX-License-Identifier: Apache-2.0 */
/* What musterd says in a session, and what a thief of its keys says in its place. */
#include "proto/envelope.h"
#include "tests/attack/session.h"

#include <stdlib.h>
#include <string.h>

enum { STREAMS = 64 };

static char *text(const char *value)
{
    return (char *)(uintptr_t)value; /* protobuf-c has no const; it does not write */
}

static ProtobufCBinaryData binary(struct bytes bytes)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)bytes.data, .len = bytes.length};
}

static void manifest_digest(const struct session *session, uint8_t ret_digest[32])
{
    struct envelope envelope;
    struct err err = {0};
    must(envelope_read(buf_bytes(&session->manifest), &envelope, &err), "a manifest", &err);
    sha256(envelope.body, ret_digest);
}

void session_welcome(const struct session *session, struct answer *ret_answer)
{
    *ret_answer = (struct answer){.topic_device = session->strike.device,
                                  .device = session->strike.device,
                                  .context = session->strike.device,
                                  .domain = "welcome",
                                  .role = MUSTER__ROLE__ROLE_DIRECTOR,
                                  .nonce_length = sizeof session->nonce,
                                  .time_ms = session->now_ms,
                                  .root_version = session->strike.root_version,
                                  .epoch = session->strike.epoch,
                                  .version = session->strike.version};
    memcpy(ret_answer->nonce, session->nonce, sizeof session->nonce);
    manifest_digest(session, ret_answer->sha256);
}

void session_receipt(const struct session *session, struct answer *ret_answer)
{
    *ret_answer = (struct answer){.topic_device = session->strike.device,
                                  .device = session->strike.device,
                                  .context = session->strike.device,
                                  .domain = "receipt",
                                  .role = MUSTER__ROLE__ROLE_RECEIPT,
                                  .time_ms = session->now_ms,
                                  .all = true};
}

/* ---- as they are signed ---- */

struct streams {
    Muster__StreamReceipt one[STREAMS], *list[STREAMS];
    Muster__SeqRange ranges[2], *range_list[2];
    size_t count;
};

/* Of every stream that is not closed here. */
static void fill_streams(const struct session *session, const struct answer *answer,
                         struct streams *streams)
{
    struct spool_stream open[STREAMS];
    size_t count = spool_unclosed(session->agent->spool, open, STREAMS);
    must(count > 0 && count <= STREAMS, "streams", NULL);
    streams->count = count;
    for (size_t i = 0; i < count; i++) {
        Muster__StreamReceipt *one = &streams->one[i];
        muster__stream_receipt__init(one);
        one->incarnation = open[i].incarnation;
        one->lane = (Muster__Lane)(answer->lane != 0 ? answer->lane : open[i].lane);
        one->cumulative = answer->again ? 0 : open[i].last_seq + answer->beyond;
        streams->list[i] = one;
        if (!answer->backwards)
            continue;
        one->cumulative = 0;
        one->ranges = streams->range_list;
        one->n_ranges = 2;
    }
    for (size_t i = 0; i < 2; i++) {
        muster__seq_range__init(&streams->ranges[i]);
        streams->ranges[i].first = streams->ranges[i].last = 3 - 2 * i; /* 3, then 1 */
        streams->range_list[i] = &streams->ranges[i];
    }
}

static void seal_answer(const struct session *session, const struct thief *thief,
                        const struct answer *answer, const ProtobufCMessage *message,
                        struct buf *out)
{
    buf_clear(out);
    fleet_seal(&session->strike.fleet, answer->forged ? thief : NULL, answer->role, answer->domain,
               answer->context, message, out);
}

void session_seal_welcome(struct session *session, const struct thief *thief,
                          const struct answer *answer, struct buf *out)
{
    Muster__Welcome welcome = MUSTER__WELCOME__INIT;
    struct streams streams = {0};
    welcome.device = text(answer->device);
    welcome.nonce = binary(bytes_of(answer->nonce, answer->nonce_length));
    welcome.wall_ms = answer->time_ms;
    welcome.root_version = answer->root_version;
    welcome.manifest_epoch = answer->epoch;
    welcome.manifest_version = answer->version;
    welcome.manifest_sha256 = binary(bytes_of(answer->sha256, sizeof answer->sha256));
    welcome.manifest = binary(answer->manifest);
    welcome.receipt = binary(answer->receipt);
    if (answer->again) {
        fill_streams(session, answer, &streams);
        welcome.again = streams.list;
        welcome.n_again = streams.count;
    }
    seal_answer(session, thief, answer, &welcome.base, out);
}

void session_seal_receipt(struct session *session, const struct thief *thief,
                          const struct answer *answer, struct buf *out)
{
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    struct streams streams = {0};
    receipt.device = text(answer->device);
    receipt.issued_ms = answer->time_ms;
    if (answer->all) {
        fill_streams(session, answer, &streams);
        receipt.streams = streams.list;
        receipt.n_streams = streams.count;
    }
    seal_answer(session, thief, answer, &receipt.base, out);
}

/* ---- the fleet itself ---- */

const char *session_answered(struct session *session)
{
    struct answer answer;
    struct err err = {0};
    char why[FRESHNESS_WHY_CHARS];
    if (!session->agent->hello.outstanding)
        session_ask(session, 3600000);
    session_welcome(session, &answer);
    answer.manifest = buf_bytes(&session->manifest);
    session_seal_welcome(session, NULL, &answer, &session->welcome);
    if (!session_take(session, TOPIC_DOWN_WELCOME, session->strike.device,
                      buf_bytes(&session->welcome), &err))
        return "the fleet's welcome is refused";
    session_fetch(session);
    agent_look_at_freshness(session->agent, why);
    return why[0] == '\0' ? NULL : "what is held is not proved fresh";
}
