/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_DEVICE_CA_H
#define TESTS_UNIT_DEVICE_CA_H

#include "base/buf.h"

#include <openssl/x509.h>

/* The operator's CA for devices, as a test needs it: it signs right and wrong certificates. */
struct device_ca {
    EVP_PKEY *key;
    X509 *certificate;
};

void device_ca_make(struct device_ca *ca, const char *name);
void device_ca_done(struct device_ca *ca);
void device_ca_write(const struct device_ca *ca, const char *path); /* its certificate, PEM */

/* What a certificate says; zero-initialised it is a good one for the name, for a day. */
struct device_ca_order {
    const char *name;
    const char *second_name; /* NULL: one CN */
    const char *use;         /* keyUsage; NULL: "critical,keyAgreement", "": none */
    const char *extended;    /* extendedKeyUsage; NULL: none */
    const char *constraints; /* NULL: "critical,CA:FALSE" */
    long begins_s, ends_s;   /* from now; 0 and 0: an hour ago, in a day */
    long serial;
};

/* A certificate (DER) for the key of a PEM request, or for `key`. */
void device_ca_sign_request(const struct device_ca *ca, const char *pem,
                            const struct device_ca_order *order, struct buf *ret_der);
void device_ca_sign(const struct device_ca *ca, EVP_PKEY *key, const struct device_ca_order *order,
                    struct buf *ret_der);
/* A CRL (PEM) with these serial numbers, good from now for so long. */
void device_ca_revoke(const struct device_ca *ca, const long *serials, size_t count, long ends_s,
                      const char *path);

#endif
