/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_ROWS_H
#define FLEET_ROWS_H

#include "proto/arena.h"
#include "proto/batch.h"
#include "proto/seal.h"
#include "storage/fleetdb_records.h"

/* A record's message as the database's values, by the message's descriptor: a field of record.proto
 * is the column of its name. */
struct rows_plan {
    const ProtobufCFieldDescriptor *fields[FLEETDB_COLUMNS_MAX]; /* in the order of the columns */
    size_t count;
    size_t masked;     /* the column that says that a text was masked; count: there is none */
    size_t key;        /* the idempotency key's; count: there is none */
    size_t wall, boot; /* wall_ms, boot_ms */
};

/* ERR_INVALID when fields and columns do not pair up. */
bool rows_plan_make(int lane, struct rows_plan *ret_plan, struct err *err) MUSTER_CHECK;

/* Fills plan->count values. Numbers beyond int64 are cut to its greatest; texts become clean UTF-8
 * on one line, card numbers masked (`*ret_masked`: some were). Texts live in `arena`, bytes stay
 * where they are. */
bool rows_values(const struct rows_plan *plan, const ProtobufCMessage *row, struct arena *arena,
                 struct fleetdb_value *ret_values, bool *ret_masked, struct err *err) MUSTER_CHECK;

/* A copy of foreign text as above, at most `max` bytes; NULL when the arena is full. */
char *rows_text(const char *text, size_t max, struct arena *arena, bool *ret_masked);

/* First 8 bytes of SHA-256 over the packed row, which needs no more than that room; `scratch` is
 * overwritten, `hash` is begun, and is begun again. */
bool rows_digest(const ProtobufCMessage *row, size_t size, struct buf *scratch,
                 struct sha256_state *hash, uint64_t *ret_digest, struct err *err) MUSTER_CHECK;

/* All rows of a lane that was decoded as they are stored, in `arena`; what is bytes in the rows
 * stays there. */
struct rows_ready {
    const struct fleetdb_value *values; /* plan->count a row */
    const uint64_t *digests;
    const bool *masked;
};
bool rows_make_ready(const struct rows_plan *plan, const struct lane_rows *rows,
                     struct buf *scratch, struct sha256_state *hash, struct arena *arena,
                     struct rows_ready *ret_ready, struct err *err) MUSTER_CHECK;

#endif
