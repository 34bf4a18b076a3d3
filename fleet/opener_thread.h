/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_OPENER_THREAD_H
#define FLEET_OPENER_THREAD_H

#include "fleet/opener.h"

/*
 * A thread that opens messages one after the other, in the order in which they are given, beside
 * the one that stores them. It knows no database, counts nothing and says nothing. How much it
 * keeps opened is bounded: it waits until what it has opened is released.
 */
struct opener_thread;

struct opener_thread_settings {
    size_t room;       /* so many messages at the most are given and not yet taken back */
    size_t held_bytes; /* no more is opened while this much is */
    /* Called by the thread when it has opened all that it was given, or `wake_at` messages more. It
     * must not ask the thread anything. */
    void (*wake)(void *ctx);
    void *ctx;
    size_t wake_at;
};

bool opener_thread_start(const struct opener_thread_settings *settings,
                         struct opener_thread **ret_thread, struct err *err) MUSTER_CHECK;
/* What it has not begun stays unopened. */
void opener_thread_stop(struct opener_thread *thread);
/* The same, for good: what it has opened must be gone before. */
void opener_thread_free(struct opener_thread *thread);

/* All of it stays where it is until the message has been taken back. `domain` NULL: there is
 * nothing to be opened. */
struct opener_job {
    const char *domain, *id;
    struct bytes message;
    struct opener_keys keys;
    struct opened *opened;
};
void opener_thread_give(struct opener_thread *thread, const struct opener_job *job);

/* How many of those given and not taken back are opened: the first ones. */
size_t opener_thread_ready(struct opener_thread *thread);
/* The same, after waiting until it is `count`, or all, or until the thread waits for memory. */
size_t opener_thread_wait(struct opener_thread *thread, size_t count);
/* What it opened of message `index`, counted from the first one not taken back, is gone already, so
 * that its memory is free for others. */
void opener_thread_release(struct opener_thread *thread, size_t index);
/* The first `count`, which are opened, are done with, and their memory is free again. */
void opener_thread_take(struct opener_thread *thread, size_t count);

#endif
