/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/seal.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>

void sha256(struct bytes data, uint8_t ret_digest[32])
{
    if (!SHA256(data.data, data.length, ret_digest))
        abort(); /* OpenSSL without SHA-256 is no OpenSSL */
}

struct sha256_state {
    EVP_MD_CTX *md;
};

struct sha256_state *sha256_begin(void)
{
    struct sha256_state *state = calloc(1, sizeof *state);
    if (!state)
        return NULL;
    state->md = EVP_MD_CTX_new();
    if (!state->md || EVP_DigestInit_ex(state->md, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(state->md);
        free(state);
        return NULL;
    }
    return state;
}

void sha256_add(struct sha256_state *state, struct bytes data)
{
    if (EVP_DigestUpdate(state->md, data.data, data.length) != 1)
        abort();
}

void sha256_next(struct sha256_state *state, uint8_t ret_digest[32])
{
    if (EVP_DigestFinal_ex(state->md, ret_digest, NULL) != 1 ||
        EVP_DigestInit_ex(state->md, NULL, NULL) != 1)
        abort();
}

void sha256_end(struct sha256_state *state, uint8_t ret_digest[32])
{
    if (EVP_DigestFinal_ex(state->md, ret_digest, NULL) != 1)
        abort();
    EVP_MD_CTX_free(state->md);
    free(state);
}
