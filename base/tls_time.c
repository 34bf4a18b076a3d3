/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls_time.h"

/* Terminals are off for days, and certificates are renewed a month before they end. */
static const int64_t believed_ms = INT64_C(30) * 24 * 3600 * 1000;

struct tls_judge tls_time_judge(const struct tls_time *time, int64_t floor_ms, int64_t wall_ms,
                                int64_t boot_ms)
{
    int64_t passed_ms = boot_ms > time->boot_ms ? boot_ms - time->boot_ms : 0;
    int64_t proved_ms = time->at_least_ms > 0 ? time->at_least_ms + passed_ms : 0;
    struct tls_judge judge = {0};
    if (time->exact && proved_ms >= floor_ms) {
        judge.at_ms = proved_ms;
        return judge;
    }
    proved_ms = proved_ms > floor_ms ? proved_ms : floor_ms;
    if (proved_ms <= 0)
        return judge;
    judge.at_ms = wall_ms < proved_ms ? proved_ms : 0;
    judge.early = true;
    judge.expired_from_ms = wall_ms - believed_ms > proved_ms ? proved_ms : 0;
    return judge;
}
