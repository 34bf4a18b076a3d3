/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/signed_document.h"

#include "base/file.h"
#include "proto/limits.h"
#include "proto/signed.pb-c.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <string.h>

enum { FILE_BYTES = LIMIT_SEALED_BYTES + LIMIT_DOCUMENT_HEADER_BYTES + 64 };

/* ---- headers ---- */

Muster__Role document_role(Muster__DocumentKind kind)
{
    return kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK ? MUSTER__ROLE__ROLE_CUSTODIAN
                                                             : MUSTER__ROLE__ROLE_RELEASE;
}

bool document_header_seal(const Muster__DocumentHeader *header, const struct signers *signers,
                          bool dry_run, struct buf *out, struct err *err)
{
    struct buf body = {0};
    bool ok = pack(&header->base, &body, err) &&
              seal(dry_run ? SEAL_DOCUMENT_DRY_RUN : SEAL_DOCUMENT, "", buf_bytes(&body),
                   signers_keys(signers), signers->count, true, out, err);
    buf_done(&body);
    return ok;
}

static bool names_key(const struct key_set *set, const struct sign_key *key)
{
    for (size_t i = 0; i < set->count; i++)
        if (bytes_equal(verify_key_spki(set->keys[i]), sign_key_spki(key)))
            return true;
    return false;
}

bool document_signers_check(const struct trust *trust, Muster__DocumentKind kind,
                            const struct signers *signers, struct err *err)
{
    Muster__Role role = document_role(kind);
    for (size_t i = 0; i < signers->count; i++)
        if (!names_key(trust_keys(trust, role), signers->keys[i]))
            return err_set(err, ERR_REFUSED,
                           "key %zu that was given is no %s key of that root: its signature would "
                           "count for nothing",
                           i + 1, role == MUSTER__ROLE__ROLE_CUSTODIAN ? "custodian" : "release");
    return true;
}

/* ---- content in files ---- */

struct hashing {
    struct sha256_state *hash;
    uint64_t length;
};

static void hash_part(void *ctx, struct bytes part)
{
    struct hashing *hashing = ctx;
    hashing->length += part.length;
    sha256_add(hashing->hash, part);
}

bool content_file_hash(const char *path, uint64_t *ret_length, uint8_t ret_sha256[32],
                       struct err *err)
{
    uint8_t digest[32];
    struct hashing hashing = {.hash = sha256_begin()};
    if (hashing.hash == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to read %s", path);
    bool ok = file_scan(path, hash_part, &hashing, err);
    sha256_end(hashing.hash, digest);
    if (!ok)
        return false;
    *ret_length = hashing.length;
    memcpy(ret_sha256, digest, sizeof digest);
    return true;
}

bool signed_document_names(const struct signed_document *document, const char *path,
                           struct err *err)
{
    uint8_t digest[32];
    uint64_t length = 0;
    if (!content_file_hash(path, &length, digest, err))
        return false;
    return (length == document->header->length &&
            memcmp(digest, document->header->sha256.data, sizeof digest) == 0) ||
           err_set(err, ERR_REFUSED, "%s is not the content that was signed as %s", path,
                   document->header->name);
}

/* ---- the file ---- */

static bool check_header(const Muster__DocumentHeader *header, struct bytes sealed, struct err *err)
{
    uint8_t digest[32];
    if (!document_name_valid(header->name) || header->sha256.len != sizeof digest)
        return err_set(err, ERR_INVALID, "its header has no name or no hash");
    bool is_sealed = header->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    if (is_sealed != (sealed.length > 0))
        return err_set(err, ERR_INVALID, "%s: %s", header->name,
                       is_sealed ? "what is sealed is missing" : "public content does not go here");
    if (!is_sealed)
        return true;
    sha256(sealed, digest);
    return (sealed.length == header->length &&
            memcmp(digest, header->sha256.data, sizeof digest) == 0) ||
           err_set(err, ERR_REFUSED, "%s: what is sealed is not what was signed", header->name);
}

static bool read_header(struct signed_document *document, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_DOCUMENT_HEADER_BYTES,
                                                .max_elements = 32};
    struct envelope envelope;
    ProtobufCMessage *message = NULL;
    if (document->envelope.length > LIMIT_DOCUMENT_HEADER_BYTES)
        return err_set(err, ERR_INVALID, "a document header of %zu bytes is over the %d allowed",
                       document->envelope.length, LIMIT_DOCUMENT_HEADER_BYTES);
    if (!envelope_read(buf_bytes(&document->envelope), &envelope, err) ||
        !unpack(&muster__document_header__descriptor, envelope.body, &limits, &document->arena,
                &message, err))
        return false;
    document->header = (const Muster__DocumentHeader *)message;
    return check_header(document->header, buf_bytes(&document->sealed), err);
}

static bool take(const Muster__SignedDocument *file, struct signed_document *document,
                 struct err *err)
{
    document->envelope.limit = document->sealed.limit = FILE_BYTES;
    return buf_append(&document->envelope, file->header.data, file->header.len, err) &&
           buf_append(&document->sealed, file->sealed.data, file->sealed.len, err) &&
           read_header(document, err);
}

bool signed_document_parse(struct bytes file, struct signed_document *ret_document, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = FILE_BYTES, .max_elements = 8};
    struct signed_document document = {.arena = {.limit_bytes = 64 * 1024}};
    struct arena arena = {.limit_bytes = FILE_BYTES + 4096};
    ProtobufCMessage *message = NULL;
    bool ok = unpack(&muster__signed_document__descriptor, file, &limits, &arena, &message, err) &&
              take((const Muster__SignedDocument *)message, &document, err);
    arena_done(&arena);
    if (!ok) {
        signed_document_done(&document);
        return err_context(err, "not a signed document");
    }
    *ret_document = document;
    return true;
}

bool signed_document_read(const char *path, struct signed_document *ret_document, struct err *err)
{
    struct buf file = {.limit = FILE_BYTES};
    bool ok = file_read(path, FILE_BYTES, &file, err) &&
              (signed_document_parse(buf_bytes(&file), ret_document, err) ||
               err_context(err, "%s", path));
    buf_done(&file);
    return ok;
}

bool signed_document_write(const char *path, struct bytes envelope, struct bytes sealed,
                           struct err *err)
{
    Muster__SignedDocument file = MUSTER__SIGNED_DOCUMENT__INIT;
    struct buf packed = {.limit = FILE_BYTES};
    if (envelope.length > LIMIT_DOCUMENT_HEADER_BYTES)
        return err_set(err, ERR_FULL,
                       "a document header with so many signatures has %zu bytes, %d "
                       "are the most",
                       envelope.length, LIMIT_DOCUMENT_HEADER_BYTES);
    file.header = (ProtobufCBinaryData){envelope.length, (uint8_t *)(uintptr_t)envelope.data};
    file.sealed = (ProtobufCBinaryData){sealed.length, (uint8_t *)(uintptr_t)sealed.data};
    bool ok = pack(&file.base, &packed, err) && file_write(path, buf_bytes(&packed), 0644, err);
    buf_done(&packed);
    return ok;
}

void signed_document_done(struct signed_document *document)
{
    buf_done(&document->envelope);
    buf_done(&document->sealed);
    arena_done(&document->arena);
    document->header = NULL;
}

size_t signed_document_count(const struct signed_document *document, const struct key_set *keys)
{
    size_t count = 0;
    for (size_t i = 0; i < keys->count; i++)
        count += sealed_by("document", "", buf_bytes(&document->envelope), keys->keys[i]);
    return count;
}
