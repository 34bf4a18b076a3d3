/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_ACTIONS_H
#define FLEET_CTL_ACTIONS_H

#include "fleet/ctl.h"

/* Actions as the API lists them, as a table; `devices`: with whose they are. */
bool ctl_actions_print(struct ctl *ctl, const json_t *list, bool devices);

#endif
