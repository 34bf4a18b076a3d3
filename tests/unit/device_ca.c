/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/device_ca.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S };

static void add_name(X509_NAME *to, const char *name)
{
    assert_int_equal(X509_NAME_add_entry_by_NID(to, NID_commonName, MBSTRING_UTF8,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
}

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *begin(const char *name, EVP_PKEY *key, long serial, long begins_s, long ends_s)
{
    X509 *certificate = X509_new();
    assert_non_null(certificate);
    assert_int_equal(X509_set_version(certificate, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), begins_s));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), ends_s));
    add_name(X509_get_subject_name(certificate), name);
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    return certificate;
}

void device_ca_make(struct device_ca *ca, const char *name)
{
    ca->key = EVP_EC_gen("P-256");
    assert_non_null(ca->key);
    ca->certificate = begin(name, ca->key, 1, -2 * (long)DAY_S, 30 * (long)DAY_S);
    X509_set_issuer_name(ca->certificate, X509_get_subject_name(ca->certificate));
    extend(ca->certificate, ca->certificate, NID_basic_constraints, "critical,CA:TRUE");
    extend(ca->certificate, ca->certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    extend(ca->certificate, ca->certificate, NID_subject_key_identifier, "hash");
    assert_true(X509_sign(ca->certificate, ca->key, EVP_sha256()) > 0);
}

void device_ca_done(struct device_ca *ca)
{
    EVP_PKEY_free(ca->key);
    X509_free(ca->certificate);
}

static void write_bio(BIO *bio, const char *path)
{
    char *pem = NULL;
    long length = BIO_get_mem_data(bio, &pem);
    assert_true(file_write(path, bytes_of(pem, (size_t)length), 0644, NULL));
    BIO_free(bio);
}

void device_ca_write(const struct device_ca *ca, const char *path)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, ca->certificate), 1);
    write_bio(bio, path);
}

void device_ca_sign(const struct device_ca *ca, EVP_PKEY *key, const struct device_ca_order *order,
                    struct buf *ret_der)
{
    bool dated = order->begins_s != 0 || order->ends_s != 0;
    X509 *made = begin(order->name, key, order->serial != 0 ? order->serial : 2,
                       dated ? order->begins_s : -(long)HOUR_S, dated ? order->ends_s : DAY_S);
    const char *use = order->use != NULL ? order->use : "critical,keyAgreement";
    if (order->second_name != NULL)
        add_name(X509_get_subject_name(made), order->second_name);
    X509_set_issuer_name(made, X509_get_subject_name(ca->certificate));
    extend(made, ca->certificate, NID_basic_constraints,
           order->constraints != NULL ? order->constraints : "critical,CA:FALSE");
    extend(made, ca->certificate, NID_subject_key_identifier, "hash");
    if (use[0] != '\0')
        extend(made, ca->certificate, NID_key_usage, use);
    if (order->extended != NULL)
        extend(made, ca->certificate, NID_ext_key_usage, order->extended);
    assert_true(X509_sign(made, ca->key, EVP_sha256()) > 0);
    uint8_t *to = buf_reserve(ret_der, 4096, NULL);
    assert_true(to != NULL && i2d_X509(made, NULL) <= 4096);
    ret_der->length += (size_t)i2d_X509(made, &to);
    X509_free(made);
}

void device_ca_sign_request(const struct device_ca *ca, const char *pem,
                            const struct device_ca_order *order, struct buf *ret_der)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    assert_non_null(request);
    EVP_PKEY *key = X509_REQ_get0_pubkey(request);
    assert_int_equal(X509_REQ_verify(request, key), 1);
    device_ca_sign(ca, key, order, ret_der);
    X509_REQ_free(request);
    BIO_free(bio);
}

void device_ca_revoke(const struct device_ca *ca, const long *serials, size_t count, long ends_s,
                      const char *path)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -(long)HOUR_S);
    ASN1_TIME *ends = X509_gmtime_adj(NULL, ends_s);
    BIO *bio = BIO_new(BIO_s_mem());
    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->certificate));
    X509_CRL_set1_lastUpdate(crl, now);
    X509_CRL_set1_nextUpdate(crl, ends);
    for (size_t i = 0; i < count; i++) {
        X509_REVOKED *revoked = X509_REVOKED_new();
        ASN1_INTEGER *serial = ASN1_INTEGER_new();
        ASN1_INTEGER_set(serial, serials[i]);
        X509_REVOKED_set_serialNumber(revoked, serial);
        X509_REVOKED_set_revocationDate(revoked, now);
        X509_CRL_add0_revoked(crl, revoked);
        ASN1_INTEGER_free(serial);
    }
    X509_CRL_sort(crl);
    assert_true(X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509_CRL(bio, crl), 1);
    write_bio(bio, path);
    ASN1_TIME_free(now);
    ASN1_TIME_free(ends);
    X509_CRL_free(crl);
}
