/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/envelope.h"

#include "proto/seal.h"
#include "proto/wire.h"

enum { SIGNATURE_BYTES = 64, MAX_FIELDS = 32 };

static bool read_signature(struct bytes in, struct envelope *envelope, struct err *err)
{
    if (envelope->signature_count == ENVELOPE_SIGNATURES)
        return err_set(err, ERR_INVALID, "more than %d signatures", ENVELOPE_SIGNATURES);
    struct bytes parts[2] = {{0}}; /* key id, signature */
    for (unsigned fields = 0; in.length; fields++) {
        struct wire_field field;
        if (fields == MAX_FIELDS)
            return err_set(err, ERR_INVALID, "a signature of more than %d fields", MAX_FIELDS);
        if (!wire_next(&in, &field, err))
            return false;
        if (field.number > 2)
            continue;
        struct bytes *part = &parts[field.number - 1];
        if (field.type != WIRE_LENGTH || part->data)
            return err_set(err, ERR_INVALID, "a malformed signature");
        *part = field.content;
    }
    if ((parts[0].length && parts[0].length != KEY_ID_BYTES) || parts[1].length != SIGNATURE_BYTES)
        return err_set(err, ERR_INVALID, "a signature of %zu bytes with a key id of %zu",
                       parts[1].length, parts[0].length);
    size_t at = envelope->signature_count++;
    envelope->signatures[at].key_id = parts[0];
    envelope->signatures[at].signature = parts[1];
    return true;
}

static bool read_fields(struct bytes in, struct envelope *envelope, struct err *err)
{
    for (unsigned fields = 0; in.length; fields++) {
        struct wire_field field;
        if (fields == MAX_FIELDS)
            return err_set(err, ERR_INVALID, "more than %d fields", MAX_FIELDS);
        if (!wire_next(&in, &field, err))
            return false;
        if (field.number > 2)
            continue;
        if (field.type != WIRE_LENGTH)
            return err_set(err, ERR_INVALID, "a value of another type than its field");
        if (field.number == 2) {
            if (!read_signature(field.content, envelope, err))
                return false;
            continue;
        }
        /* protobuf would take the last of two bodies, others the first: nobody may have to. */
        if (envelope->body.data)
            return err_set(err, ERR_INVALID, "more than one body");
        envelope->body = field.content;
    }
    return true;
}

bool envelope_read_any(struct bytes in, struct envelope *ret_envelope, struct err *err)
{
    struct envelope envelope = {0};
    if (!read_fields(in, &envelope, err))
        return err_context(err, "envelope");
    if (!envelope.body.data)
        return err_set(err, ERR_INVALID, "envelope: no body");
    *ret_envelope = envelope;
    return true;
}

bool envelope_read(struct bytes in, struct envelope *ret_envelope, struct err *err)
{
    struct envelope envelope;
    if (!envelope_read_any(in, &envelope, err))
        return false;
    if (!envelope.signature_count)
        return err_set(err, ERR_INVALID, "envelope: no signature");
    *ret_envelope = envelope;
    return true;
}
