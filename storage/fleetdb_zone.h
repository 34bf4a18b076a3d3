/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_ZONE_H
#define STORAGE_FLEETDB_ZONE_H

#include "storage/fleetdb_rates.h"

enum { FLEETDB_ZONE_BYTES = 64 + 1 };

/* The time zone of all stores that a question is about: of the store, merchant or region that it
 * chooses, or of where its devices stand now, or else of the part of the fleet that it may see.
 * Stores without devices count only where there are no others. "" where they have several, where
 * nobody has said one, and of all the fleet. */
bool fleetdb_zone_of(struct fleetdb *db, const struct fleetdb_question *question,
                     char ret_zone[FLEETDB_ZONE_BYTES], struct err *err) MUSTER_CHECK;

#endif
