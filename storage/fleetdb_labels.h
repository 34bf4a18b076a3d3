/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_LABELS_H
#define STORAGE_FLEETDB_LABELS_H

#include "storage/fleetdb_standing.h"

/* What people call devices by: labels, and groups, which are selectors with a name
 * (fleet/selector.h). Forms are the caller's to check. */

struct fleetdb_label {
    const char *name, *value;
};
bool fleetdb_label_put(struct fleetdb *db, int64_t device, const struct fleetdb_label *label,
                       struct err *err) MUSTER_CHECK;
bool fleetdb_label_remove(struct fleetdb *db, int64_t device, const char *name,
                          struct err *err) MUSTER_CHECK;
/* These and no others. */
bool fleetdb_labels_only(struct fleetdb *db, int64_t device, const struct fleetdb_label *labels,
                         size_t count, struct err *err) MUSTER_CHECK;
/* By name. */
bool fleetdb_labels_each(struct fleetdb *db, int64_t device,
                         bool (*each)(void *ctx, const struct fleetdb_label *label,
                                      struct err *err),
                         void *ctx, struct err *err) MUSTER_CHECK;

/* One thing that is so of a device now: "store", "model", "tid" ... or a label's name. */
struct fleetdb_fact {
    int64_t device;
    const char *id; /* the device's */
    const char *field, *value;
};
/* Of these fields, a JSON array, all that is so in the scope, of one device after another. Of one
 * that was there and has left: its id, serial and model. Open, step until it is done, close. */
struct fleetdb_facts;
struct fleetdb_snapshot;
/* `snapshot` NULL: as it is at each step; `fields` live as long as it is open. */
bool fleetdb_facts_open(struct fleetdb *db, const struct fleetdb_snapshot *snapshot,
                        struct fleetdb_scope scope, const char *fields,
                        struct fleetdb_facts **ret_facts, struct err *err) MUSTER_CHECK;
/* Some hundred devices more, each whole. */
bool fleetdb_facts_step(struct fleetdb_facts *facts,
                        bool (*each)(void *ctx, const struct fleetdb_fact *fact, struct err *err),
                        void *ctx, bool *ret_done, struct err *err) MUSTER_CHECK;
/* NULL is fine. */
void fleetdb_facts_close(struct fleetdb_facts *facts);

enum { FLEETDB_GROUPS_MAX = 256 }; /* each is counted when they are listed */
struct fleetdb_group {
    const char *name, *selector, *who;
    int64_t changed_ms;
};
/* ERR_CONFLICT: it would be one more than FLEETDB_GROUPS_MAX. */
bool fleetdb_group_put(struct fleetdb *db, const char *name, const char *selector,
                       const struct fleetdb_change *change, struct err *err) MUSTER_CHECK;
/* ERR_NOT_FOUND: there is no such group. */
bool fleetdb_group_remove(struct fleetdb *db, const char *name, struct err *err) MUSTER_CHECK;
/* Appends its selector and a NUL; ERR_NOT_FOUND as above. */
bool fleetdb_group_read(struct fleetdb *db, const char *name, struct buf *out,
                        struct err *err) MUSTER_CHECK;
bool fleetdb_groups_each(struct fleetdb *db,
                         bool (*each)(void *ctx, const struct fleetdb_group *group,
                                      struct err *err),
                         void *ctx, struct err *err) MUSTER_CHECK;

#endif
