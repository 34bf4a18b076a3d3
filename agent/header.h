/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_HEADER_H
#define AGENT_HEADER_H

#include "proto/arena.h"
#include "proto/desired.pb-c.h"
#include "proto/trust.h"

/* The header of a document in a manifest: signed by enough keys of the role that may sign its
 * kind, of the epoch in force, and for this device. It lives in `arena`. Pure; a refusal carries
 * its reason. */
bool header_open(const struct trust *trust, const char *device, struct bytes envelope,
                 struct arena *arena, const Muster__DocumentHeader **ret_header,
                 struct err *err) MUSTER_CHECK;

#endif
