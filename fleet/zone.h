/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_ZONE_H
#define FLEET_ZONE_H

#include "fleet/opening.h"

/* A time zone by its name in the IANA data base ("Asia/Shanghai", "CET"), as GLib reads it from
 * this machine's tzdata. The process's own zone plays no part. */
struct zone;

enum { ZONE_NAME_CHARS = 64 };

/* Reads it, unless it was read within the last minute. For one thread.
 * ERR_INVALID: there is no such zone here. Offsets (UTC+8) and POSIX rules are refused, but for
 * those that are names of zones as well (EST5EDT): half of those who write one mean the other sign.
 */
bool zone_open(const char *name, struct zone **ret_zone, struct err *err) MUSTER_CHECK;
void zone_close(struct zone *zone);

/* What a clock on the wall shows there, as fleet/opening.h counts it. */
int64_t zone_wall_ms(const struct zone *zone, int64_t utc_ms);

/* The moment a week before at which it showed the same. Of an hour that it showed twice it is the
 * one by the same offset, and where it was set forward over it, the moment when it was. */
int64_t zone_week_before_ms(const struct zone *zone, int64_t utc_ms);

/* Whether a store there is open. */
bool zone_open_at(const struct zone *zone, const struct opening *opening, int64_t utc_ms);
/* For how much of [from_ms, to_ms) it is; a day that is set forward has 23 hours. */
int64_t zone_open_between(const struct zone *zone, const struct opening *opening, int64_t from_ms,
                          int64_t to_ms);

#endif
