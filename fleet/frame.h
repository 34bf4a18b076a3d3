/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_FRAME_H
#define FLEET_FRAME_H

#include "base/buf.h"

/*
 * One zstd frame in the making, at level 19, or 3 where that gains nothing: it states its content's
 * size and has no checksum, since the header's hash says more. With a base it is a delta: whoever
 * holds the base's content unfolds it.
 */
enum {
    FRAME_WINDOW_LOG = 23,       /* 8 MiB, the window of level 19: a terminal's memory */
    FRAME_DELTA_WINDOW_LOG = 25, /* base and content, of LIMIT_DOCUMENT_BYTES each */
};

struct frame;

struct frame_settings {
    uint64_t length;   /* of the content */
    struct bytes base; /* must live as long; length 0: none */
    bool dense;        /* it is compressed already: only what is there twice is found */
    bool (*out)(void *ctx, struct bytes part, struct err *err);
    void *ctx;
};
bool frame_begin(const struct frame_settings *settings, struct frame **ret_frame,
                 struct err *err) MUSTER_CHECK;
bool frame_add(struct frame *frame, struct bytes content, struct err *err) MUSTER_CHECK;
/* All of the content was added. */
bool frame_end(struct frame *frame, struct err *err) MUSTER_CHECK;
void frame_free(struct frame *frame);

/* All at once, appended to `out`; `base` as above. */
bool frame_make(struct bytes content, struct bytes base, struct buf *out,
                struct err *err) MUSTER_CHECK;

#endif
