/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_FINAL_H
#define STORAGE_FLEETDB_FINAL_H

#include "storage/fleetdb.h"

/*
 * What a terminal is never to be without once it took it. A terminal remembers that for the whole
 * epoch, whatever it is assigned later, so the fleet does too: it is raised with each manifest, in
 * the transaction that keeps it.
 */
struct fleetdb_final {
    uint64_t version; /* the highest that was put in force and cannot go back; 0: none */
    uint64_t passed;  /* the first manifest since that named a newer version; 0: none did */
    bool taken;       /* the device says that it took that one, or a later one */
};
bool fleetdb_final_get(struct fleetdb *db, int64_t device, const char *name, uint64_t epoch,
                       struct fleetdb_final *ret_final, struct err *err) MUSTER_CHECK;

/* For fleetdb_manifest_put: by what the device is assigned, which is what that manifest says. */
bool fleetdb_final_raise(struct fleetdb *db, int64_t device, uint64_t manifest_version,
                         struct err *err) MUSTER_CHECK;

#endif
