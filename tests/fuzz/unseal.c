/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes: whatever opens must hold the one body that was signed. */
#include "proto/seal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/published_key.h"

#include <string.h>

static struct verify_key *published(void)
{
    uint8_t spki[44];
    struct verify_key *key = NULL;
    HOLDS(hex_decode(SPKI_PREFIX PUBLISHED_PUBLIC, 88, spki, sizeof spki));
    HOLDS(verify_key_of_spki(bytes_of(spki, sizeof spki), &key, NULL));
    return key;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct verify_key *keys[1];
    if (!keys[0])
        keys[0] = published();
    struct key_set set = {.keys = keys, .count = 1, .threshold = 1};
    struct bytes body = {0};
    struct err err = {0};
    if (unseal("manifest", "t-01", bytes_of(data, size), &set, &body, &err))
        HOLDS(bytes_equal(body, bytes_of(PUBLISHED_BODY, strlen(PUBLISHED_BODY))));
    else
        HOLDS(!body.data && (err.code == ERR_INVALID || err.code == ERR_REFUSED));
    return 0;
}
