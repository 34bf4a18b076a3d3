/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_TIMED_DISK_H
#define TESTS_BENCH_TIMED_DISK_H

#include <stdint.h>

/* CPU nanoseconds spent so far in what base/file_effects.h does, the kernel's part included. */
int64_t timed_disk_ns(void);

#endif
