/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_ACTION_H
#define PROTO_ACTION_H

#include "proto/desired.pb-c.h"
#include "proto/record.pb-c.h"

#include <stdbool.h>

/* What both sides, and people, call the actions of a manifest. */

/* "selfcheck" "resync" "logs" "restart-application" "reboot" "sign-on" "reset-registration"
 * "apply", or "unknown". */
const char *action_word(int kind);
/* ACTION_UNKNOWN: there is none of that name. */
Muster__ActionKind action_of_word(const char *word);
/* All of them, with commas. */
const char *action_words(void);
/* "waiting" "started" "done" "failed" "expired" "refused" "outcome unknown", or "open". */
const char *action_step_word(int step);
/* It will never be done (again). */
bool action_is_over(int step);
/* [a-z0-9-]{1,36} */
bool action_id_valid(const char *id);

#endif
