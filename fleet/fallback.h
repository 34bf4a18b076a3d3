/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_FALLBACK_H
#define FLEET_FALLBACK_H

#include "fleet/director.h"
#include "proto/hello.pb-c.h"

/*
 * Deltas that lead a device nowhere. Its hello says so: of a document its content is late, and what
 * it lacks is on the way of a delta, or what came by one was not the content. Its manifest is then
 * signed anew and names the whole alone, until another version is assigned. A device can have that
 * once for each of its documents, and only for itself.
 */

/* In a transaction of its own. `*ret_count`: of how many documents; 0: its manifest stays. */
bool fallback_take(const struct director *director, const struct fleetdb_device *device,
                   const Muster__Hello *hello, int64_t now_ms, size_t *ret_count,
                   struct err *err) MUSTER_CHECK;

#endif
