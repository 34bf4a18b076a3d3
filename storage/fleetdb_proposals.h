/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_PROPOSALS_H
#define STORAGE_FLEETDB_PROPOSALS_H

#include "storage/fleetdb_records.h"

/* What terminals ask ops about: documents assigned to be proposed, as they are assigned now, that
 * differ where they are. Views give values that live during the call only. */
struct fleetdb_proposal {
    const char *device, *name;
    int64_t document; /* its row */
    int kind;         /* DocumentKind */
    uint64_t epoch, version;
    struct bytes wanted_sha256, held_sha256; /* 32 bytes, or held: empty, not known */
    uint64_t found_version;                  /* published with that content, 0: none is */
    struct fleetdb_difference difference;
    const char *reason;
    int64_t told_ms;
};

/* Ascending by device and name; `device` by its row, or with 0 those of all that are not retired.
 */
bool fleetdb_view_proposals(struct fleetdb *db, int64_t device,
                            bool (*each)(void *ctx, const struct fleetdb_proposal *proposal,
                                         struct err *err),
                            void *ctx, struct err *err) MUSTER_CHECK;

#endif
