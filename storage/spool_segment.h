/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SPOOL_SEGMENT_H
#define STORAGE_SPOOL_SEGMENT_H

#include "base/buf.h"

/*
 * What is inside a segment's body: for each record
 *   varint length | crc32c, 4 bytes little-endian | key length, 1 byte | key | record
 * where `length` counts what follows the CRC, and the CRC covers the varint and all of that. Each
 * record stands alone, so that sound ones can be picked out of a damaged body.
 */
enum { SPOOL_KEY_BYTES = 32 };

struct spool_frame {
    struct bytes key;
    struct bytes record;
};

bool spool_segment_put(struct buf *body, struct bytes key, struct bytes record,
                       struct err *err) MUSTER_CHECK;
/* Takes the first record off `rest`, which must not be empty. ERR_IO: damaged. */
bool spool_segment_next(struct bytes *rest, struct spool_frame *ret_frame,
                        struct err *err) MUSTER_CHECK;

/* The same without a look at it: for a body that this process has just put together. */
bool spool_segment_skip(struct bytes *rest, struct err *err) MUSTER_CHECK;

/* The `count` records of a body; one that is damaged has an empty `record`, which a sound one never
 * has. The length of a damaged one leads to the next; where that does not come out even at the end
 * of the body, all from the first damaged one on are. */
void spool_segment_split(struct bytes body, size_t count, struct spool_frame *ret_frames);

/* CRC-32C (Castagnoli, RFC 3720 B.4), continued from `crc`; start with 0. */
uint32_t spool_segment_crc(uint32_t crc, struct bytes data);

#endif
