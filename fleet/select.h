/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SELECT_H
#define FLEET_SELECT_H

#include "base/buf.h"
#include "base/clock.h"
#include "storage/fleetdb_scope.h"

/* Whom a selector (fleet/selector.h) chooses in this fleet now. Labels, groups, places and states
 * are those of today; where a sale was made, its standing tells (storage/fleetdb_standing.h). */

/* Among the devices that are in the scope or were; of those that have left it is known what they
 * always are. Open, a turn after the other until it is done, read, close. ERR_INVALID: the selector
 * is wrong; ERR_NOT_FOUND: it names a group that there is not, or a label that no device has.
 * Choosing nobody is no error. */
struct select;
bool select_open(struct fleetdb *db, struct fleetdb_scope scope, const char *selector,
                 struct select **ret_select, struct err *err) MUSTER_CHECK;
bool select_turn(struct select *select, const struct clock *clock, bool *ret_done,
                 struct err *err) MUSTER_CHECK;
/* By name. */
bool select_each(const struct select *select,
                 bool (*each)(void *ctx, int64_t device, const char *id, struct err *err),
                 void *ctx, struct err *err) MUSTER_CHECK;
/* A JSON array of their rows; ERR_NOT_FOUND: none is so. */
bool select_rows(const struct select *select, struct buf *ret_rows, struct err *err) MUSTER_CHECK;
/* The moment that it is of, given to the caller; NULL: it took but one turn. */
struct fleetdb_snapshot *select_take_snapshot(struct select *select);
/* NULL is fine. */
void select_close(struct select *select);

/* Whether a group may have this selector: it is well formed and names no group. */
bool select_fit_for_group(const char *selector, struct err *err) MUSTER_CHECK;

#endif
