/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_STANDBY_H
#define AGENT_STANDBY_H

#include "agent/settings.h"

#include <uv.h>

/*
 * The agent while its spool cannot be opened, on a disk that is full or cannot be written: it takes
 * no record, for it could not keep it, and says so at once to each client that hands one over;
 * `muster status` tells why; and it tries again.
 */
struct standby;

/* `why` it could not be opened; after `wait_ms` `again` is called once. */
bool standby_open(uv_loop_t *loop, const struct agent_settings *settings, const struct err *why,
                  int64_t wait_ms, void (*again)(void *ctx), void *ctx,
                  struct standby **ret_standby, struct err *err) MUSTER_CHECK;
/* The loop then runs out by itself. */
void standby_close(struct standby *standby);
/* After it has. */
void standby_free(struct standby *standby);

#endif
