/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PROBE_H
#define AGENT_PROBE_H

#include "proto/record.pb-c.h"

/* Fills what this machine can tell of itself: disk of `state_dir`, memory, load, temperature,
 * battery, network counters, the agent's own size and CPU time. What it cannot tell stays 0. */
void probe_host(const char *state_dir, Muster__Health *health);

#endif
