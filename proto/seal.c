/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/envelope.h"
#include "proto/envelope.pb-c.h"
#include "proto/key_file.h"
#include "proto/seal_internal.h"

#include <openssl/err.h>
#include <string.h>

/* What a signature covers, in one piece because Ed25519 reads it twice. */
static bool covered(const char *domain, const char *context, struct bytes body, struct buf *out,
                    struct err *err)
{
    static const char prefix[] = "muster/v1/";
    return buf_append(out, prefix, sizeof prefix - 1, err) &&
           buf_append(out, domain, strlen(domain) + 1, err) &&
           buf_append(out, context, strlen(context) + 1, err) &&
           buf_append(out, body.data, body.length, err);
}

static bool sign_here(EVP_PKEY *pkey, struct bytes text, uint8_t ret_signature[64], struct err *err)
{
    size_t length = SIGNATURE_BYTES;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestSignInit(md, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestSign(md, ret_signature, &length, text.data, text.length) == 1 &&
              length == SIGNATURE_BYTES;
    EVP_MD_CTX_free(md);
    return ok || openssl_refused(err, ERR_IO, "signing failed");
}

static bool verify_here(EVP_PKEY *pkey, struct bytes text, struct bytes signature)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestVerifyInit(md, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestVerify(md, signature.data, signature.length, text.data, text.length) == 1;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return ok;
}

static bool verify(const struct verify_key *key, struct bytes text, struct bytes signature)
{
    if (!key->verifier)
        return verify_here(key->pkey, text, signature);
    return signature.length == SIGNATURE_BYTES &&
           key->verifier(key->spki + SPKI_HEAD_BYTES, text, signature.data);
}

/* A token may hold another private half than its public one says: better found here than by every
 * terminal. */
static bool sign(const struct sign_key *key, struct bytes text, uint8_t ret_signature[64],
                 struct err *err)
{
    if (!key->signer.sign)
        return sign_here(key->key.pkey, text, ret_signature, err);
    if (!key->signer.sign(key->signer.ctx, text, ret_signature, err))
        return false;
    return key->trusted || verify(&key->key, text, bytes_of(ret_signature, SIGNATURE_BYTES)) ||
           err_set(err, ERR_IO, "the signature made does not fit the public key");
}

/* protobuf-c takes no const, but only reads when it packs. */
static ProtobufCBinaryData binary(const void *data, size_t length)
{
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)(uintptr_t)data};
}

static bool append_envelope(struct bytes body, Muster__Signature *signatures, size_t count,
                            struct buf *out, struct err *err)
{
    Muster__Envelope envelope = MUSTER__ENVELOPE__INIT;
    Muster__Signature *list[ENVELOPE_SIGNATURES];
    for (size_t i = 0; i < count; i++)
        list[i] = &signatures[i];
    envelope.body = binary(body.data, body.length);
    envelope.signatures = list;
    envelope.n_signatures = count;
    uint8_t *room = buf_reserve(out, muster__envelope__get_packed_size(&envelope), err);
    if (!room)
        return false;
    out->length += muster__envelope__pack(&envelope, room);
    return true;
}

/* Signs `body` by each key, behind the `*count` signatures that are there; `raw` is where they are.
 */
static bool sign_all(const char *domain, const char *context, struct bytes body,
                     const struct sign_key *const *keys, size_t key_count, bool name_keys,
                     Muster__Signature *signatures, uint8_t (*raw)[SIGNATURE_BYTES], size_t *count,
                     struct err *err)
{
    struct buf text = {.limit = body.length + 512};
    bool ok = body.length > 0 || err_set(err, ERR_INVALID, "an empty body");
    ok = ok && covered(domain, context, body, &text, err);
    for (size_t i = 0; ok && i < key_count; i++) {
        Muster__Signature *signature = &signatures[*count];
        if (*count == ENVELOPE_SIGNATURES) {
            ok = err_set(err, ERR_INVALID, "more than %d signatures", ENVELOPE_SIGNATURES);
            break;
        }
        muster__signature__init(signature);
        ok = sign(keys[i], buf_bytes(&text), raw[*count], err);
        signature->signature = binary(raw[*count], SIGNATURE_BYTES);
        if (name_keys)
            signature->key_id = binary(keys[i]->key.id, KEY_ID_BYTES);
        ++*count;
    }
    buf_done(&text);
    return ok;
}

bool seal(const char *domain, const char *context, struct bytes body,
          const struct sign_key *const *keys, size_t key_count, bool name_keys, struct buf *out,
          struct err *err)
{
    Muster__Signature signatures[ENVELOPE_SIGNATURES];
    uint8_t raw[ENVELOPE_SIGNATURES][SIGNATURE_BYTES];
    size_t count = 0;
    if (key_count == 0 || key_count > ENVELOPE_SIGNATURES)
        return err_set(err, ERR_INVALID, "%s: %zu keys to sign with", domain, key_count);
    bool ok =
        sign_all(domain, context, body, keys, key_count, name_keys, signatures, raw, &count, err) &&
        append_envelope(body, signatures, count, out, err);
    return ok || err_context(err, "%s", domain);
}

static bool is_among(struct bytes key_id, const struct sign_key *const *keys, size_t key_count)
{
    for (size_t i = 0; i < key_count; i++)
        if (bytes_equal(key_id, bytes_of(keys[i]->key.id, KEY_ID_BYTES)))
            return true;
    return false;
}

bool seal_add(const char *domain, const char *context, struct bytes envelope,
              const struct sign_key *const *keys, size_t key_count, struct buf *out,
              struct err *err)
{
    struct envelope read;
    Muster__Signature signatures[ENVELOPE_SIGNATURES];
    uint8_t raw[ENVELOPE_SIGNATURES][SIGNATURE_BYTES];
    size_t count = 0;
    if (!envelope_read_any(envelope, &read, err))
        return err_context(err, "%s", domain);
    for (size_t i = 0; i < read.signature_count; i++) {
        struct bytes id = read.signatures[i].key_id, signature = read.signatures[i].signature;
        if (is_among(id, keys, key_count))
            continue;
        muster__signature__init(&signatures[count]);
        signatures[count].key_id = binary(id.data, id.length);
        signatures[count++].signature = binary(signature.data, signature.length);
    }
    bool ok =
        sign_all(domain, context, read.body, keys, key_count, true, signatures, raw, &count, err) &&
        append_envelope(read.body, signatures, count, out, err);
    return ok || err_context(err, "%s", domain);
}

static bool signed_by(const struct envelope *envelope, const struct verify_key *key, bool only_key,
                      struct bytes text)
{
    for (size_t i = 0; i < envelope->signature_count; i++) {
        struct bytes id = envelope->signatures[i].key_id;
        bool meant = id.length ? bytes_equal(id, bytes_of(key->id, KEY_ID_BYTES)) : only_key;
        if (meant && verify(key, text, envelope->signatures[i].signature))
            return true;
    }
    return false;
}

/* How many different keys of the set have signed. */
static size_t count_signers(const struct envelope *envelope, const struct key_set *set,
                            struct bytes text)
{
    size_t signers = 0;
    for (size_t i = 0; i < set->count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i; j++)
            seen = seen || memcmp(set->keys[i]->id, set->keys[j]->id, KEY_ID_BYTES) == 0;
        if (!seen && signed_by(envelope, set->keys[i], set->count == 1, text))
            signers++;
    }
    return signers;
}

bool unseal(const char *domain, const char *context, struct bytes envelope,
            const struct key_set *keys, struct bytes *ret_body, struct err *err)
{
    struct envelope read;
    struct buf text = {.limit = envelope.length + 512};
    if (!envelope_read(envelope, &read, err))
        return err_context(err, "%s", domain);
    if (!covered(domain, context, read.body, &text, err)) {
        buf_done(&text);
        return err_context(err, "%s", domain);
    }
    size_t signers = count_signers(&read, keys, buf_bytes(&text));
    buf_done(&text);
    if (keys->threshold == 0 || signers < keys->threshold)
        return err_set(err, ERR_REFUSED,
                       "%s%s%s: signed by %zu of the %zu keys it must be signed by (%zu known)",
                       domain, *context ? " of " : "", context, signers, keys->threshold,
                       keys->count);
    *ret_body = read.body;
    return true;
}

bool sealed_by(const char *domain, const char *context, struct bytes envelope,
               const struct verify_key *key)
{
    struct envelope read;
    struct buf text = {.limit = envelope.length + 512};
    bool ok = envelope_read_any(envelope, &read, NULL) &&
              covered(domain, context, read.body, &text, NULL) &&
              signed_by(&read, key, false, buf_bytes(&text));
    buf_done(&text);
    return ok;
}
