/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_AGENDA_H
#define FLEET_AGENDA_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Which of many numbered things is due first. */
struct agenda {
    size_t count, waiting;
    int64_t *due_ms;
    size_t *heap;  /* things that are due some time; none before its parent, at (place - 1) / 2 */
    size_t *place; /* of each thing in the heap, plus one; 0: it is not there */
};

/* For the things 0 to count - 1, none of them due; what was there before is given back. */
bool agenda_begin(struct agenda *agenda, size_t count, struct err *err) MUSTER_CHECK;
void agenda_done(struct agenda *agenda);
/* -1: never. */
void agenda_set(struct agenda *agenda, size_t thing, int64_t due_ms);
/* The thing that is due first; false: none is. */
bool agenda_first(const struct agenda *agenda, size_t *ret_thing, int64_t *ret_due_ms);

#endif
