/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_MIXED_H
#define PROTO_MIXED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One number that mixes several remainders, as hours mix minutes: see Series in batch.proto. */
enum { MIXED_BYTES = 128 };
#define MIXED_DIVISOR_MAX (UINT64_C(1) << 32)

struct mixed {
    uint8_t bytes[MIXED_BYTES]; /* lowest first */
    size_t length;              /* bytes in use */
};

/* number * divisor + remainder; false beyond MIXED_BYTES. */
bool mixed_put(struct mixed *mixed, uint64_t divisor, uint64_t remainder);
/* Returns number % divisor and leaves number / divisor. */
uint64_t mixed_take(struct mixed *mixed, uint64_t divisor);

#endif
