/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/key_file.h"
#include "proto/seal_internal.h"

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

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
        return openssl_refused(err, ERR_INVALID, "a public key that cannot be written");
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

bool sign_key_read(const char *path, struct sign_key **ret_key, struct err *err)
{
    EVP_PKEY *pkey = NULL;
    return key_file_read(path, &pkey, err) &&
           (sign_key_new(pkey, ret_key, err) || err_context(err, "%s", path));
}

bool sign_key_make(const char *path, struct sign_key **ret_key, struct err *err)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!pkey)
        return openssl_refused(err, ERR_NO_MEMORY, "no new key");
    bool ok = key_file_write(path, pkey, err);
    EVP_PKEY_free(pkey);
    /* What counts is what the file holds, whoever wrote it. */
    return ok && sign_key_read(path, ret_key, err);
}

void sign_key_free(struct sign_key *key)
{
    if (!key)
        return;
    if (key->signer.close)
        key->signer.close(key->signer.ctx);
    EVP_PKEY_free(key->key.pkey);
    free(key);
}

bool sign_key_of_signer(struct bytes spki, struct signer signer, struct sign_key **ret_key,
                        struct err *err)
{
    struct verify_key *public = NULL;
    if (!verify_key_of_spki(spki, &public, err) || !public)
        return false;
    struct sign_key *key = calloc(1, sizeof *key);
    if (!key) {
        verify_key_free(public);
        return err_set(err, ERR_NO_MEMORY, "no memory for a key");
    }
    key->key = *public;
    key->signer = signer;
    free(public);
    *ret_key = key;
    return true;
}

bool sign_key_through(struct sign_key *key,
                      bool (*make)(const uint8_t private[32], struct signer *ret_signer,
                                   struct err *err),
                      struct err *err)
{
    uint8_t private[32];
    size_t length = sizeof private;
    struct signer signer = {0};
    if (key->signer.sign)
        return err_set(err, ERR_CONFLICT, "this key has a signer already");
    bool ok = EVP_PKEY_get_raw_private_key(key->key.pkey, private, &length) == 1 ||
              openssl_refused(err, ERR_INVALID, "no private half");
    ok = ok && make(private, &signer, err);
    OPENSSL_cleanse(private, sizeof private);
    if (!ok)
        return false;
    key->signer = signer;
    key->trusted = true;
    return true;
}

struct bytes sign_key_spki(const struct sign_key *key)
{
    return bytes_of(key->key.spki, SPKI_BYTES);
}

/* One key, one spelling, one id. The collector does this for every message, and OpenSSL's decoder
 * takes longer than verifying a signature. */
static bool key_of_spki(struct bytes spki, struct verify_key **ret_key, struct err *err)
{
    static const uint8_t ed25519[SPKI_HEAD_BYTES] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                     0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    if (spki.length != SPKI_BYTES)
        return err_set(err, ERR_INVALID, "an Ed25519 SubjectPublicKeyInfo has %d bytes, not %zu",
                       SPKI_BYTES, spki.length);
    if (memcmp(spki.data, ed25519, sizeof ed25519) != 0)
        return err_set(err, ERR_INVALID, "not the SubjectPublicKeyInfo of an Ed25519 key");
    struct verify_key *key = calloc(1, sizeof *key);
    if (!key)
        return err_set(err, ERR_NO_MEMORY, "no memory for a key");
    memcpy(key->spki, spki.data, SPKI_BYTES);
    set_id(key);
    *ret_key = key;
    return true;
}

bool verify_key_of_spki(struct bytes spki, struct verify_key **ret_key, struct err *err)
{
    struct verify_key *key = NULL;
    if (!key_of_spki(spki, &key, err))
        return false;
    key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->spki + SPKI_HEAD_BYTES,
                                            SPKI_BYTES - SPKI_HEAD_BYTES);
    if (!key->pkey) {
        verify_key_free(key);
        return openssl_refused(err, ERR_INVALID, "not an Ed25519 public key");
    }
    *ret_key = key;
    return true;
}

bool verify_key_through(struct bytes spki, ed25519_verifier verifier, struct verify_key **ret_key,
                        struct err *err)
{
    if (!key_of_spki(spki, ret_key, err))
        return false;
    (*ret_key)->verifier = verifier;
    return true;
}

bool verify_key_read(const char *path, struct verify_key **ret_key, struct err *err)
{
    EVP_PKEY *pkey = NULL;
    return key_file_read_public(path, &pkey, err) &&
           (verify_key_new(pkey, ret_key, err) || err_context(err, "%s", path));
}

bool verify_key_pem(const struct verify_key *key, struct buf *out, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    bool ok = bio && PEM_write_bio_PUBKEY(bio, key->pkey) == 1;
    if (!ok)
        (void)openssl_refused(err, ERR_NO_MEMORY, "a public key that cannot be written");
    long length = ok ? BIO_get_mem_data(bio, &pem) : 0;
    ok = ok && buf_append(out, pem, (size_t)length, err);
    BIO_free(bio);
    return ok;
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
