/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_WEEK_AGO_H
#define FLEET_WEEK_AGO_H

#include "fleet/zone.h"
#include "storage/fleetdb_rates.h"

/* The same window a week before, by the clock on the wall: a shop that opens at nine is compared
 * with nine, also when the clocks were changed in between. */
struct week_ago {
    char zone[ZONE_NAME_CHARS + 1];
    int64_t from_ms, to_ms; /* empty: there is none that does not overlap */
};

/* By the clock of `zone`, or with NULL of where all that the question is about is; of `unsaid`
 * where that is nowhere, or several. ERR_INVALID: there is no such zone here. */
bool week_ago_find(struct fleetdb *db, const struct fleetdb_question *question, const char *zone,
                   const char *unsaid, struct week_ago *ret_ago, struct err *err) MUSTER_CHECK;

#endif
