/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_CHANGES_H
#define STORAGE_FLEETDB_CHANGES_H

#include "storage/fleetdb_scope.h"

/* The audit: who changed what, and what musterd did by itself. Rows are only ever added. */
struct fleetdb_change_row {
    int64_t change; /* its row: rises with every change */
    int64_t at_ms;
    const char *who; /* "uid 0", "token NAME", "musterd" */
    const char *what;
    const char *device; /* "": it is of no single one */
    const char *text;
};
struct fleetdb_changes_asked {
    struct fleetdb_scope scope; /* of a part: what was done while devices stood there */
    int64_t device;             /* 0: of all */
    const char *devices;        /* JSON array of devices' rows; NULL: of all */
    int64_t before;             /* rows below it alone, 0: from the newest */
    int64_t limit;
};
/* Newest first. What `each` gets lives during the call only. */
bool fleetdb_changes_each(struct fleetdb *db, const struct fleetdb_changes_asked *asked,
                          bool (*each)(void *ctx, const struct fleetdb_change_row *change,
                                       struct err *err),
                          void *ctx, struct err *err) MUSTER_CHECK;

#endif
