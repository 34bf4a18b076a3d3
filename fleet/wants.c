/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/wants.h"

#include "proto/envelope.h"
#include "proto/limits.h"

bool wants_read(const struct director *director, int64_t device, struct wants *ret_wants,
                struct err *err)
{
    struct fleetdb_manifest manifest;
    struct envelope read;
    struct buf envelope = {.limit = LIMIT_MANIFEST_BYTES};
    struct wants wants = {.root_version = trust_version(director->trust)};
    bool ok = fleetdb_manifest_get(director->db, device, &manifest, &envelope, err);
    if (ok && manifest.version != 0) {
        wants.epoch = manifest.epoch;
        wants.version = manifest.version;
        ok = envelope_read(buf_bytes(&envelope), &read, err); /* ours: signed here, and kept */
        if (ok)
            sha256(read.body, wants.sha256);
    }
    buf_done(&envelope);
    if (ok)
        *ret_wants = wants;
    return ok;
}
