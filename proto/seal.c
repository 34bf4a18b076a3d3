/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/seal.h"

#include "base/file.h"
#include "proto/envelope.h"
#include "proto/envelope.pb-c.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SPKI_BYTES = 44, SIGNATURE_BYTES = 64, KEY_FILE_BYTES = 16 * 1024 };

struct verify_key {
    EVP_PKEY *pkey;
    uint8_t spki[SPKI_BYTES];
    uint8_t id[KEY_ID_BYTES];
};

struct sign_key {
    struct verify_key key; /* whose pkey holds the private half too */
};

static bool openssl_err(struct err *err, enum err_code code, const char *what)
{
    char text[160] = "no reason given";
    unsigned long reason = ERR_get_error();
    if (reason)
        ERR_error_string_n(reason, text, sizeof text);
    ERR_clear_error();
    return err_set(err, code, "%s: %s", what, text);
}

/* ---- keys ---- */

static void set_id(struct verify_key *key)
{
    uint8_t digest[32];
    sha256(bytes_of(key->spki, SPKI_BYTES), digest);
    memcpy(key->id, digest, KEY_ID_BYTES);
}

/* Fills the key from `pkey`, which it takes over in any case. */
static bool key_init(struct verify_key *key, EVP_PKEY *pkey, struct err *err)
{
    key->pkey = pkey;
    if (EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519)
        return err_set(err, ERR_INVALID, "not an Ed25519 key");
    uint8_t *end = key->spki;
    if (i2d_PUBKEY(pkey, NULL) != SPKI_BYTES || i2d_PUBKEY(pkey, &end) != SPKI_BYTES)
        return openssl_err(err, ERR_INVALID, "a public key that cannot be written");
    set_id(key);
    return true;
}

static bool verify_key_new(EVP_PKEY *pkey, struct verify_key **ret_key, struct err *err)
{
    struct verify_key *key = calloc(1, sizeof *key);
    if (!key) {
        EVP_PKEY_free(pkey);
        return err_set(err, ERR_NO_MEMORY, "no memory for a key");
    }
    if (!key_init(key, pkey, err)) {
        verify_key_free(key);
        return false;
    }
    *ret_key = key;
    return true;
}

static bool sign_key_new(EVP_PKEY *pkey, struct sign_key **ret_key, struct err *err)
{
    struct sign_key *key = calloc(1, sizeof *key);
    if (!key) {
        EVP_PKEY_free(pkey);
        return err_set(err, ERR_NO_MEMORY, "no memory for a key");
    }
    if (!key_init(&key->key, pkey, err)) {
        sign_key_free(key);
        return false;
    }
    *ret_key = key;
    return true;
}

/* Key files have no passphrase; without this OpenSSL would ask on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    if (size > 0)
        out[0] = '\0';
    (void)writing;
    (void)ctx;
    return -1;
}

/* The first private key of a PEM text, else the first public one unless `private_only`. */
static EVP_PKEY *read_pem(struct bytes pem, bool private_only)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.length);
    if (!bio)
        return NULL;
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (!pkey && !private_only && BIO_reset(bio) == 1)
        pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    return pkey;
}

static bool read_key_file(const char *path, bool private_only, EVP_PKEY **ret_pkey, struct err *err)
{
    struct buf pem = {0};
    if (!file_read(path, KEY_FILE_BYTES, &pem, err))
        return false;
    EVP_PKEY *pkey = read_pem(buf_bytes(&pem), private_only);
    if (pem.data)
        OPENSSL_cleanse(pem.data, pem.length);
    buf_done(&pem);
    if (!pkey)
        return openssl_err(err, ERR_INVALID, private_only ? "no private key" : "no key");
    ERR_clear_error();
    *ret_pkey = pkey;
    return true;
}

/* Others must not have been able to read it: then it is nobody's secret. */
static bool check_private(const char *path, struct err *err)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return err_errno(err, errno, "%s", path);
    if (status.st_mode & 077)
        return err_set(err, ERR_REFUSED,
                       "%s: a private key that others may use (mode %03o): make a new one, mode "
                       "0600",
                       path, (unsigned)(status.st_mode & 0777));
    return true;
}

bool sign_key_read(const char *path, struct sign_key **ret_key, struct err *err)
{
    EVP_PKEY *pkey = NULL;
    if (!check_private(path, err))
        return false;
    if (!read_key_file(path, true, &pkey, err) || !sign_key_new(pkey, ret_key, err))
        return err_context(err, "%s", path);
    return true;
}

/* Writes `pkey` to a file beside `path` and gives it that name unless there is one already. */
static bool write_key_file(const char *path, EVP_PKEY *pkey, struct err *err)
{
    char fresh[4096];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return err_set(err, ERR_INVALID, "the path is too long");
    BIO *bio = BIO_new(BIO_s_secmem());
    char *pem = NULL;
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) != 1) {
        BIO_free(bio);
        return openssl_err(err, ERR_NO_MEMORY, "the key cannot be written");
    }
    long length = BIO_get_mem_data(bio, &pem);
    bool ok = file_write(fresh, bytes_of(pem, (size_t)length), 0600, err);
    BIO_free(bio);
    if (ok && !file_link(fresh, path, err))
        ok = file_exists(path) ? err_set(err, ERR_CONFLICT, "there is a key already") : false;
    return file_remove(fresh, ok ? err : NULL) && ok;
}

bool sign_key_make(const char *path, struct sign_key **ret_key, struct err *err)
{
    if (file_exists(path))
        return err_set(err, ERR_CONFLICT, "%s: there is a key already", path);
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!pkey)
        return openssl_err(err, ERR_NO_MEMORY, "no new key");
    bool ok = write_key_file(path, pkey, err);
    EVP_PKEY_free(pkey);
    if (!ok)
        return err_context(err, "%s", path);
    /* What counts is what the file holds, whoever wrote it. */
    return sign_key_read(path, ret_key, err);
}

void sign_key_free(struct sign_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->key.pkey);
    free(key);
}

struct bytes sign_key_spki(const struct sign_key *key)
{
    return bytes_of(key->key.spki, SPKI_BYTES);
}

/* One key, one spelling, one id. The collector does this for every message, and OpenSSL's decoder
 * takes longer than verifying a signature. */
bool verify_key_of_spki(struct bytes spki, struct verify_key **ret_key, struct err *err)
{
    static const uint8_t ed25519[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                      0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    if (spki.length != SPKI_BYTES)
        return err_set(err, ERR_INVALID, "an Ed25519 SubjectPublicKeyInfo has %d bytes, not %zu",
                       SPKI_BYTES, spki.length);
    if (memcmp(spki.data, ed25519, sizeof ed25519) != 0)
        return err_set(err, ERR_INVALID, "not the SubjectPublicKeyInfo of an Ed25519 key");
    struct verify_key *key = calloc(1, sizeof *key);
    if (!key)
        return err_set(err, ERR_NO_MEMORY, "no memory for a key");
    key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, spki.data + sizeof ed25519,
                                            SPKI_BYTES - sizeof ed25519);
    if (!key->pkey) {
        verify_key_free(key);
        return openssl_err(err, ERR_INVALID, "not an Ed25519 public key");
    }
    memcpy(key->spki, spki.data, SPKI_BYTES);
    set_id(key);
    *ret_key = key;
    return true;
}

bool verify_key_read(const char *path, struct verify_key **ret_key, struct err *err)
{
    EVP_PKEY *pkey = NULL;
    if (!read_key_file(path, false, &pkey, err) || !verify_key_new(pkey, ret_key, err))
        return err_context(err, "%s", path);
    return true;
}

void verify_key_free(struct verify_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

const uint8_t *verify_key_id(const struct verify_key *key)
{
    return key->id;
}

struct bytes verify_key_spki(const struct verify_key *key)
{
    return bytes_of(key->spki, SPKI_BYTES);
}

/* ---- envelopes ---- */

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

static bool sign(const struct sign_key *key, struct bytes text, uint8_t ret_signature[64],
                 struct err *err)
{
    size_t length = SIGNATURE_BYTES;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestSignInit(md, NULL, NULL, NULL, key->key.pkey) == 1 &&
              EVP_DigestSign(md, ret_signature, &length, text.data, text.length) == 1 &&
              length == SIGNATURE_BYTES;
    EVP_MD_CTX_free(md);
    return ok || openssl_err(err, ERR_IO, "signing failed");
}

static bool verify(const struct verify_key *key, struct bytes text, struct bytes signature)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestVerifyInit(md, NULL, NULL, NULL, key->pkey) == 1 &&
              EVP_DigestVerify(md, signature.data, signature.length, text.data, text.length) == 1;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return ok;
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

bool seal(const char *domain, const char *context, struct bytes body,
          const struct sign_key *const *keys, size_t key_count, bool name_keys, struct buf *out,
          struct err *err)
{
    Muster__Signature signatures[ENVELOPE_SIGNATURES];
    uint8_t raw[ENVELOPE_SIGNATURES][SIGNATURE_BYTES];
    struct buf text = {.limit = body.length + 512};
    if (key_count == 0 || key_count > ENVELOPE_SIGNATURES)
        return err_set(err, ERR_INVALID, "%s: %zu keys to sign with", domain, key_count);
    bool ok = body.length > 0 || err_set(err, ERR_INVALID, "an empty body");
    ok = ok && covered(domain, context, body, &text, err);
    for (size_t i = 0; ok && i < key_count; i++) {
        muster__signature__init(&signatures[i]);
        ok = sign(keys[i], buf_bytes(&text), raw[i], err);
        signatures[i].signature = binary(raw[i], SIGNATURE_BYTES);
        if (name_keys)
            signatures[i].key_id = binary(keys[i]->key.id, KEY_ID_BYTES);
    }
    buf_done(&text);
    ok = ok && append_envelope(body, signatures, key_count, out, err);
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

/* ---- hashes ---- */

void sha256(struct bytes data, uint8_t ret_digest[32])
{
    if (!SHA256(data.data, data.length, ret_digest))
        abort(); /* OpenSSL without SHA-256 is no OpenSSL */
}

struct sha256_state {
    EVP_MD_CTX *md;
};

struct sha256_state *sha256_begin(void)
{
    struct sha256_state *state = calloc(1, sizeof *state);
    if (!state)
        return NULL;
    state->md = EVP_MD_CTX_new();
    if (!state->md || EVP_DigestInit_ex(state->md, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(state->md);
        free(state);
        return NULL;
    }
    return state;
}

void sha256_add(struct sha256_state *state, struct bytes data)
{
    if (EVP_DigestUpdate(state->md, data.data, data.length) != 1)
        abort();
}

void sha256_next(struct sha256_state *state, uint8_t ret_digest[32])
{
    if (EVP_DigestFinal_ex(state->md, ret_digest, NULL) != 1 ||
        EVP_DigestInit_ex(state->md, NULL, NULL) != 1)
        abort();
}

void sha256_end(struct sha256_state *state, uint8_t ret_digest[32])
{
    if (EVP_DigestFinal_ex(state->md, ret_digest, NULL) != 1)
        abort();
    EVP_MD_CTX_free(state->md);
    free(state);
}
