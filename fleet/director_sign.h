/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_DIRECTOR_SIGN_H
#define FLEET_DIRECTOR_SIGN_H

#include "fleet/director.h"

/* The highest version in the epoch that the device may know: ours, or what it reported. */
bool director_floor(const struct director *director, const struct fleetdb_device *device,
                    uint64_t *ret_floor, struct err *err) MUSTER_CHECK;

/* For the director alone: signs what the device is assigned now as the version after `floor`,
 * keeps it, and appends the envelope to `out`. */
bool director_sign(const struct director *director, const struct fleetdb_device *device,
                   uint64_t floor, int64_t now_ms, struct fleetdb_manifest *ret_manifest,
                   struct buf *out, struct err *err) MUSTER_CHECK;

/* In a new epoch documents are signed again one by one: until the last one of the device is, its
 * manifest stays as it is, or none of them could ever be the first. `waits_for` is then the first
 * that is not, and neither `manifest` nor `out` changes; else it is "". */
bool director_sign_or_wait(const struct director *director, const struct fleetdb_device *device,
                           uint64_t floor, int64_t now_ms, struct fleetdb_manifest *manifest,
                           struct buf *out, char waits_for[FLEETDB_NAME_CHARS + 1],
                           struct err *err) MUSTER_CHECK;

#endif
