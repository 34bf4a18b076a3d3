/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_DOCUMENT_H
#define FLEET_DOCUMENT_H

#include "proto/arena.h"
#include "proto/trust.h"
#include "storage/fleetdb_desired.h"

/* The gate that every document passes on its way into the fleet: what release did not sign, or
 * what is not what it signed, never gets further. */

/* Verifies the Envelope of a DocumentHeader against the release keys and checks every field. The
 * header lives in `arena`. */
bool document_open(const struct trust *trust, struct bytes envelope, struct arena *arena,
                   const Muster__DocumentHeader **ret_header, struct err *err) MUSTER_CHECK;

/* Takes a signed header and the encodings of its content, whose blobs have been uploaded; their
 * sizes are filled in. Each blob is decompressed, within bounds, and compared with the header. The
 * version must be newer than the newest of its name, kind the same, minimum version and epoch not
 * lower. One transaction, with an audit row. */
bool document_publish(struct fleetdb *db, const struct trust *trust, struct bytes envelope,
                      struct fleetdb_encoding *encodings, size_t encoding_count, int64_t now_ms,
                      struct fleetdb_document *ret_document, struct err *err) MUSTER_CHECK;

#endif
