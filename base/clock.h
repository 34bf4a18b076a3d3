/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/err.h"

#include <stdint.h>

/* The one seam to time. Milliseconds in int64_t everywhere: time_t is 4 bytes on armhf. */
struct clock {
    int64_t (*wall_ms)(void *ctx); /* since 1970-01-01 UTC; may jump, may be wrong */
    int64_t (*boot_ms)(void *ctx); /* since boot, suspend included; never goes back */
    void *ctx;
};

extern const struct clock clock_real;

static inline int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock->ctx);
}
static inline int64_t clock_boot_ms(const struct clock *clock)
{
    return clock->boot_ms(clock->ctx);
}

/* The kernel's random id of this boot (/proc/sys/kernel/random/boot_id), 16 bytes. */
bool clock_boot_id(uint8_t ret_id[16], struct err *err) MUSTER_CHECK;

/* "2026-11-22T12:38:59.123Z"; `text` takes 32 bytes. */
void clock_format(int64_t wall_ms, char text[32]);

/* Cryptographic random bytes (getrandom). Aborts when the kernel has none to give. */
void random_bytes(void *data, size_t length);
uint64_t random_u64(void);

#endif
