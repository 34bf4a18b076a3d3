/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_SEALING_H
#define STORAGE_FLEETDB_SEALING_H

#include "storage/fleetdb.h"

/* The newest certificate (DER) of each device's sealing key. Who seals checks it; here it is bytes.
 */

/* `*ret_changed` is false when it was the same before. One transaction, with an audit row. */
bool fleetdb_sealing_put(struct fleetdb *db, int64_t device, struct bytes certificate,
                         const char *who, int64_t now_ms, bool *ret_changed,
                         struct err *err) MUSTER_CHECK;
/* Appends it; nothing is appended when there is none. */
bool fleetdb_sealing_get(struct fleetdb *db, int64_t device, struct buf *out,
                         struct err *err) MUSTER_CHECK;

#endif
