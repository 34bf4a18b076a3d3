/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/client_txn.h"

#include "agent/client_internal.h"
#include "agent/txn_checks.h"
#include "base/utf8.h"
#include "proto/local.pb-c.h"

#include <stdio.h>
#include <string.h>

enum {
    /* An answer to a result is small; protobuf-c multiplies what it is given. */
    REPLY_MAX_BYTES = 4096,
};

/* The public header repeats the numbers of record.proto, so that it stands by itself. */
_Static_assert((int)MUSTER_TXN_SETTLEMENT == (int)MUSTER__TXN_TYPE__TXN_TYPE_SETTLEMENT, "");
_Static_assert((int)MUSTER_ENTRY_QR == (int)MUSTER__ENTRY_MODE__ENTRY_MODE_QR, "");
_Static_assert((int)MUSTER_FALLBACK_READ_RECORD ==
                   (int)MUSTER__FALLBACK_REASON__FALLBACK_READ_RECORD,
               "");
_Static_assert((int)MUSTER_OUTCOME_READ_FAILED == (int)MUSTER__OUTCOME__OUTCOME_READ_FAILED, "");
_Static_assert((int)MUSTER_CODE_REVERSAL == (int)MUSTER__CODE_SOURCE__CODE_SOURCE_REVERSAL, "");
_Static_assert((int)MUSTER_NETWORK_5G == (int)MUSTER__NETWORK_TYPE__NETWORK_5G, "");

static bool check(const struct muster_txn *txn, struct err *err)
{
    if (txn->outcome == MUSTER_OUTCOME_UNKNOWN)
        return err_set(err, ERR_INVALID, "outcome is missing: expected approved, declined, ...");
#define TXN_LENGTH(name) txn->name.length
#include "agent/txn_checks.def"
    return true;
}

/* protobuf-c's fields are not const, though packing only reads. */
static ProtobufCBinaryData binary(const void *data, size_t length)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = length};
}

static char *text_or_empty(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

static Muster__TxnResult message_of(const struct muster_txn *txn, struct bytes key)
{
    Muster__TxnResult message = MUSTER__TXN_RESULT__INIT;
#define TXN_KEY(name, flag, help) message.name = binary(key.data, key.length);
#define TXN_NUMBER(name, flag, max, help) message.name = txn->name;
#define TXN_SIGNED(name, flag, min, max, help) message.name = txn->name;
#define TXN_ENUM(name, flag, type, descriptor, prefix, help) message.name = (type)txn->name;
#define TXN_TEXT(name, flag, max_bytes, alphanumeric, help) message.name = text_or_empty(txn->name);
#define TXN_BYTES(name, flag, min_bytes, max_bytes, help)                                          \
    message.name = binary(txn->name.data, txn->name.length);
#define TXN_BOOL(name, flag, help) message.name = txn->name;
#include "agent/txn_fields.def"
    return message;
}

bool client_txn_pack(const struct muster_txn *txn, struct bytes key, const uint8_t *generation,
                     uint64_t request_id, struct buf *out, struct err *err)
{
    if (key.length < 1 || key.length > CLIENT_KEY_BYTES)
        return err_set(err, ERR_INVALID, "idempotency_key has %zu bytes: expected 1 to %d",
                       key.length, CLIENT_KEY_BYTES);
    if (!check(txn, err))
        return false;
    Muster__TxnResult message = message_of(txn, key);
    if (generation != NULL)
        message.generation = binary(generation, CLIENT_GENERATION_BYTES);
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    request.id = request_id;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_TXN;
    request.txn = &message;
    size_t length = muster__client_request__get_packed_size(&request);
    uint8_t *to = buf_reserve(out, length, err);
    if (to == NULL)
        return false;
    out->length += muster__client_request__pack(&request, to);
    return true;
}

enum muster_status client_reply_status(int status)
{
    switch (status) {
    case MUSTER__REPLY_STATUS__REPLY_OK:
        return MUSTER_STORED;
    case MUSTER__REPLY_STATUS__REPLY_DUPLICATE:
        return MUSTER_DUPLICATE;
    case MUSTER__REPLY_STATUS__REPLY_INVALID:
        return MUSTER_INVALID;
    case MUSTER__REPLY_STATUS__REPLY_FULL:
        return MUSTER_FULL;
    default:
        return MUSTER_FAILED;
    }
}

/* One line of UTF-8, whoever it was that answered. */
void client_copy_text(const char *why, char *out, size_t size)
{
    (void)snprintf(out, size, "%s", why);
    utf8_clean(out); /* it may have been cut */
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

/* Only an answer that names the record says that there is one. */
static bool reply_of(const Muster__ClientReply *message, struct client_reply *reply,
                     struct err *err)
{
    struct muster_answer *answer = &reply->answer;
    answer->status = client_reply_status((int)message->status);
    bool stored = answer->status == MUSTER_STORED || answer->status == MUSTER_DUPLICATE;
    if (message->record != NULL) {
        answer->incarnation = message->record->incarnation;
        answer->seq = message->record->seq;
    }
    if (stored && answer->seq == 0)
        return err_set(err, ERR_IO, "an answer that says stored and names no record");
    if (!stored)
        client_copy_text(message->why, answer->text, sizeof answer->text);
    return true;
}

bool client_reply_id(struct bytes frame, uint64_t *ret_id, bool *ret_ok, struct err *err)
{
    Muster__ClientReply *message = NULL;
    if (frame.length <= REPLY_MAX_BYTES)
        message = muster__client_reply__unpack(NULL, frame.length, frame.data);
    if (message == NULL)
        return err_set(err, ERR_IO, "%zu bytes that are no answer", frame.length);
    *ret_id = message->id;
    *ret_ok = message->status == MUSTER__REPLY_STATUS__REPLY_OK;
    muster__client_reply__free_unpacked(message, NULL);
    return true;
}

bool client_txn_unpack(struct bytes frame, struct client_reply *ret_reply, struct err *err)
{
    Muster__ClientReply *message = NULL;
    if (frame.length <= REPLY_MAX_BYTES)
        message = muster__client_reply__unpack(NULL, frame.length, frame.data);
    if (message == NULL)
        return err_set(err, ERR_IO, "%zu bytes that are no answer", frame.length);
    struct client_reply reply = {.request_id = message->id};
    bool ok = reply_of(message, &reply, err);
    muster__client_reply__free_unpacked(message, NULL);
    if (ok)
        *ret_reply = reply;
    return ok;
}
