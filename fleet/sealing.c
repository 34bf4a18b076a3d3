/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/sealing.h"

#include "base/file.h"
#include "proto/sealed.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 256 * 1024 };

struct sealing_authority {
    X509_STORE *store;
    bool asks_crl;
    time_t now;
};

/* ---- the authority ---- */

static bool load(struct sealing_authority *authority, const char *ca, const char *crl,
                 struct err *err)
{
    X509_LOOKUP *lookup = X509_STORE_add_lookup(authority->store, X509_LOOKUP_file());
    if (lookup == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the CA of devices");
    if (X509_load_cert_file(lookup, ca, X509_FILETYPE_PEM) < 1)
        return err_set(err, file_exists(ca) ? ERR_INVALID : ERR_NOT_FOUND,
                       "%s: no certificate of a CA (PEM) could be read", ca);
    authority->asks_crl = crl != NULL;
    if (crl != NULL && X509_load_crl_file(lookup, crl, X509_FILETYPE_PEM) < 1)
        return err_set(err, file_exists(crl) ? ERR_INVALID : ERR_NOT_FOUND,
                       "%s: no list of revoked certificates (PEM) could be read", crl);
    return true;
}

bool sealing_authority_open(const char *ca, const char *crl, int64_t now_ms,
                            struct sealing_authority **ret_authority, struct err *err)
{
    struct sealing_authority *authority = calloc(1, sizeof *authority);
    if (authority != NULL)
        authority->store = X509_STORE_new();
    if (authority == NULL || authority->store == NULL) {
        free(authority);
        return err_set(err, ERR_NO_MEMORY, "no memory for the CA of devices");
    }
    authority->now = (time_t)(now_ms / 1000);
    bool ok = load(authority, ca, crl, err);
    ERR_clear_error();
    if (ok)
        *ret_authority = authority;
    else
        sealing_authority_close(authority);
    return ok;
}

void sealing_authority_close(struct sealing_authority *authority)
{
    if (authority == NULL)
        return;
    X509_STORE_free(authority->store);
    free(authority);
}

/* ---- one certificate ---- */

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
    ERR_clear_error();
    return certificate;
}

/* One CN, and it is the device, byte for byte: no NUL in it, no second name. */
static bool is_named(const X509 *certificate, const char *device)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return false;
    const ASN1_STRING *name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    int type = ASN1_STRING_type(name);
    return (type == V_ASN1_UTF8STRING || type == V_ASN1_PRINTABLESTRING) &&
           bytes_equal(bytes_of(ASN1_STRING_get0_data(name), (size_t)ASN1_STRING_length(name)),
                       bytes_of(device, strlen(device)));
}

static bool is_p256(const X509 *certificate)
{
    char group[32] = "";
    size_t length = 0;
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    return key != NULL && EVP_PKEY_get_id(key) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

/* The TLS key lies with muster-link, which faces the network: it must not open what is sealed, so
 * a certificate of it is none for sealing, whatever else it allows. */
static bool is_for_tls(X509 *certificate)
{
    uint32_t extended = X509_get_extended_key_usage(certificate);
    return extended != UINT32_MAX &&
           (extended & (XKU_SSL_CLIENT | XKU_SSL_SERVER | XKU_ANYEKU)) != 0;
}

static bool fits(X509 *certificate, const char *device, struct err *err)
{
    if (!is_named(certificate, device))
        return err_set(err, ERR_REFUSED, "its name (CN) is not %s and nothing else", device);
    if (!is_p256(certificate))
        return err_set(err, ERR_REFUSED, "its key is not a P-256 key");
    if (X509_check_ca(certificate) != 0)
        return err_set(err, ERR_REFUSED, "it is the certificate of a CA");
    uint32_t use = X509_get_key_usage(certificate);
    if (use == UINT32_MAX || (use & KU_KEY_AGREEMENT) == 0)
        return err_set(err, ERR_REFUSED, "its key usage does not name keyAgreement");
    if (is_for_tls(certificate))
        return err_set(err, ERR_REFUSED,
                       "it is a certificate for TLS, whose key is not the agent's; sign the "
                       "request of muster-agent --make-sealing-key");
    return true;
}

bool sealing_certificate_fits(const char *device, struct bytes der, struct err *err)
{
    X509 *certificate = certificate_of(der);
    bool ok = certificate != NULL ? fits(certificate, device, err)
                                  : err_set(err, ERR_INVALID, "it is not a certificate (DER)");
    X509_free(certificate);
    return ok || err_context(err, "the sealing certificate of %s", device);
}

/* ---- who signed it ---- */

static bool chain_check(const struct sealing_authority *authority, X509 *certificate,
                        struct err *err)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (ctx == NULL || X509_STORE_CTX_init(ctx, authority->store, certificate, NULL) != 1) {
        X509_STORE_CTX_free(ctx);
        return err_set(err, ERR_NO_MEMORY, "no memory to check a certificate");
    }
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, authority->now);
    (void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN |
                                                 (authority->asks_crl ? X509_V_FLAG_CRL_CHECK : 0));
    bool good = X509_verify_cert(ctx) == 1;
    int why = X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return good || err_set(err, why == X509_V_ERR_OUT_OF_MEM ? ERR_NO_MEMORY : ERR_REFUSED, "%s",
                           X509_verify_cert_error_string(why));
}

bool sealing_certificate_check(const struct sealing_authority *authority, const char *device,
                               struct bytes der, struct err *err)
{
    X509 *certificate = certificate_of(der);
    bool ok = certificate != NULL
                  ? chain_check(authority, certificate, err) && fits(certificate, device, err)
                  : err_set(err, ERR_REFUSED, "it is not a certificate (DER)");
    X509_free(certificate);
    return ok || err_context(err, "the sealing certificate of %s is not trusted", device);
}

static X509 *first_of(struct bytes content)
{
    BIO *bio = BIO_new_mem_buf(content.data, (int)content.length);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return certificate != NULL ? certificate : certificate_of(content);
}

bool sealing_certificate_read(const char *path, struct buf *ret_certificate, struct err *err)
{
    struct buf content = {0};
    if (!file_read(path, FILE_BYTES, &content, err))
        return false;
    X509 *certificate = first_of(buf_bytes(&content));
    buf_done(&content);
    if (certificate == NULL)
        return err_set(err, ERR_INVALID, "%s: no certificate, PEM or DER", path);
    int length = i2d_X509(certificate, NULL);
    uint8_t *to = length > 0 && length <= SEALED_CERTIFICATE_BYTES
                      ? buf_reserve(ret_certificate, (size_t)length, err)
                      : NULL;
    if (to != NULL)
        ret_certificate->length += (size_t)i2d_X509(certificate, &to);
    else if (length <= 0 || length > SEALED_CERTIFICATE_BYTES)
        err_set(err, ERR_INVALID, "%s: a certificate of more than %d bytes", path,
                SEALED_CERTIFICATE_BYTES);
    X509_free(certificate);
    return to != NULL;
}
