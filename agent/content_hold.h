/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CONTENT_HOLD_H
#define AGENT_CONTENT_HOLD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A broker must not stop records by what it sends for content: after a session that a message
 * without an end has broken, muster-link does not subscribe to content for a while, which doubles
 * up to an hour each time that it happens again, until wanted content has come whole. Pure; times
 * are since boot. Zero-initialised, but for `first_ms`, is ready to use.
 */
struct content_hold {
    int64_t first_ms;
    int64_t wait_ms;  /* the last wait; 0: none since content came whole */
    int64_t until_ms; /* 0: none */
};

/* A session in which content was subscribed to was broken. Gives how long it is held back. */
int64_t content_hold_broken(struct content_hold *hold, int64_t now_ms, uint64_t random);
void content_hold_came(struct content_hold *hold);
/* How long it is held back yet; 0: it is not. */
int64_t content_hold_left_ms(const struct content_hold *hold, int64_t now_ms);

#endif
