/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_SNAPSHOT_H
#define STORAGE_FLEETDB_SNAPSHOT_H

#include "storage/fleetdb.h"

/*
 * The fleet as it was committed at one moment, on a connection of its own: what is read in many
 * turns of the loop, while results are added, moved and removed, counts each once. The WAL is not
 * cut back as long as it is open.
 */
struct fleetdb_snapshot;
bool fleetdb_snapshot_open(struct fleetdb *db, struct fleetdb_snapshot **ret_snapshot,
                           struct err *err) MUSTER_CHECK;
/* After whatever reads it. */
void fleetdb_snapshot_close(struct fleetdb_snapshot *snapshot);

#endif
