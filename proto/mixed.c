/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/mixed.h"

bool mixed_put(struct mixed *mixed, uint64_t divisor, uint64_t remainder)
{
    uint64_t carry = remainder;
    for (size_t i = 0; i < mixed->length || carry > 0; i++) {
        if (i == MIXED_BYTES)
            return false;
        if (i == mixed->length)
            mixed->bytes[mixed->length++] = 0;
        carry += mixed->bytes[i] * divisor;
        mixed->bytes[i] = (uint8_t)carry;
        carry >>= 8;
    }
    return true;
}

uint64_t mixed_take(struct mixed *mixed, uint64_t divisor)
{
    uint64_t remainder = 0;
    for (size_t i = mixed->length; i-- > 0;) {
        uint64_t here = remainder << 8 | mixed->bytes[i];
        mixed->bytes[i] = (uint8_t)(here / divisor);
        remainder = here % divisor;
    }
    while (mixed->length > 0 && mixed->bytes[mixed->length - 1] == 0)
        mixed->length--;
    return remainder;
}
