/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes: whatever opens must hold the one body that was signed, and opens for OpenSSL and
 * libsodium alike. */
#include "fleet/ed25519.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/published_key.h"

#include <string.h>

static struct verify_key *published(bool through_sodium)
{
    uint8_t spki[44];
    struct verify_key *key = NULL;
    HOLDS(hex_decode(SPKI_PREFIX PUBLISHED_PUBLIC, 88, spki, sizeof spki));
    HOLDS(through_sodium ? ed25519_verify_key(bytes_of(spki, sizeof spki), &key, NULL)
                         : verify_key_of_spki(bytes_of(spki, sizeof spki), &key, NULL));
    return key;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct verify_key *keys[2];
    if (!keys[0]) {
        keys[0] = published(false);
        keys[1] = published(true);
    }
    const struct key_set set = {.keys = keys, .count = 1, .threshold = 1};
    const struct key_set fleet = {.keys = &keys[1], .count = 1, .threshold = 1};
    struct bytes body = {0}, same = {0};
    struct err err = {0};
    bool opened = unseal("manifest", "t-01", bytes_of(data, size), &set, &body, &err);
    HOLDS(unseal("manifest", "t-01", bytes_of(data, size), &fleet, &same, NULL) == opened);
    HOLDS(bytes_equal(body, same));
    if (opened)
        HOLDS(bytes_equal(body, bytes_of(PUBLISHED_BODY, strlen(PUBLISHED_BODY))));
    else
        HOLDS(!body.data && (err.code == ERR_INVALID || err.code == ERR_REFUSED));
    return 0;
}
