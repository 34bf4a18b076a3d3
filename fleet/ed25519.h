/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_ED25519_H
#define FLEET_ED25519_H

#include "proto/seal.h"

/*
 * Ed25519 through libsodium, which takes half of OpenSSL's time: for what musterd does for every
 * message. Terminals have OpenSSL alone. Of what either has made both say the same; libsodium also
 * refuses a public key of small order, for which anybody can sign, and which neither of them makes.
 */

/* As verify_key_of_spki. */
bool ed25519_verify_key(struct bytes spki, struct verify_key **ret_key,
                        struct err *err) MUSTER_CHECK;
/* `key` signs so from now on. Its private half is then also in pages of their own that are never
 * swapped, as far as the system lets us, and are wiped with the key. */
bool ed25519_sign_through(struct sign_key *key, struct err *err) MUSTER_CHECK;

#endif
