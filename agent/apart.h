/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_APART_H
#define AGENT_APART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Ranges that go apart from their stream's cursor, at once and in packets of their own: what a
 * collector could not decode, in ever smaller pieces until the record that is to blame stands
 * alone; and what was declared lost after it had been sent. For uplink.c; pure.
 */
enum { APART_RANGES = 64 };

struct apart_range {
    uint64_t incarnation;
    int lane;
    uint64_t first, last; /* inclusive */
    uint64_t next;        /* to be sent next; last + 1: all of it was */
    uint64_t piece;       /* at most so many in one packet */
    bool awaited;         /* all of it was sent when it was looked at last */
};

struct apart {
    struct apart_range ranges[APART_RANGES]; /* no two share a seq */
    size_t count;
};

/* first..last is to be sent again in pieces of `piece`, or of what was said of any part of it
 * before if that is less. Without room neighbours become one range of the smaller piece. */
void apart_add(struct apart *apart, uint64_t incarnation, int lane, uint64_t first, uint64_t last,
               uint64_t piece);
/* NULL: nothing apart holds this seq. */
const struct apart_range *apart_at(const struct apart *apart, uint64_t incarnation, int lane,
                                   uint64_t seq);
/* The lowest seq above `seq` that goes apart; UINT64_MAX: none. */
uint64_t apart_above(const struct apart *apart, uint64_t incarnation, int lane, uint64_t seq);
/* A range that has something to send; NULL: none. `known` says whose streams can be sent. */
const struct apart_range *
apart_waiting(const struct apart *apart,
              bool (*known)(const void *ctx, const struct apart_range *range), const void *ctx);
/* What lies from `from` to before `next` was sent, or need not be: then a range of which nothing
 * else is outstanding goes. */
void apart_moved(struct apart *apart, uint64_t incarnation, int lane, uint64_t from, uint64_t next,
                 bool sent);
/* All before `first_unsent` is receipted, and nothing was ever given beyond `last_seq`. */
void apart_settled(struct apart *apart, uint64_t incarnation, int lane, uint64_t first_unsent,
                   uint64_t last_seq);
/* Sends everything again. */
void apart_restart(struct apart *apart);
/* Looks at what was sent: what was awaited the last time already is sent again. Returns how many
 * ranges; what is awaited from now on is counted in *ret_waiting. */
size_t apart_overdue(struct apart *apart, size_t *ret_waiting);
bool apart_outstanding(const struct apart *apart); /* something was sent and not receipted */

#endif
