/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_ENCODINGS_H
#define FLEET_ENCODINGS_H

#include "storage/fleetdb_documents.h"

#include <jansson.h>

/* Encodings in the API: {"coding", "blob", "size"}, a delta's "base", and of what is in pieces
 * "piece_bytes" and "pieces_size". NULL: no memory. */
json_t *encoding_json(const struct fleetdb_encoding *encoding);
json_t *encodings_json(const struct fleetdb_encoding *encodings, size_t count);
/* "encodings" of the object: 1 to FLEETDB_ENCODINGS_MAX. What is read is not checked against any
 * blob. */
bool encodings_read(const json_t *object, struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX],
                    size_t *ret_count, struct err *err) MUSTER_CHECK;

/* Bytes on the line: the blob, and the pieces that it lists. */
uint64_t encoding_weight(const struct fleetdb_encoding *encoding);
/* The cheapest that starts from nothing; NULL: there is none. */
const struct fleetdb_encoding *encoding_whole(const struct fleetdb_encoding *encodings,
                                              size_t count);

#endif
