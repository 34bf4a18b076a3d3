/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_UNFOLD_H
#define AGENT_UNFOLD_H

#include "base/buf.h"

/*
 * zstd, with a hard bound on what comes out: as long as the signed header says, and not a byte
 * more. What goes in has been hashed before. Every failure but of memory is a refusal: CONTENT_FORM
 * or CONTENT_LENGTH.
 */

/* One frame in memory; `base` is the content that a delta starts from, else its data is NULL. */
bool unfold(struct bytes frame, struct bytes base, uint64_t length, struct buf *ret_content,
            struct err *err) MUSTER_CHECK;
/* The other way round, for a copy that is kept here. */
bool fold(struct bytes content, struct buf *ret_frame, struct err *err) MUSTER_CHECK;

/* One frame in parts, of content too long for memory. */
struct unfolding;
bool unfolding_begin(uint64_t length, bool (*write)(void *ctx, struct bytes part, struct err *err),
                     void *ctx, struct unfolding **ret_unfolding, struct err *err) MUSTER_CHECK;
bool unfolding_add(struct unfolding *unfolding, struct bytes part, struct err *err) MUSTER_CHECK;
/* All of it has come out, and nothing is left over. */
bool unfolding_end(const struct unfolding *unfolding, struct err *err) MUSTER_CHECK;
void unfolding_free(struct unfolding *unfolding);

#endif
