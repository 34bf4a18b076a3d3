/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/sealed.h"

#include "proto/key_file.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/seal.h"

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum {
    OVERHEAD_BYTES = 1024,   /* of CMS: some 300, and the length of an issuer's name */
    STACK_BYTES = 32 * 1024, /* more than opening takes */
};

struct sealing_key {
    EVP_PKEY *pkey;
};

/* ---- keys ---- */

static bool is_p256(const EVP_PKEY *pkey)
{
    char group[32] = "";
    size_t length = 0;
    return EVP_PKEY_get_id(pkey) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(pkey, group, sizeof group, &length) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

bool sealing_key_read(const char *path, struct sealing_key **ret_key, struct err *err)
{
    EVP_PKEY *pkey = NULL;
    if (!key_file_read(path, &pkey, err))
        return false;
    struct sealing_key *key = is_p256(pkey) ? calloc(1, sizeof *key) : NULL;
    if (key == NULL) {
        bool fits = is_p256(pkey);
        EVP_PKEY_free(pkey);
        return fits ? err_set(err, ERR_NO_MEMORY, "no memory for a key")
                    : err_set(err, ERR_INVALID, "%s: not a P-256 key", path);
    }
    key->pkey = pkey;
    *ret_key = key;
    return true;
}

bool sealing_key_make(const char *path, struct sealing_key **ret_key, struct err *err)
{
    EVP_PKEY *pkey = EVP_EC_gen(SN_X9_62_prime256v1);
    if (pkey == NULL)
        return openssl_refused(err, ERR_NO_MEMORY, "no new key");
    bool ok = key_file_write(path, pkey, err);
    EVP_PKEY_free(pkey);
    /* What counts is what the file holds, whoever wrote it. */
    return ok && sealing_key_read(path, ret_key, err);
}

void sealing_key_free(struct sealing_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

bool sealing_key_digest(const struct sealing_key *key, uint8_t ret_sha256[32], struct err *err)
{
    unsigned char *der = NULL;
    int length = i2d_PUBKEY(key->pkey, &der);
    if (length <= 0)
        return openssl_refused(err, ERR_NO_MEMORY, "a key's public half");
    sha256(bytes_of(der, (size_t)length), ret_sha256);
    OPENSSL_free(der);
    return true;
}

static bool request_use(X509_REQ *request)
{
    X509_EXTENSION *use = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, "critical,keyAgreement");
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    bool ok = use != NULL && list != NULL && sk_X509_EXTENSION_push(list, use) > 0;
    if (ok)
        ok = X509_REQ_add_extensions(request, list) == 1;
    else
        X509_EXTENSION_free(use);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    return ok;
}

static bool request_fill(X509_REQ *request, const struct sealing_key *key, const char *device)
{
    X509_NAME *name = X509_REQ_get_subject_name(request);
    return X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
           X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)device, -1, -1, 0) == 1 &&
           X509_REQ_set_pubkey(request, key->pkey) == 1 && request_use(request) &&
           X509_REQ_sign(request, key->pkey, EVP_sha256()) > 0;
}

bool sealing_key_request(const struct sealing_key *key, const char *device, struct buf *ret_pem,
                         struct err *err)
{
    X509_REQ *request = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    bool ok = request != NULL && bio != NULL && request_fill(request, key, device) &&
              PEM_write_bio_X509_REQ(bio, request) == 1;
    if (ok) {
        long length = BIO_get_mem_data(bio, &pem);
        ok = buf_append(ret_pem, pem, (size_t)length, err);
    } else {
        openssl_refused(err, ERR_NO_MEMORY, "no certification request");
    }
    BIO_free(bio);
    X509_REQ_free(request);
    return ok;
}

/* ---- sealing ---- */

static X509 *certificate_of(struct bytes der)
{
    const unsigned char *at = der.data;
    if (der.length == 0 || der.length > SEALED_CERTIFICATE_BYTES)
        return NULL;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.length);
    if (certificate != NULL && at != der.data + der.length) {
        X509_free(certificate);
        certificate = NULL;
    }
    return certificate;
}

/* OpenSSL would derive the wrapping key with SHA-1 unless told. The key's id is shorter than its
 * issuer's name. */
static bool add_recipient(CMS_ContentInfo *cms, X509 *certificate)
{
    bool has_id = X509_get0_subject_key_id(certificate) != NULL;
    unsigned flags = CMS_BINARY | CMS_KEY_PARAM | (has_id ? CMS_USE_KEYID : 0);
    CMS_RecipientInfo *recipient = CMS_add1_recipient_cert(cms, certificate, flags);
    EVP_PKEY_CTX *agree = recipient != NULL ? CMS_RecipientInfo_get0_pkey_ctx(recipient) : NULL;
    return agree != NULL && EVP_PKEY_CTX_set_ecdh_kdf_md(agree, EVP_sha256()) == 1;
}

static bool append_der(const CMS_ContentInfo *cms, struct buf *out, struct err *err)
{
    int length = i2d_CMS_ContentInfo(cms, NULL);
    uint8_t *to = length > 0 ? buf_reserve(out, (size_t)length, err) : NULL;
    if (to == NULL)
        return length > 0 ? false : openssl_refused(err, ERR_NO_MEMORY, "what is sealed");
    out->length += (size_t)i2d_CMS_ContentInfo(cms, &to);
    return true;
}

static bool make_for(X509 *certificate, struct bytes content, struct buf *out, struct err *err)
{
    CMS_ContentInfo *cms = CMS_AuthEnvelopedData_create(EVP_aes_256_gcm());
    BIO *data = BIO_new_mem_buf(content.data, (int)content.length);
    bool ok = cms != NULL && data != NULL && CMS_set_detached(cms, 0) == 1 &&
              add_recipient(cms, certificate) && CMS_final(cms, data, NULL, CMS_BINARY) == 1;
    ok = ok ? append_der(cms, out, err)
            : openssl_refused(err, ERR_NO_MEMORY, "nothing could be sealed");
    BIO_free(data);
    CMS_ContentInfo_free(cms);
    return ok;
}

bool sealed_make(struct bytes certificate, struct bytes content, struct buf *out, struct err *err)
{
    if (content.length > LIMIT_SEALED_BYTES - OVERHEAD_BYTES)
        return err_set(err, ERR_FULL, "%zu bytes are to be sealed, at most %d may be",
                       content.length, LIMIT_SEALED_BYTES - OVERHEAD_BYTES);
    X509 *to = certificate_of(certificate);
    if (to == NULL)
        return openssl_refused(err, ERR_INVALID, "not a certificate (DER)");
    const EVP_PKEY *pkey = X509_get0_pubkey(to);
    bool ok = pkey != NULL && is_p256(pkey)
                  ? make_for(to, content, out, err)
                  : err_set(err, ERR_INVALID, "the certificate's key is not a P-256 key");
    X509_free(to);
    return ok;
}

/* ---- opening ---- */

/* The first thing that went wrong is the oldest in OpenSSL's list. */
static bool want_of_memory(void)
{
    return ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
}

/* One form only: what is not authenticated, or is for several, is nothing that we seal. */
static CMS_ContentInfo *read_form(struct bytes sealed)
{
    const unsigned char *at = sealed.data;
    if (sealed.length == 0 || sealed.length > LIMIT_SEALED_BYTES)
        return NULL;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)sealed.length);
    bool good = cms != NULL && at == sealed.data + sealed.length &&
                OBJ_obj2nid(CMS_get0_type(cms)) == NID_id_smime_ct_authEnvelopedData &&
                sk_CMS_RecipientInfo_num(CMS_get0_RecipientInfos(cms)) == 1;
    if (!good) {
        CMS_ContentInfo_free(cms);
        cms = NULL;
    }
    return cms;
}

/* OpenSSL copies what it has opened by way of its stack, and leaves it there. */
static __attribute__((noinline)) void wipe_stack(void)
{
    uint8_t below[STACK_BYTES];
    OPENSSL_cleanse(below, sizeof below);
}

/* The tag is looked at last, so nothing is given out before all was read. */
static bool decrypt(const struct sealing_key *key, CMS_ContentInfo *cms, struct buf *content,
                    struct err *err)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *data = NULL;
    if (bio == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for what is sealed");
    bool ok = CMS_decrypt(cms, key->pkey, NULL, NULL, bio, CMS_BINARY) == 1;
    wipe_stack();
    if (ok) {
        long length = BIO_get_mem_data(bio, &data);
        ok = buf_append(content, data, (size_t)length, err);
    } else if (want_of_memory()) {
        openssl_refused(err, ERR_NO_MEMORY, "what is sealed cannot be opened");
    } else {
        ERR_clear_error();
        refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_SEALED, ERR_REFUSED,
               "not sealed to this device's key, or changed since");
    }
    BIO_free(bio);
    return ok;
}

bool sealed_open(const struct sealing_key *key, struct bytes sealed, struct buf *ret_content,
                 struct err *err)
{
    struct buf content = {.limit = LIMIT_SEALED_BYTES};
    ERR_clear_error();
    CMS_ContentInfo *cms = read_form(sealed);
    if (cms == NULL && want_of_memory())
        return openssl_refused(err, ERR_NO_MEMORY, "what is sealed cannot be read");
    if (cms == NULL) {
        ERR_clear_error();
        return refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_SEALED, ERR_REFUSED,
                      "not CMS AuthEnvelopedData for one recipient (DER)");
    }
    bool ok = decrypt(key, cms, &content, err);
    CMS_ContentInfo_free(cms);
    if (ok)
        *ret_content = content;
    else
        secret_done(&content);
    return ok;
}

void secret_done(struct buf *secret)
{
    if (secret->data != NULL)
        OPENSSL_cleanse(secret->data, secret->capacity);
    buf_done(secret);
}
