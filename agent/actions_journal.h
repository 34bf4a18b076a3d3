/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ACTIONS_JOURNAL_H
#define AGENT_ACTIONS_JOURNAL_H

#include "agent/actions.h"
#include "base/buf.h"

/* The journal of actions on the medium: one file beside spool and registry, so that neither takes
 * it along when it is lost or put back. */
enum { ACTIONS_JOURNAL_BYTES = 256 * 1024 };

/* Whole or not at all; on the medium when it returns true. */
bool actions_journal_write(const char *path, const struct actions *actions,
                           struct err *err) MUSTER_CHECK;
/* ERR_NOT_FOUND: there is none; ERR_INVALID: it is damaged. */
bool actions_journal_read(const char *path, struct actions *ret_actions,
                          struct err *err) MUSTER_CHECK;
/* The same of bytes. */
bool actions_journal_take(struct bytes file, struct actions *ret_actions,
                          struct err *err) MUSTER_CHECK;

#endif
