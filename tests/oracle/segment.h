/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ORACLE_SEGMENT_H
#define TESTS_ORACLE_SEGMENT_H

#include "base/buf.h"

#include <sqlite3.h>

struct oracle;

/* CRC-32C, continued; start with 0. */
uint32_t segment_sum(uint32_t crc, struct bytes data);
bool segment_varint(struct bytes *rest, uint64_t *ret_value);

/* The plain framing of a row with codec 1, with the dictionary that the spool keeps. What is
 * damaged is missing at the end. */
bool segment_inflate(struct oracle *oracle, sqlite3_int64 id, sqlite3_int64 records,
                     struct bytes stored, struct buf *ret_plain, struct err *err) MUSTER_CHECK;

/* The segments in the slots of `place`, which have no rows yet. */
typedef bool segment_of_slots(void *ctx, sqlite3_int64 id, sqlite3_int64 records, int codec,
                              struct bytes body, struct err *err);
bool segment_slots(struct oracle *oracle, segment_of_slots *each, void *ctx,
                   struct err *err) MUSTER_CHECK;

#endif
