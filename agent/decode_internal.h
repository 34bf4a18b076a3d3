/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_DECODE_INTERNAL_H
#define AGENT_DECODE_INTERNAL_H

#include "agent/decode.h"
#include "agent/decode_kinds.h"
#include "proto/arena.h"

/* What decode.c and decode_bundle.c share; nobody else includes it. */
enum { DECODER_ARENA_BYTES = 64 * 1024 * 1024 };

struct decoder {
    const struct decode_options *options;
    const struct trust *trust; /* in force; a bundle's chain of roots may lead on from the given */
    struct arena arena;
    struct buf *tried;
    const char *device; /* that an outer message names */
    unsigned depth;
    bool refused;
};

/* What must be of this kind, sealed or a body by itself; NULL: `err` says why it is none. */
json_t *decoder_tree(struct decoder *decoder, const struct decode_kind *kind, struct bytes in,
                     struct err *err);

bool decode_bundle_in(struct decoder *decoder, struct bytes in, json_t **ret_root,
                      struct err *err) MUSTER_CHECK;

#endif
