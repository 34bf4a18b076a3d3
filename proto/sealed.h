/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_SEALED_H
#define PROTO_SEALED_H

#include "base/buf.h"

/*
 * What only one device may read: CMS AuthEnvelopedData (RFC 5083), DER, AES-256-GCM, its key
 * agreed upon with the one P-256 key that the device's certificate names (RFC 5753, ephemeral-
 * static ECDH). Who seals takes the certificate as checked: that is fleet/sealing.h. Any OpenSSL
 * opens it:
 *
 *   openssl cms -decrypt -inform DER -in FILE -inkey sealing.pem
 */
enum { SEALED_CERTIFICATE_BYTES = 8 * 1024 };

struct sealing_key; /* the private half: what is sealed to the device opens with it */

/* The private key is a PEM (PKCS #8) file; one that others may read is refused. */
bool sealing_key_read(const char *path, struct sealing_key **ret_key, struct err *err) MUSTER_CHECK;
/* Makes one, mode 0600; an existing file is ERR_CONFLICT. */
bool sealing_key_make(const char *path, struct sealing_key **ret_key, struct err *err) MUSTER_CHECK;
void sealing_key_free(struct sealing_key *key);
/* Tells one key from another: the hash of its public half (SPKI, DER). */
bool sealing_key_digest(const struct sealing_key *key, uint8_t ret_sha256[32],
                        struct err *err) MUSTER_CHECK;
/* Appends a certification request (PKCS #10, PEM) for `device`: CN, and key agreement as its use.
 */
bool sealing_key_request(const struct sealing_key *key, const char *device, struct buf *ret_pem,
                         struct err *err) MUSTER_CHECK;

/* Appends the sealed content. ERR_INVALID: no certificate of a P-256 key. */
bool sealed_make(struct bytes certificate, struct bytes content, struct buf *out,
                 struct err *err) MUSTER_CHECK;
/* The content, shorter than `sealed`. ERR_REFUSED: sealed to another key, changed since, or not of
 * the form above; the reason is CONTENT_SEALED. */
bool sealed_open(const struct sealing_key *key, struct bytes sealed, struct buf *ret_content,
                 struct err *err) MUSTER_CHECK;
/* Frees what was secret and leaves nothing of it in memory. */
void secret_done(struct buf *secret);

#endif
