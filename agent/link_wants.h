/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LINK_WANTS_H
#define AGENT_LINK_WANTS_H

#include "base/err.h"
#include "proto/limits.h"

#include <stdint.h>

/* The set of blobs the agent wants now. */
struct link_wants {
    uint8_t blobs[LIMIT_MANIFEST_ITEMS][32];
    size_t count;
};

bool link_wants_has(const struct link_wants *wants, const uint8_t blob[32]);
/* Adds each blob once; ERR_FULL beyond LIMIT_MANIFEST_ITEMS. */
bool link_wants_add(struct link_wants *wants, const uint8_t blob[32], struct err *err) MUSTER_CHECK;
/* Calls `each` for every blob of `in` that `other` has not. */
void link_wants_diff(const struct link_wants *in, const struct link_wants *other,
                     void (*each)(void *ctx, const uint8_t blob[32]), void *ctx);

#endif
