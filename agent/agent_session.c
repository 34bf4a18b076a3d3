/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_parts.h"

#include "agent/hello_fit.h"
#include "base/log.h"
#include "proto/hello.pb-c.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <string.h>

enum {
    HELLO_STREAMS = 64,
    SEAL_BYTES = 256, /* what the envelope adds, generously */
};

static char *text(const char *value)
{
    return (char *)(uintptr_t)value; /* protobuf-c has no const; it does not write */
}

static ProtobufCBinaryData binary(const void *data, size_t length)
{
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)(uintptr_t)data};
}

/* ---- hello ---- */

static bool add_streams(struct agent *agent, struct arena *arena, Muster__Hello *hello)
{
    struct spool_stream streams[HELLO_STREAMS];
    size_t count = spool_unclosed(agent->spool, streams, HELLO_STREAMS);
    hello->streams_cut = count > HELLO_STREAMS;
    count = hello->streams_cut ? HELLO_STREAMS : count;
    hello->streams = arena_alloc(arena, (count + 1) * sizeof *hello->streams);
    if (hello->streams == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        Muster__OpenStream *stream = arena_alloc(arena, sizeof *stream);
        if (stream == NULL)
            return false;
        *stream = (Muster__OpenStream)MUSTER__OPEN_STREAM__INIT;
        stream->incarnation = streams[i].incarnation;
        stream->lane = (Muster__Lane)streams[i].lane;
        stream->last_seq = streams[i].last_seq;
        hello->streams[hello->n_streams++] = stream;
    }
    return true;
}

/* What the link listens for, unless it comes: the rest of what is lacking comes in its turn. */
static bool add_lacks(struct agent *agent, struct arena *arena, Muster__Hello *hello)
{
    const struct content_wait *content = &agent->content;
    hello->lacks = arena_alloc(arena, (content->count + 1) * sizeof *hello->lacks);
    if (hello->lacks == NULL)
        return false;
    const size_t count = content_wait_comes(content) ? 0 : content->count;
    for (size_t i = 0; i < count; i++)
        hello->lacks[hello->n_lacks++] = binary(content->blobs[i], 32);
    return true;
}

/* A health record is made so often, and rides along or leaves alone: nothing keeps it longer. */
static uint32_t silence_s(const struct agent_settings *settings)
{
    int64_t record_ms = settings->probe_record_ms > settings->probe_every_ms
                            ? settings->probe_record_ms
                            : settings->probe_every_ms;
    return (uint32_t)((record_ms + settings->probe_alone_ms + 999) / 1000);
}

static bool seal_hello(struct agent *agent, const uint8_t nonce[16], struct buf *envelope,
                       struct err *err)
{
    struct arena arena = {0};
    struct buf body = {.limit = LIMIT_HELLO_BYTES};
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    hello.nonce = binary(nonce, 16);
    hello.wall_ms = clock_wall_ms(agent->clock);
    agent->hello_asked_ms = clock_boot_ms(agent->clock);
    hello.boot_ms = (uint64_t)agent->hello_asked_ms;
    hello.sight_fleet_ms = agent->timekeeper.sight.fleet_ms;
    hello.sight_asked_ms = (uint64_t)agent->timekeeper.sight.asked_ms;
    hello.sight_came_ms = (uint64_t)agent->timekeeper.sight.came_ms;
    hello.boot_id = binary(agent->boot_id, sizeof agent->boot_id);
    hello.incarnation = spool_incarnation(agent->spool);
    hello.agent_version = text(MUSTER_VERSION);
    hello.serial = text(agent->settings->serial);
    hello.model = text(agent->settings->model);
    hello.root_version = trust_version(agent->trust);
    hello.starts = spool_starts(agent->spool);
    hello.receipt_pace_s = (uint32_t)(agent->settings->uplink_receipts_ms / 1000);
    hello.silence_s = silence_s(agent->settings);
    ProtobufCBinaryData receipts[PROOFS_STREAMS];
    hello.receipts = receipts;
    hello.n_receipts = proofs_newest(&agent->proofs, receipts);
    bool ok = agent_state(agent, &arena, &state, err);
    hello.state = &state;
    if (ok && !(add_streams(agent, &arena, &hello) && add_lacks(agent, &arena, &hello)))
        ok = err_set(err, ERR_NO_MEMORY, "no memory for a hello");
    if (ok)
        hello_fit(&hello, LIMIT_HELLO_BYTES - SEAL_BYTES);
    ok = ok && pack(&hello.base, &body, err) &&
         seal("hello", agent->settings->device, buf_bytes(&body),
              (const struct sign_key *const *)&agent->key, 1, false, envelope, err);
    buf_done(&body);
    arena_done(&arena);
    return ok;
}

void agent_say_hello(struct agent *agent)
{
    char topic[TOPIC_CHARS];
    uint8_t nonce[16];
    struct err err = {0};
    struct buf envelope = {.limit = LIMIT_HELLO_BYTES};
    topic_device(TOPIC_UP_HELLO, agent->settings->device, topic);
    random_bytes(nonce, sizeof nonce);
    if (!seal_hello(agent, nonce, &envelope, &err) ||
        !linkport_publish(agent->port, HELLO_TOKEN, topic, buf_bytes(&envelope), &err))
        log_warn("hello not said, it will be tried again: %s", err.text);
    else if (!content_wait_comes(&agent->content))
        content_wait_named(&agent->content, clock_boot_ms(agent->clock));
    hello_sent(&agent->hello, nonce, clock_boot_ms(agent->clock), random_u64());
    buf_done(&envelope);
}

/* ---- what comes down ---- */

/* The parts carry signatures of their own: one that does not hold spoils neither the other nor
 * the proof of freshness. */
static void take_welcome_parts(struct agent *agent, const Muster__Welcome *welcome)
{
    struct err err = {0};
    agent_take_again(agent, welcome);
    if (!agent->closing && welcome->manifest.len > 0 &&
        !agent_take_manifest(agent, bytes_of(welcome->manifest.data, welcome->manifest.len), false,
                             &err))
        log_warn("the manifest in a welcome was refused: %s", err.text);
}

static bool take_welcome(struct agent *agent, struct bytes envelope, struct arena *arena,
                         struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_WELCOME_BYTES,
                                                .max_elements = 16384};
    struct bytes body;
    ProtobufCMessage *message = NULL;
    if (envelope.length > LIMIT_WELCOME_BYTES)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
                      "a welcome of %zu bytes, at most %d are allowed", envelope.length,
                      LIMIT_WELCOME_BYTES);
    if (!unseal("welcome", agent->settings->device, envelope,
                trust_keys(agent->trust, MUSTER__ROLE__ROLE_DIRECTOR), &body, err) ||
        !unpack(&muster__welcome__descriptor, body, &limits, arena, &message, err))
        return refuse_unread(err, MUSTER__REFUSAL__REFUSAL_SIGNATURE);
    const Muster__Welcome *welcome = (const Muster__Welcome *)message;
    if (strcmp(welcome->device, agent->settings->device) != 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DEVICE, ERR_REFUSED, "a welcome for device %s",
                      welcome->device);
    /* Content that is lacking is asked for in its own time: see content_wait. */
    if (!hello_welcomed(&agent->hello, welcome->nonce.data, welcome->nonce.len,
                        agent_is_behind(agent, welcome), clock_boot_ms(agent->clock), random_u64()))
        return refuse(err, MUSTER__REFUSAL__REFUSAL_WELCOME_NONCE, ERR_REFUSED,
                      "a welcome that does not answer the newest hello");
    agent->last_welcome_ms = clock_wall_ms(agent->clock);
    agent->fleet_at_boot_ms = welcome->wall_ms - clock_boot_ms(agent->clock);
    agent_clock_welcomed(agent, welcome->wall_ms);
    if (welcome->refusal[0] != '\0')
        log_warn("the fleet refuses this device: %s", welcome->refusal);
    agent_note_welcome(agent, welcome);
    take_welcome_parts(agent, welcome);
    uplink_welcomed(&agent->sender.uplink);
    return true;
}

static bool take_blob(struct agent *agent, const struct topic *topic, struct bytes payload,
                      struct err *err)
{
    if (!registrar_blob(agent->registrar, topic->sha256, payload, err))
        return false;
    content_wait_came(&agent->content, clock_boot_ms(agent->clock));
    return true;
}

static bool take(struct agent *agent, const struct topic *topic, struct bytes payload,
                 struct arena *arena, struct err *err)
{
    switch (topic->kind) {
    case TOPIC_DOWN_RECEIPT:
        return agent_take_receipt(agent, payload, err);
    case TOPIC_DOWN_MANIFEST:
        return agent_take_manifest(agent, payload, false, err);
    case TOPIC_DOWN_WELCOME:
        return take_welcome(agent, payload, arena, err);
    case TOPIC_TRUST:
        return agent_take_root(agent, topic->version, payload, err);
    case TOPIC_BLOB:
        return take_blob(agent, topic, payload, err);
    default:
        return err_set(err, ERR_REFUSED, "nothing for a terminal is said on this topic");
    }
}

static const char *what_came(enum topic_kind kind)
{
    return kind == TOPIC_BLOB           ? "a blob is not accepted"
           : kind == TOPIC_DOWN_RECEIPT ? "a receipt is not accepted"
                                        : "a welcome is not accepted";
}

static void message_refused(struct agent *agent, const char *name, const struct topic *topic,
                            size_t bytes, const struct err *why)
{
    agent->messages_refused++;
    /* Manifests and roots are told where they are refused. */
    if (topic->kind == TOPIC_DOWN_WELCOME || topic->kind == TOPIC_DOWN_RECEIPT ||
        topic->kind == TOPIC_BLOB)
        registrar_refused(agent->registrar, what_came(topic->kind), why);
    if (log_gate_pass(&agent->gate, clock_boot_ms(agent->clock), "frames_refused in status"))
        log_warn("%zu bytes on %.96s refused (%s): %s", bytes, name, err_code_name(why->code),
                 why->text);
}

bool agent_take_message(struct agent *agent, const char *name, struct bytes payload,
                        struct err *err)
{
    struct topic topic = {0};
    struct arena arena = {.limit_bytes = (size_t)LIMIT_WELCOME_BYTES * 4};
    struct err why = {0};
    bool ok = topic_parse(name, &topic, &why);
    if (ok && topic.device[0] != '\0' && strcmp(topic.device, agent->settings->device) != 0)
        ok = refuse(&why, MUSTER__REFUSAL__REFUSAL_DEVICE, ERR_REFUSED, "a message for device %s",
                    topic.device);
    ok = ok && take(agent, &topic, payload, &arena, &why);
    arena_done(&arena);
    if (!ok && topic.kind == TOPIC_BLOB && why.code == ERR_NOT_FOUND)
        log_debug("%s", why.text); /* a retained blob comes again with each subscription */
    else if (!ok)
        message_refused(agent, name, &topic, payload.length, &why);
    if (!ok && err != NULL)
        *err = why;
    agent_pump(agent);
    return ok;
}
