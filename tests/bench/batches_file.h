/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_BATCHES_FILE_H
#define TESTS_BENCH_BATCHES_FILE_H

#include <stdint.h>

/* A file of sealed batches, in the order in which they are sent: before each one this, in the
 * machine's own byte order, then `bytes` bytes. */
struct batches_head {
    uint64_t last_seq; /* of the batch */
    uint32_t device;   /* from 0 */
    uint32_t bytes;
    char id[32]; /* the device's, NUL-ended */
};

#endif
