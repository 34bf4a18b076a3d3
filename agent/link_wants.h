/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LINK_WANTS_H
#define AGENT_LINK_WANTS_H

#include "base/err.h"
#include "proto/limits.h"

#include <stdint.h>

/* The set of blobs the agent wants now, and how long each is. */
struct link_wants {
    uint8_t blobs[LIMIT_MANIFEST_ITEMS][32];
    uint64_t sizes[LIMIT_MANIFEST_ITEMS];
    size_t count;
};

bool link_wants_has(const struct link_wants *wants, const uint8_t blob[32]);
/* Adds each blob once; ERR_FULL beyond LIMIT_MANIFEST_ITEMS, ERR_INVALID for a size that no blob
 * may have. */
bool link_wants_add(struct link_wants *wants, const uint8_t blob[32], uint64_t size,
                    struct err *err) MUSTER_CHECK;
/* Is a message of this length the blob, as far as its length tells? */
bool link_wants_takes(const struct link_wants *wants, const uint8_t blob[32], size_t length,
                      struct err *err) MUSTER_CHECK;
/* Calls `each` for every blob of `in` that `other` has not. */
void link_wants_diff(const struct link_wants *in, const struct link_wants *other,
                     void (*each)(void *ctx, const uint8_t blob[32]), void *ctx);

#endif
