/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/header.h"

#include "proto/limits.h"
#include "proto/package.h"
#include "proto/refusal.h"
#include "proto/topics.h"
#include "proto/unpack.h"
#include "proto/validate.h"

#include <inttypes.h>
#include <string.h>

static Muster__Role signer_of(Muster__DocumentKind kind)
{
    return kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK ? MUSTER__ROLE__ROLE_CUSTODIAN
                                                             : MUSTER__ROLE__ROLE_RELEASE;
}

static bool signed_as(const struct trust *trust, Muster__Role role, struct bytes envelope,
                      struct bytes *ret_body, struct err *err)
{
    return unseal("document", "", envelope, trust_keys(trust, role), ret_body, err) ||
           refuse_unread(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_SIGNATURE);
}

/* Which role had to sign stands in what is signed: so either role's keys may vouch for the bytes
 * that are read, and then those of the kind must. */
static bool header_read(const struct trust *trust, struct bytes envelope, struct arena *arena,
                        const Muster__DocumentHeader **ret_header, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_DOCUMENT_HEADER_BYTES};
    Muster__Role role = MUSTER__ROLE__ROLE_RELEASE;
    struct bytes body;
    struct err why = {0};
    ProtobufCMessage *message;
    if (!signed_as(trust, role, envelope, &body, &why)) {
        role = MUSTER__ROLE__ROLE_CUSTODIAN;
        if (!signed_as(trust, role, envelope, &body, NULL)) {
            if (err != NULL)
                *err = why;
            return false;
        }
    }
    if (body.length > LIMIT_DOCUMENT_HEADER_BYTES)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_TOO_LARGE, ERR_INVALID,
                      "a document's header of %zu bytes, at most %d are allowed", body.length,
                      LIMIT_DOCUMENT_HEADER_BYTES);
    if (!unpack(&muster__document_header__descriptor, body, &limits, arena, &message, err))
        return refuse_unread(err, MUSTER__REFUSAL__REFUSAL_MALFORMED);
    const Muster__DocumentHeader *header = (const Muster__DocumentHeader *)message;
    if (signer_of(header->kind) != role &&
        !signed_as(trust, signer_of(header->kind), envelope, &body, err))
        return false;
    *ret_header = header;
    return true;
}

static bool kind_check(const Muster__DocumentHeader *header, const char *device, struct err *err)
{
    if (strcmp(validate_kind_name(header->kind), "unknown") == 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_KIND, ERR_REFUSED,
                      "%s: kind %d is not known to this agent", header->name, (int)header->kind);
    bool sealed = header->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    if (!sealed && header->scope != MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_SCOPE, ERR_INVALID, "%s: scope %d",
                      header->name, (int)header->scope);
    if (!sealed && header->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_SCOPE, ERR_REFUSED,
                      "%s: a key block that is not sealed", header->name);
    if ((sealed || header->device[0] != '\0') && strcmp(header->device, device) != 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_DEVICE, ERR_REFUSED,
                      "%s: it is for another device", header->name);
    return true;
}

static bool version_check(const Muster__DocumentHeader *header, uint64_t epoch, struct err *err)
{
    if (header->epoch != epoch)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_EPOCH, ERR_REFUSED,
                      "%s: of epoch %" PRIu64 ", that of the root in force is %" PRIu64,
                      header->name, header->epoch, epoch);
    if (header->version == 0 || header->version > LIMIT_VERSION)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_VERSION, ERR_INVALID,
                      "%s: version %" PRIu64 ", 1 to 2^53 are allowed", header->name,
                      header->version);
    if (header->version < header->minimum_version)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_VERSION, ERR_INVALID,
                      "%s: version %" PRIu64 " is below its own minimum %" PRIu64, header->name,
                      header->version, header->minimum_version);
    return true;
}

static uint64_t length_limit(const Muster__DocumentHeader *header)
{
    return document_length_max(header->kind, header->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED);
}

bool header_open(const struct trust *trust, const char *device, struct bytes envelope,
                 struct arena *arena, const Muster__DocumentHeader **ret_header, struct err *err)
{
    const Muster__DocumentHeader *header;
    if (!header_read(trust, envelope, arena, &header, err))
        return false;
    if (!document_name_valid(header->name))
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_NAME, ERR_INVALID,
                      "a document's name is not valid");
    if (!kind_check(header, device, err) || !package_header_check(header, err) ||
        !version_check(header, trust_epoch(trust), err))
        return false;
    if (header->sha256.len != 32)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID,
                      "%s: its hash has %zu bytes", header->name, header->sha256.len);
    if (header->length > length_limit(header))
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_LENGTH, ERR_REFUSED,
                      "%s: %" PRIu64 " bytes, at most %" PRIu64 " are held", header->name,
                      header->length, length_limit(header));
    *ret_header = header;
    return true;
}
