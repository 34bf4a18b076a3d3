/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/decode_kinds.h"

#include "proto/batch.pb-c.h"
#include "proto/envelope.h"
#include "proto/hello.pb-c.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/online.pb-c.h"
#include "proto/topics.h"

#include <string.h>

static bool root_fits(const ProtobufCMessage *message)
{
    const Muster__Root *root = (const Muster__Root *)message;
    return root->version > 0 && root->n_roles > 0 && root->roles[0]->n_keys > 0;
}

static bool document_fits(const ProtobufCMessage *message)
{
    const Muster__DocumentHeader *header = (const Muster__DocumentHeader *)message;
    return document_name_valid(header->name) && header->sha256.len == 32;
}

static bool manifest_fits(const ProtobufCMessage *message)
{
    const Muster__Manifest *manifest = (const Muster__Manifest *)message;
    return device_id_valid(manifest->device) && manifest->version > 0;
}

static bool welcome_fits(const ProtobufCMessage *message)
{
    const Muster__Welcome *welcome = (const Muster__Welcome *)message;
    return device_id_valid(welcome->device) && welcome->nonce.len == 16;
}

static bool receipt_fits(const ProtobufCMessage *message)
{
    const Muster__Receipt *receipt = (const Muster__Receipt *)message;
    return device_id_valid(receipt->device) &&
           (receipt->n_streams > 0 || receipt->n_undecodable > 0);
}

static bool hello_fits(const ProtobufCMessage *message)
{
    return ((const Muster__Hello *)message)->nonce.len == 16;
}

static bool batch_fits(const ProtobufCMessage *message)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd}; /* RFC 8878 */
    const Muster__Batch *batch = (const Muster__Batch *)message;
    if (batch->dictionary != 0)
        return batch->frame.len == 0 && batch->body.len > 0;
    return batch->frame.len > sizeof magic && memcmp(batch->frame.data, magic, sizeof magic) == 0;
}

static bool kept_fits(const ProtobufCMessage *message)
{
    const Muster__KeptReceipts *kept = (const Muster__KeptReceipts *)message;
    struct envelope envelope;
    return kept->n_receipts > 0 &&
           envelope_read(bytes_of(kept->receipts[0].data, kept->receipts[0].len), &envelope, NULL);
}

static bool online_fits(const ProtobufCMessage *message)
{
    const Muster__Online *online = (const Muster__Online *)message;
    return online->boot != 0 && online->began_ms != 0 && !(online->online && online->goodbye);
}

static bool request_fits(const ProtobufCMessage *message)
{
    const Muster__ClientRequest *request = (const Muster__ClientRequest *)message;
    return request->what_case == MUSTER__CLIENT_REQUEST__WHAT_TXN
               ? request->txn->outcome != MUSTER__OUTCOME__OUTCOME_UNKNOWN
               : request->what_case != MUSTER__CLIENT_REQUEST__WHAT__NOT_SET;
}

static bool reply_fits(const ProtobufCMessage *message)
{
    return ((const Muster__ClientReply *)message)->status != MUSTER__REPLY_STATUS__REPLY_UNKNOWN;
}

static bool is_topic(const char *text)
{
    struct topic topic;
    return topic_parse(text, &topic, NULL);
}

static bool up_fits(const ProtobufCMessage *message)
{
    const Muster__LinkUp *up = (const Muster__LinkUp *)message;
    switch (up->what_case) {
    case MUSTER__LINK_UP__WHAT_MESSAGE:
        return is_topic(up->message->topic);
    case MUSTER__LINK_UP__WHAT_STATE:
        return !is_topic(up->state->broker);
    default:
        return up->what_case != MUSTER__LINK_UP__WHAT__NOT_SET;
    }
}

static bool down_fits(const ProtobufCMessage *message)
{
    const Muster__LinkDown *down = (const Muster__LinkDown *)message;
    if (down->what_case == MUSTER__LINK_DOWN__WHAT_PUBLISH)
        return is_topic(down->publish->topic);
    return down->what_case != MUSTER__LINK_DOWN__WHAT__NOT_SET;
}

#define DIRECTOR MUSTER__ROLE__ROLE_DIRECTOR
#define SEALED(name, message, limit, fits, role, of_device)                                        \
    {                                                                                              \
        name, &muster__##message##__descriptor, limit, fits, name, role, of_device, false          \
    }
#define LOCAL(name, message, limit, fits)                                                          \
    {                                                                                              \
        name, &muster__##message##__descriptor, limit, fits, NULL, MUSTER__ROLE__ROLE_UNKNOWN,     \
            false, true                                                                            \
    }
#define PART(name, message, limit, fits)                                                           \
    {                                                                                              \
        name, &muster__##message##__descriptor, limit, fits, NULL, MUSTER__ROLE__ROLE_UNKNOWN,     \
            false, false                                                                           \
    }

const struct decode_kind decode_kinds[] = {
    SEALED("root", root, LIMIT_ROOT_BYTES, root_fits, MUSTER__ROLE__ROLE_ROOT, false),
    SEALED("document", document_header, LIMIT_DOCUMENT_HEADER_BYTES, document_fits,
           MUSTER__ROLE__ROLE_RELEASE, false),
    SEALED("manifest", manifest, LIMIT_MANIFEST_BYTES, manifest_fits, DIRECTOR, true),
    SEALED("welcome", welcome, LIMIT_WELCOME_BYTES, welcome_fits, DIRECTOR, true),
    SEALED("receipt", receipt, LIMIT_RECEIPT_BYTES, receipt_fits, MUSTER__ROLE__ROLE_RECEIPT, true),
    SEALED("hello", hello, LIMIT_HELLO_BYTES, hello_fits, MUSTER__ROLE__ROLE_UNKNOWN, true),
    SEALED("batch", batch, LIMIT_BATCH_WIRE_BYTES, batch_fits, MUSTER__ROLE__ROLE_UNKNOWN, true),
    PART("kept-receipts", kept_receipts, 4 * LIMIT_RECEIPT_BYTES, kept_fits),
    PART("online", online, LIMIT_ONLINE_BYTES, online_fits),
    LOCAL("client-request", client_request, LIMIT_CLIENT_FRAME_BYTES, request_fits),
    LOCAL("client-reply", client_reply, LIMIT_CLIENT_FRAME_BYTES, reply_fits),
    LOCAL("link-up", link_up, LIMIT_LINK_FRAME_BYTES, up_fits),
    LOCAL("link-down", link_down, LIMIT_LINK_FRAME_BYTES, down_fits),
    PART("txn", txn_result, LIMIT_TXN_BYTES, NULL),
    PART("event", event, LIMIT_RECORD_BYTES, NULL),
    PART("health", health, LIMIT_RECORD_BYTES, NULL),
    PART("clock", clock_sight, LIMIT_RECORD_BYTES, NULL),
    PART("open", open, LIMIT_RECORD_BYTES, NULL),
    PART("state", state_report, LIMIT_RECORD_BYTES, NULL),
    PART("apply", apply_report, LIMIT_RECORD_BYTES, NULL),
    PART("package", package_report, LIMIT_RECORD_BYTES, NULL),
    PART("item", item_report, LIMIT_RECORD_BYTES, NULL),
};
const size_t decode_kind_count = sizeof decode_kinds / sizeof decode_kinds[0];

const struct decode_kind *decode_kind_named(const char *name)
{
    for (size_t i = 0; i < decode_kind_count; i++)
        if (strcmp(decode_kinds[i].name, name) == 0)
            return &decode_kinds[i];
    return NULL;
}

const char *decode_device_of(const ProtobufCMessage *message)
{
    if (message->descriptor == &muster__manifest__descriptor)
        return ((const Muster__Manifest *)message)->device;
    if (message->descriptor == &muster__welcome__descriptor)
        return ((const Muster__Welcome *)message)->device;
    if (message->descriptor == &muster__receipt__descriptor)
        return ((const Muster__Receipt *)message)->device;
    return NULL;
}
