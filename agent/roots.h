/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ROOTS_H
#define AGENT_ROOTS_H

#include "proto/trust.h"

/*
 * The trust root in force on this terminal: the installed one and the chain of those that came
 * after it, one by one. What is kept of the chain is verified again at each start; nothing in
 * force is touched when it grows. Blocking calls, a few milliseconds each.
 */
enum { ROOTS_DIR_BYTES = 512 };

struct roots {
    char dir[ROOTS_DIR_BYTES]; /* the registry's folder */
    struct trust *trust;       /* stays the same object while it advances */
    struct buf *chain;         /* the newest roots up to the one in force, as they were signed */
    size_t chain_count;
    struct err damage; /* why the kept chain ends where it does; code 0: it is whole */
    struct err unread; /* why a copy stands in for the installed root; code 0: none does */
};

/* `installed` is a file. A chain that is damaged ends before the damage, which is told, and is
 * fetched again: only the installed root, or the copy that is kept of it, must be good. */
bool roots_open(const char *installed, const char *dir, struct roots *ret_roots,
                struct err *err) MUSTER_CHECK;
void roots_done(struct roots *roots);

/* A root that came as `version`. Kept first, then in force, as are those that were kept after it.
 * `*ret_taken` false: it was known already. Otherwise the error's reason is a Refusal, or the disk
 * failed and nothing has changed. */
bool roots_take(struct roots *roots, uint64_t version, struct bytes envelope, bool *ret_taken,
                struct err *err) MUSTER_CHECK;

/* Writes again what of the chain in force is gone or changed on the medium. `*ret_mended` is the
 * first root that was, 0: none. */
bool roots_mend(const struct roots *roots, uint64_t *ret_mended, struct err *err) MUSTER_CHECK;

#endif
