/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_CARRY_H
#define STORAGE_FLEETDB_CARRY_H

#include "storage/fleetdb_standing.h"

/* For the fleetdb files of this folder only: which device carries which logical terminals, and
 * what of that an acquirer has to be told. Steps of the caller's transaction. */

/* From now on the device carries the logical terminal in its slot, where it carries nothing else.
 * ERR_CONFLICT: another device does. */
bool fleetdb_carry(struct fleetdb *db, int64_t device, const struct fleetdb_terminal *terminal,
                   int64_t merchant, const struct fleetdb_change *change,
                   struct err *err) MUSTER_CHECK;
/* ERR_CONFLICT: a device carries the MID for another merchant. */
bool fleetdb_carry_check_mid(struct fleetdb *db, const struct fleetdb_terminal *terminal,
                             int64_t merchant, struct err *err) MUSTER_CHECK;
/* What is not among these, in its very slot, is carried no more. */
bool fleetdb_carry_only(struct fleetdb *db, int64_t device,
                        const struct fleetdb_terminal *terminals, size_t count,
                        const struct fleetdb_change *change, struct err *err) MUSTER_CHECK;
/* `to` goes on with all that `from` carries. */
bool fleetdb_carry_over(struct fleetdb *db, int64_t from, int64_t to,
                        const struct fleetdb_change *change, struct err *err) MUSTER_CHECK;
bool fleetdb_carry_count(struct fleetdb *db, int64_t device, int64_t *ret_count,
                         struct err *err) MUSTER_CHECK;
/* The acquirers of all that it carries are to be told its new address. */
bool fleetdb_carry_moved(struct fleetdb *db, int64_t device, const struct fleetdb_change *change,
                         struct err *err) MUSTER_CHECK;
/* After fleetdb_standing_follow: what is still to be registered is so where it stands now. */
bool fleetdb_duties_follow(struct fleetdb *db, int64_t device, struct err *err) MUSTER_CHECK;
bool fleetdb_duties_follow_store(struct fleetdb *db, int64_t store, struct err *err) MUSTER_CHECK;

#endif
