/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_FLOORS_H
#define AGENT_FLOORS_H

#include "agent/desired.h"

/* Versions below which nothing is accepted, and how a manifest raises them. They are of one epoch:
 * a higher one starts afresh, and that undoes what a thief has raised too far. Pure; what is
 * refused carries its reason. */

/* Refuses what is below a floor, contradicts what was accepted before, or takes back what cannot go
 * back. What was accepted last always passes. */
bool floors_check(const struct registry_floors *floors, const struct desired *desired,
                  struct err *err) MUSTER_CHECK;
/* The same question; `ret_floors` has the floors with this manifest counted in. */
bool floors_take(const struct registry_floors *floors, const struct desired *desired,
                 struct registry_floors *ret_floors, struct err *err) MUSTER_CHECK;

#endif
