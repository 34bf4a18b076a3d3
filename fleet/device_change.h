/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_DEVICE_CHANGE_H
#define FLEET_DEVICE_CHANGE_H

#include "storage/fleetdb_portrait.h"
#include "storage/fleetdb_standing.h"

/* What a change does to one device, told to the audit in one row; keys by the first 8 bytes of
 * their SHA-256, in hex. */
struct device_change {
    struct buf before;
};

/* Before it changes; `device` 0: it will be new. */
bool device_change_begin(struct fleetdb *db, int64_t device, struct device_change *change,
                         struct err *err) MUSTER_CHECK;
/* What has changed since, "": nothing. */
bool device_change_text(struct fleetdb *db, int64_t device, const struct device_change *change,
                        char text[PORTRAIT_TEXT_BYTES], struct err *err) MUSTER_CHECK;
/* Writes the row, in the transaction of the change; nothing where nothing has changed. */
bool device_change_audit(struct fleetdb *db, int64_t device, const struct device_change *change,
                         const char *what, const struct fleetdb_change *by,
                         struct err *err) MUSTER_CHECK;
void device_change_done(struct device_change *change);

#endif
