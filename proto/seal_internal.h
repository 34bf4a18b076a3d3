/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_SEAL_INTERNAL_H
#define PROTO_SEAL_INTERNAL_H

#include "proto/seal.h"

#include <openssl/evp.h>

/* What keys.c and seal.c share of a key. */
enum { SPKI_BYTES = 44, SPKI_HEAD_BYTES = 12, SIGNATURE_BYTES = 64 };

struct verify_key {
    EVP_PKEY *pkey;            /* NULL: */
    ed25519_verifier verifier; /* verifies */
    uint8_t spki[SPKI_BYTES];  /* behind its head the key itself */
    uint8_t id[KEY_ID_BYTES];
};

struct sign_key {
    struct verify_key key; /* whose pkey holds the private half too, unless `signer` has it */
    struct signer signer;
    bool trusted; /* the signer is made of the very key: what it signs needs no check */
};

#endif
