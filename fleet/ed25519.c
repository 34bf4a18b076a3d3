/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ed25519.h"

#include <sodium.h>

static bool start(struct err *err)
{
    return sodium_init() >= 0 || err_set(err, ERR_IO, "libsodium does not start");
}

static bool verify(const uint8_t public[32], struct bytes text, const uint8_t signature[64])
{
    return crypto_sign_ed25519_verify_detached(signature, text.data, text.length, public) == 0;
}

bool ed25519_verify_key(struct bytes spki, struct verify_key **ret_key, struct err *err)
{
    return start(err) && verify_key_through(spki, verify, ret_key, err);
}

static bool sign(void *ctx, struct bytes text, uint8_t ret_signature[64], struct err *err)
{
    return crypto_sign_ed25519_detached(ret_signature, NULL, text.data, text.length, ctx) == 0 ||
           err_set(err, ERR_IO, "signing failed");
}

static bool make_signer(const uint8_t private[32], struct signer *ret_signer, struct err *err)
{
    uint8_t public[crypto_sign_ed25519_PUBLICKEYBYTES];
    uint8_t *secret = sodium_malloc(crypto_sign_ed25519_SECRETKEYBYTES);
    if (secret == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a private key");
    (void)crypto_sign_ed25519_seed_keypair(public, secret, private);
    (void)sodium_mprotect_readonly(secret);
    *ret_signer = (struct signer){.sign = sign, .close = sodium_free, .ctx = secret};
    return true;
}

bool ed25519_sign_through(struct sign_key *key, struct err *err)
{
    return start(err) && sign_key_through(key, make_signer, err);
}
