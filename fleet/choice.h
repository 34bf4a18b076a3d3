/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CHOICE_H
#define FLEET_CHOICE_H

#include "proto/limits.h"
#include "storage/fleetdb_desired.h"

/*
 * Which of a document's encodings one device's manifest names: the whole, always; deltas only
 * while it is not known to hold the content already: the one from what it says it holds, and,
 * unless it said so of its newest manifest, the two smallest others, since it may have moved on
 * since it last spoke. (From what one manifest led to it can move on once only, and it keeps what
 * it held before.) What is short is carried in
 * the manifest itself, which spares a round trip, up to so much in one manifest. Where deltas have
 * led the device nowhere (fleet/fallback.h), the whole alone.
 */
enum { CHOICE_OTHERS = 2, CHOICE_INLINE_BYTES = 16 * 1024 };

struct choice {
    struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
    size_t count;
    uint8_t data[FLEETDB_ENCODINGS_MAX][LIMIT_INLINE_BYTES];
};

/* `*inline_left` is what the manifest still has room for; it shrinks. NULL: the whole alone, for a
 * manifest that would be too long otherwise. */
bool choice_make(struct fleetdb *db, int64_t device, const struct fleetdb_document *document,
                 size_t *inline_left, struct choice *ret_choice, struct err *err) MUSTER_CHECK;

#endif
