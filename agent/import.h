/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_IMPORT_H
#define AGENT_IMPORT_H

#include "base/buf.h"
#include "proto/local.pb-c.h"

/* A part of a bundle on its way in through the client socket, frame by frame; one at a time on a
 * connection, and no longer than its kind may be. Zero-initialised is ready to use. Pure: knows no
 * registry. */
struct import {
    Muster__ImportKind kind;
    uint64_t size;
    struct buf part;
};

/* Takes what a query carries; `*ret_whole`: import->part is all of it. ERR_INVALID: too long, or
 * not what must come next; then it begins anew. */
bool import_add(struct import *import, const Muster__ImportQuery *query, bool *ret_whole,
                struct err *err) MUSTER_CHECK;
/* Nothing is on its way; gives the memory back. */
void import_end(struct import *import);

#endif
