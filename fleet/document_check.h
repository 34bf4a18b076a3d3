/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_DOCUMENT_CHECK_H
#define FLEET_DOCUMENT_CHECK_H

#include "storage/fleetdb_desired.h"

/*
 * Whether a document's encodings, whose blobs have been uploaded, each unfold to what its header
 * says: a delta from the content held here, what is sealed as it is sent. In steps, since content
 * may be long and who checks it has others to answer. Only what this musterd can check itself may
 * be handed to terminals.
 */
struct document_check;

/* `encodings` is filled in as it goes, and must live as long; of the document nothing else has to.
 */
bool document_check_begin(struct fleetdb *db, const struct fleetdb_document *document,
                          struct fleetdb_encoding *encodings, size_t count,
                          struct document_check **ret_check, struct err *err) MUSTER_CHECK;
/* Takes or makes so many bytes, or somewhat more. */
bool document_check_step(struct document_check *check, uint64_t budget_bytes, bool *ret_done,
                         struct err *err) MUSTER_CHECK;
void document_check_free(struct document_check *check);

#endif
