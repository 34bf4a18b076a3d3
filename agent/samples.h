/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SAMPLES_H
#define AGENT_SAMPLES_H

#include "proto/record.pb-c.h"

#include <stdbool.h>

/*
 * Health samples summed up, so that a terminal that pays for each byte tells of all of them in one
 * record now and then: the newest sample as it is (counters only ever rise), and of what goes up
 * and down between two the worst. Pure. What is summed up is in memory until it is recorded: a
 * power cut loses the samples of that time, as it loses those that were never taken.
 */
struct samples {
    uint32_t count;
    int64_t first_ms; /* boot time of the first */
    int32_t signal_min_dbm;
    int32_t temperature_max_mc;
    uint64_t memory_min_bytes;
    uint32_t load_max_permille;
};

void samples_add(struct samples *samples, const Muster__Health *sample);
/* The samples since the first one fill a record of `record_ms`, taken every `every_ms`. */
bool samples_due(const struct samples *samples, int64_t now_ms, int64_t every_ms,
                 int64_t record_ms);
/* Says in the newest sample, which has been added, what the others were, and begins anew. What
 * would only repeat the newest stays 0: that costs nothing on the wire. */
void samples_tell(struct samples *samples, Muster__Health *newest);

#endif
