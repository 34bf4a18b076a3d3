/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_COMMAND_FEED_H
#define AGENT_COMMAND_FEED_H

#include "agent/command.h"

/* Feeds the agent with the JSON lines of `path` ("-": standard input), many under way at a time so
 * that they share commits. When the agent restarts, what it had not answered is sent again under
 * the same keys. Returns an exit code. */
int command_feed(const struct command_options *options, const char *path);

#endif
