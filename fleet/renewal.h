/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_RENEWAL_H
#define FLEET_RENEWAL_H

#include "fleet/director.h"

/*
 * After a new root every manifest is signed again under it, a few devices in each turn of the loop.
 * What is behind is read from the database, so a restart goes on where it stopped. A device that is
 * assigned a document which the root in force no longer vouches for keeps its manifest until that
 * document is signed again; where the same content was, its assignment follows. Zero-initialised
 * but for `director` is ready to use.
 */
enum { RENEWAL_VERDICTS = 256 };

struct renewal {
    const struct director *director;
    bool walking;
    int64_t after;
    int64_t waiting; /* devices of this walk, or the last one, that wait for a document */
    char document[FLEETDB_NAME_CHARS + 1]; /* the first of those documents */
    struct {
        int64_t document; /* row; 0: none */
        bool holds;
    } verdicts[RENEWAL_VERDICTS];
};

/* From the first device; after a new root, at the start, and when a document was published. */
void renewal_begin(struct renewal *renewal);
/* Calls `renewed` for each device whose manifest is another one now. False: the walk is over. */
bool renewal_step(struct renewal *renewal, int64_t now_ms,
                  void (*renewed)(void *ctx, const struct fleetdb_device *device), void *ctx);

#endif
