/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CENSUS_H
#define FLEET_CENSUS_H

#include "base/clock.h"
#include "fleet/selector.h"
#include "storage/fleetdb_scope.h"

/*
 * How many devices each of many selectors chooses, which name no groups: what is so of the devices
 * is read once for all of them, then each is counted in memory. Who is for a part of the fleet is
 * told of that part.
 */
struct census;

/* `fields`: a JSON array of all that the selectors ask about, "device" among them. */
bool census_open(struct fleetdb *db, struct fleetdb_scope scope, const char *fields,
                 struct census **ret_census, struct err *err) MUSTER_CHECK;
/* Reads for a turn of the loop; what is counted before all is read is not all. */
bool census_turn(struct census *census, const struct clock *clock, bool *ret_done,
                 struct err *err) MUSTER_CHECK;
/* ERR_NOT_FOUND, as of select_devices: it names a label that no device has. */
bool census_count(struct census *census, const struct selector *selector, int64_t *ret_count,
                  struct err *err) MUSTER_CHECK;
void census_close(struct census *census);

#endif
