/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/mixed.h"

/* Of one division: a divisor and what remains have no more. */
enum { WORD_BYTES = 4 };

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

/* Divides `width` bytes and the remainder of those above them; returns what remains of both. The
 * quotient fits there, for that remainder is below the divisor. */
static inline uint64_t divide(uint8_t *bytes, size_t width, uint64_t above, uint64_t divisor)
{
    uint64_t number = above;
    for (size_t i = width; i-- > 0;)
        number = number << 8 | bytes[i];
    uint64_t quotient = number / divisor;
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(quotient >> 8 * i);
    return number % divisor;
}

uint64_t mixed_take(struct mixed *mixed, uint64_t divisor)
{
    uint64_t remainder = 0;
    size_t at = mixed->length;
    for (; at % WORD_BYTES != 0; at--)
        remainder = divide(&mixed->bytes[at - 1], 1, remainder, divisor);
    for (; at > 0; at -= WORD_BYTES) /* a division costs the same for a byte as for four */
        remainder = divide(&mixed->bytes[at - WORD_BYTES], WORD_BYTES, remainder, divisor);
    while (mixed->length > 0 && mixed->bytes[mixed->length - 1] == 0)
        mixed->length--;
    return remainder;
}
