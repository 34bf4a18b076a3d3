/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_REFUSALS_H
#define AGENT_REFUSALS_H

#include "proto/refusal.h"

#include <stdint.h>

/*
 * What was refused of what the fleet or the broker sent: counted, and when each reason is told as
 * an event: the first time at once, then ever more seldom while it goes on, so that a broker that
 * repeats itself costs neither bytes nor room in the spool. A pure state machine. Zero-initialised
 * is ready to use.
 */
enum { REFUSALS_REASONS = 96 };
struct refusals {
    uint64_t count;
    uint64_t unasked; /* welcomes that answered no hello of ours, which are usual: not in `count` */
    Muster__Refusal last;
    char why[256]; /* of the last one */
    int64_t next_ms[REFUSALS_REASONS];
    int64_t wait_ms[REFUSALS_REASONS];
};

/* Counts it. True: it should be told now. */
bool refusals_add(struct refusals *refusals, const struct err *err, int64_t now_ms);

#endif
