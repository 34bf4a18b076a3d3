/* SPDX-License-Identifier: Apache-2.0 */
/* The trust root is read before its signatures can be checked: it carries the keys. */
#include "proto/trust.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trust *trust = NULL;
    struct err err = {0};
    if (!trust_open(bytes_of(data, size), &trust, &err)) {
        HOLDS(!trust && err.code != ERR_NONE);
        return 0;
    }
    HOLDS(trust_version(trust) > 0);
    HOLDS(trust_keys(trust, MUSTER__ROLE__ROLE_ROOT)->count > 0);
    trust_free(trust);
    return 0;
}
