/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_DOCUMENT_H
#define FLEET_DOCUMENT_H

#include "proto/arena.h"
#include "proto/trust.h"
#include "storage/fleetdb_desired.h"

/* The gate that every document passes on its way into the fleet: what release did not sign, or
 * what is not what it signed, never gets further. */

/* Verifies the Envelope of a DocumentHeader against the release keys, of a key block against the
 * custodian keys, and checks every field; its epoch is that of the root in force. The header lives
 * in `arena`; the error's reason is a Refusal. */
bool document_open(const struct trust *trust, struct bytes envelope, struct arena *arena,
                   const Muster__DocumentHeader **ret_header, struct err *err) MUSTER_CHECK;
/* Text has to be checked as a whole, so it is held as a whole. */
int document_length_max(Muster__DocumentKind kind);

/* Takes a signed header and the encodings of its content, whose blobs have been uploaded; their
 * sizes are filled in. Each is unfolded, within bounds, and compared with the header: a delta from
 * the content held here, what is sealed as it is sent. The version must be newer than the newest
 * of its name in the epoch, kind the same, minimum version not lower. One transaction, with an
 * audit row. */
bool document_publish(struct fleetdb *db, const struct trust *trust, struct bytes envelope,
                      struct fleetdb_encoding *encodings, size_t encoding_count, int64_t now_ms,
                      struct fleetdb_document *ret_document, struct err *err) MUSTER_CHECK;
/* More ways to get a document that is published, checked like the first. */
bool document_add_encodings(struct fleetdb *db, const struct fleetdb_wish *wish,
                            struct fleetdb_encoding *encodings, size_t count, size_t *ret_added,
                            struct err *err) MUSTER_CHECK;

#endif
