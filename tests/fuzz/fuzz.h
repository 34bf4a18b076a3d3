/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "proto/unpack.h"

#include <stdlib.h>

/* libFuzzer calls it with bytes of its own making; each target defines it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the bytes are; libFuzzer keeps the input that broke it. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* Unpacks a foreign message. If it is accepted, it must pack to bytes that unpack to the same,
 * and its memory must have stayed within the arena's limit. */
void fuzz_unpack(const ProtobufCMessageDescriptor *type, struct bytes in, size_t max_bytes);

#endif
