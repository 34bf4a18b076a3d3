/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SELECT_H
#define FLEET_SELECT_H

#include "base/buf.h"
#include "storage/fleetdb_scope.h"

/* Whom a selector (fleet/selector.h) chooses in this fleet now. Labels, groups, places and states
 * are those of today; where a sale was made, its standing tells (storage/fleetdb_standing.h). */

/* Among the devices that are in the scope or were; of those that have left it is known what they
 * always are. By name. ERR_INVALID: the selector is wrong; ERR_NOT_FOUND: it names a group that
 * there is not, or a label that no device has. Choosing nobody is no error. */
bool select_devices(struct fleetdb *db, struct fleetdb_scope scope, const char *selector,
                    bool (*each)(void *ctx, int64_t device, const char *id, struct err *err),
                    void *ctx, struct err *err) MUSTER_CHECK;

/* The same as a JSON array of their rows; ERR_NOT_FOUND: none is so. */
bool select_rows(struct fleetdb *db, struct fleetdb_scope scope, const char *selector,
                 struct buf *ret_rows, struct err *err) MUSTER_CHECK;

/* Whether a group may have this selector: it is well formed and names no group. */
bool select_fit_for_group(const char *selector, struct err *err) MUSTER_CHECK;

#endif
