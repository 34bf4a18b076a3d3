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

/* A dictionary that frames are unpacked with, and the room that it takes: both cost more to make
 * than a frame to unpack. The room is of one thread at a time. */
struct frame_dictionary;
struct frame_room;
/* The bytes are copied. */
bool frame_dictionary_read(struct bytes bytes, struct frame_dictionary **ret_dictionary,
                           struct err *err) MUSTER_CHECK;
void frame_dictionary_free(struct frame_dictionary *dictionary);
bool frame_room_make(struct frame_room **ret_room, struct err *err) MUSTER_CHECK;
void frame_room_free(struct frame_room *room);

/* One whole frame, needing no other dictionary than this (NULL: none), of a stated size of at most
 * `limit`. */
bool frame_unpack(struct frame_room *room, struct bytes frame,
                  const struct frame_dictionary *dictionary, size_t limit, struct buf *out,
                  struct err *err) MUSTER_CHECK;

#endif
