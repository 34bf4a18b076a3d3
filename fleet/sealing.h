/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SEALING_H
#define FLEET_SEALING_H

#include "base/buf.h"

/*
 * To whom is sealed: the certificate of a device's sealing key. Who seals asks this on his own
 * machine, of the CA that he was given: whoever holds musterd could hand out a certificate of his
 * own under a device's name.
 */
struct sealing_authority;

/* `ca`: the certificates (PEM) of the CA for devices, which are trusted as they stand. `crl`: what
 * it has revoked (PEM), NULL: nobody asks. Validity is judged at `now_ms`. */
bool sealing_authority_open(const char *ca, const char *crl, int64_t now_ms,
                            struct sealing_authority **ret_authority, struct err *err) MUSTER_CHECK;
void sealing_authority_close(struct sealing_authority *authority);
/* ERR_REFUSED says what is wrong: signed by another, not valid now, revoked, not this device's, or
 * not for sealing (a P-256 key with the use key agreement, and no TLS certificate). */
bool sealing_certificate_check(const struct sealing_authority *authority, const char *device,
                               struct bytes certificate, struct err *err) MUSTER_CHECK;

/* Whether it is a certificate for sealing to this device, whoever signed it: what musterd can say.
 */
bool sealing_certificate_fits(const char *device, struct bytes certificate,
                              struct err *err) MUSTER_CHECK;
/* The first certificate of a file, PEM or DER, as DER. */
bool sealing_certificate_read(const char *path, struct buf *ret_certificate,
                              struct err *err) MUSTER_CHECK;

#endif
