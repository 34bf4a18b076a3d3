/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_HELPER_H
#define AGENT_HELPER_H

#include "agent/helper_settings.h"

#include <uv.h>

/*
 * muster-helper: does what the agent may not, and nothing else. Whoever its settings name (by
 * SO_PEERCRED, unix(7)) asks for a verb; each stands for one command of those settings, run without
 * a shell and without a word from outside, one at a time, for a limited time, after which its whole
 * process group is killed.
 */
struct helper;

bool helper_open(uv_loop_t *loop, const struct helper_settings *settings,
                 struct helper **ret_helper, struct err *err) MUSTER_CHECK;
/* Lets nobody in any more; what runs is waited for on the loop. */
void helper_close(struct helper *helper);
void helper_free(struct helper *helper);

#endif
