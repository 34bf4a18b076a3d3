/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_DOCUMENTS_INTERNAL_H
#define STORAGE_FLEETDB_DOCUMENTS_INTERNAL_H

#include "storage/fleetdb_documents.h"
#include "storage/fleetdb_internal.h"

/* For the fleetdb files of this folder only: columns 0 to 13 of a query for documents, with its
 * FROM, and what they say. */
#define FLEETDB_DOCUMENT_COLUMNS                                                                   \
    FLEETDB_DOCUMENT_VALUES " FROM document d LEFT JOIN device v ON v.id = d.device"
#define FLEETDB_DOCUMENT_VALUES                                                                    \
    "d.id, d.name, d.kind, d.epoch, d.version, d.length, d.minimum_version, d.sha256, "            \
    "d.published_ms, d.header, d.device, v.name, d.scope, d.irreversible"

/* `encodings` takes FLEETDB_ENCODINGS_MAX. */
bool fleetdb_document_read(struct fleetdb *db, sqlite3_stmt *statement,
                           struct fleetdb_encoding *encodings,
                           struct fleetdb_document *ret_document, struct err *err) MUSTER_CHECK;

#endif
