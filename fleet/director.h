/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_DIRECTOR_H
#define FLEET_DIRECTOR_H

#include "proto/trust.h"
#include "storage/fleetdb_desired.h"

/*
 * Turns assignments into signed manifests. Each change makes one new manifest for each device it
 * touches, complete and with a higher version, in the transaction of the change itself: no device
 * is ever assigned what no manifest says.
 */
struct director {
    struct fleetdb *db;
    const struct sign_key *key; /* role DIRECTOR */
    const struct trust *trust;  /* its root is what manifests are made under */
};

struct director_order {
    const char *document;
    bool remove;
    uint64_t version; /* 0: the newest for the device */
    int64_t row; /* of the one document that is meant, whatever else has that version; 0: any */
    int mode;
    const char *who;  /* for the audit; NULL: musterd by itself */
    const char *note; /* why; NULL: it was just ordered */
};

struct director_outcome {
    struct fleetdb_device device;
    uint64_t manifest_version;
    bool changed; /* false: it was so before */
    /* Of a former epoch still: no new manifest is signed before that document is signed again.
     * "": it was. */
    char waits_for[FLEETDB_NAME_CHARS + 1];
};

/* All devices or none. `ret_outcomes` takes `count`, undefined on failure. ERR_NOT_FOUND names the
 * device or document; ERR_CONFLICT: under the root in force it is not the one that is meant. */
bool director_assign(const struct director *director, const struct director_order *order,
                     const char *const *ids, size_t count, int64_t now_ms,
                     struct director_outcome *ret_outcomes, struct err *err) MUSTER_CHECK;

/* The same for one device, and none of it is kept: to know what would become of it. */
bool director_try(const struct director *director, const struct director_order *order,
                  const char *id, int64_t now_ms, struct director_outcome *ret_outcome,
                  struct err *err) MUSTER_CHECK;

/* Signs anew what the device is assigned, under the root in force. */
bool director_renew(const struct director *director, const struct fleetdb_device *device,
                    int64_t now_ms, struct err *err) MUSTER_CHECK;

/* What a device says it was last given. */
struct director_seen {
    uint64_t epoch, version;
    struct bytes sha256; /* of the manifest's body; empty: not said */
};

/* The device's newest manifest, appended to `out`; all zero and nothing when it has none. If the
 * device has seen a higher version than ours in the epoch of ours, or another manifest under the
 * same version (our database was restored), a new one is made above it first, with an audit row;
 * a version from LIMIT_VERSION / 2 on is not believed. While documents of the device wait to be
 * signed again in a new epoch, ours stays as it is. */
bool director_manifest(const struct director *director, const struct fleetdb_device *device,
                       const struct director_seen *seen, int64_t now_ms,
                       struct fleetdb_manifest *ret_manifest, struct buf *out,
                       struct err *err) MUSTER_CHECK;

#endif
