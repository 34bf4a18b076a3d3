/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_SEAL_INTERNAL_H
#define PROTO_SEAL_INTERNAL_H

#include "proto/seal.h"

#include <openssl/evp.h>

/* What keys.c and seal.c share of a key. */
enum { SPKI_BYTES = 44, SIGNATURE_BYTES = 64 };

struct verify_key {
    EVP_PKEY *pkey;
    uint8_t spki[SPKI_BYTES];
    uint8_t id[KEY_ID_BYTES];
};

struct sign_key {
    struct verify_key key; /* whose pkey holds the private half too, unless `signer` has it */
    struct signer signer;
};

#endif
