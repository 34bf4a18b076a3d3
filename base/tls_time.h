/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TLS_TIME_H
#define BASE_TLS_TIME_H

#include <stdbool.h>
#include <stdint.h>

/*
 * At which time certificates are judged where the clock may be wrong. Pure.
 *
 * The clock is believed as long as it can be true. What is proved of the time (by signatures of the
 * fleet) stands above it: a clock before that is wrong, and one that is far beyond it may be. A
 * clock that may be wrong must not lock a terminal out for ever: a certificate is then good if it
 * may be good at any time that is not before the proved one. That lets an expired certificate pass
 * until the first welcome proves what time it is, and no longer.
 */
struct tls_time {
    int64_t at_least_ms, boot_ms; /* it was not earlier when time since boot was that; 0: unknown */
    bool exact;                   /* it was then, and since then no boot has ended */
};

struct tls_judge {
    int64_t at_ms; /* judge at this time; 0: at the clock's */
    /* What the judge calls not yet valid passes; what it calls expired passes if it was good at
     * `expired_from_ms`; 0: it does not. */
    bool early;
    int64_t expired_from_ms;
};
struct tls_judge tls_time_judge(const struct tls_time *time, int64_t floor_ms, int64_t wall_ms,
                                int64_t boot_ms);

#endif
