/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_WARP_H
#define TESTS_BENCH_WARP_H

#include <stdint.h>

/*
 * Simulated time for a whole process: the program's clock_gettime stands in front of the C
 * library's, so that libuv, libmosquitto and all of Muster live in it unchanged. From warp_start on
 * time stands still and only warp_to moves it. (OpenSSL asks time(2), and the kernel nobody: both
 * stay in real time.)
 */
void warp_start(int64_t wall_ms);
int64_t warp_ms(void);      /* since boot, simulated */
int64_t warp_wall_ms(void); /* the same as wall time */
void warp_to(int64_t boot_ms);
int64_t warp_real_ms(void); /* the kernel's */

/* Connections that are begun from now on have segments of at most so many bytes, as on a line that
 * is no loopback. */
void warp_segments(int bytes);
/* What a TCP socket has sent and received since it was opened (TCP_INFO); 0 of a closed one. */
void warp_counts(int fd, uint64_t *ret_bytes, uint64_t *ret_segments);

#endif
