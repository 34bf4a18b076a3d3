/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_TOKEN_H
#define FLEET_TOKEN_H

#include "proto/seal.h"

/*
 * Ed25519 keys that live on a PKCS#11 token, a smart card or a module, and never leave it. They are
 * named by a URI (RFC 7512): "pkcs11:token=Root;object=anna", with "?module-path=FILE" where
 * p11-kit does not know the token's library. The PIN comes from the file in "?pin-source=FILE",
 * from $MUSTERCTL_PIN, or is asked for on the terminal; in the URI itself it is refused, since
 * everybody on the machine may read a command line. It is tried once: tokens lock themselves.
 */
bool token_is_uri(const char *name);
/* ERR_NOT_FOUND: no such token or key; ERR_REFUSED: the token does not let us. */
bool token_sign_key(const char *uri, struct sign_key **ret_key, struct err *err) MUSTER_CHECK;
/* Its public half; no PIN where the token shows it to everybody, as most do. */
bool token_verify_key(const char *uri, struct verify_key **ret_key, struct err *err) MUSTER_CHECK;
/* Has the token make a key, which it will never give away, by the name ("object=") that the URI
 * says; ERR_CONFLICT if there is one. */
bool token_make_key(const char *uri, struct verify_key **ret_key, struct err *err) MUSTER_CHECK;
/* Whether it would, as far as the token tells before it does: nothing is made. */
bool token_may_make_key(const char *uri, struct err *err) MUSTER_CHECK;

#endif
