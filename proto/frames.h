/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_FRAMES_H
#define PROTO_FRAMES_H

#include "base/buf.h"

/* zstd frames of a batch. Those with a dictionary come without their first four bytes, which are
 * the same in all frames. Without content they are empty. */
struct frame_way {
    int level;
    bool patternless; /* what repeats does so by chance: looking for it costs more than it saves */
};
bool frame_pack(struct bytes content, struct bytes dictionary, const struct frame_way *way,
                struct buf *out, struct err *err) MUSTER_CHECK;
/* One whole frame, needing no other dictionary than this, of a stated size of at most `limit`. */
bool frame_unpack(struct bytes frame, struct bytes dictionary, size_t limit, struct buf *out,
                  struct err *err) MUSTER_CHECK;

#endif
