/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_RENEWAL_H
#define FLEET_RENEWAL_H

#include "base/backoff.h"
#include "base/clock.h"
#include "fleet/director.h"

/*
 * After a new root every manifest is signed again under it, a few devices in each turn of the loop.
 * What is behind is read from the database, so a restart goes on where it stopped. A device that is
 * assigned a document which the root in force no longer vouches for keeps its manifest until that
 * document is signed again; where the same content was, its assignment follows. What fails (a full
 * disk, a document that cannot be read) keeps nobody else waiting and is tried again, ever more
 * seldom. Zero-initialised but for `director` and `clock` is ready to use.
 */
enum { RENEWAL_VERDICTS = 256, RENEWAL_WHY_CHARS = 320 };

/* The devices of a walk that could not be served. */
struct renewal_failures {
    int64_t devices;             /* -1: the walk itself, and nobody knows how many are left */
    char why[RENEWAL_WHY_CHARS]; /* of the first, which it names */
};

struct renewal {
    const struct director *director;
    const struct clock *clock;
    bool walking;
    int64_t after;
    struct renewal_failures failing; /* of the walk under way */
    struct renewal_failures failed;  /* of the last one that came to its end */
    struct backoff backoff;
    int64_t retry_ms;        /* time since boot of the next walk; 0: none is planned */
    uint64_t failures_total; /* devices, walk by walk, since the start */
    int64_t waiting;         /* devices of this walk, or the last one, that wait for a document */
    char document[FLEETDB_NAME_CHARS + 1]; /* the first of those documents */
    struct {
        int64_t document; /* row; 0: none */
        bool holds;
    } verdicts[RENEWAL_VERDICTS];
};

/* From the first device; after a new root, and at the start. */
void renewal_begin(struct renewal *renewal);
/* A document was published, or an assignment changed: if any device waits, that may have been what
 * it waited for. NULL is nothing to do. */
void renewal_changed(struct renewal *renewal);
/* Calls `renewed` for each device whose manifest is another one now. Returns after how many
 * milliseconds it wants to be called again: 0: there is more to do now; -1: not before it begins.
 */
int64_t renewal_step(struct renewal *renewal,
                     void (*renewed)(void *ctx, const struct fleetdb_device *device), void *ctx);
/* Wall time of the next attempt after a failure; 0: none is planned. */
int64_t renewal_next_ms(const struct renewal *renewal);

#endif
