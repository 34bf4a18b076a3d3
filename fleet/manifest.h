/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_MANIFEST_H
#define FLEET_MANIFEST_H

#include "proto/arena.h"
#include "proto/desired.pb-c.h"
#include "proto/limits.h"
#include "proto/seal.h"
#include "storage/fleetdb_actions.h"
#include "storage/fleetdb_desired.h"

/* One device's manifest in the making: what is assigned goes in, sealed bytes come out. Knows no
 * database and no clock. Zero-initialised is ready to use. */
struct manifest {
    struct arena arena;
    Muster__ManifestItem *items[LIMIT_MANIFEST_ITEMS];
    const char *last_name;
    size_t item_count;
    Muster__Action *actions[LIMIT_MANIFEST_ACTIONS];
    size_t action_count;
};

struct manifest_stamp {
    const char *device;
    uint64_t epoch, version, root_version;
    int64_t issued_ms;
};

/* Copies what it needs. Names must rise. ERR_FULL beyond LIMIT_MANIFEST_ITEMS. */
bool manifest_add(struct manifest *manifest, const struct fleetdb_document *document, int mode,
                  struct err *err) MUSTER_CHECK;
/* One that no manifest has named yet is said to be since this one. */
bool manifest_add_action(struct manifest *manifest, const struct fleetdb_action *action,
                         struct err *err) MUSTER_CHECK;
/* Appends the Envelope to `out`; ERR_FULL if it exceeds LIMIT_MANIFEST_BYTES. */
bool manifest_seal(const struct manifest *manifest, const struct manifest_stamp *stamp,
                   const struct sign_key *director, struct buf *out, struct err *err) MUSTER_CHECK;
void manifest_done(struct manifest *manifest);

#endif
