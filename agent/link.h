/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LINK_H
#define AGENT_LINK_H

#include "agent/link_settings.h"

#include <uv.h>

/*
 * muster-link: carries messages between the agent's socket and the broker, and knows nothing of
 * what is in them. It holds the TLS key and no other. The session with the broker lives only while
 * the agent is joined, so that a message that comes down always has somebody to take it.
 */
struct link;

/* Settings and files must be good; neither the agent nor the broker need be there. */
bool link_open(uv_loop_t *loop, const struct link_settings *settings, struct link **ret_link,
               struct err *err) MUSTER_CHECK;
/* Lets go of both sides; free it when the loop has run out. */
void link_close(struct link *link);
void link_free(struct link *link);

/* What link_open would refuse. */
bool link_check(const struct link_settings *settings, struct err *err) MUSTER_CHECK;

#endif
