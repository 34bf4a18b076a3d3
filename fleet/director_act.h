/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_DIRECTOR_ACT_H
#define FLEET_DIRECTOR_ACT_H

#include "base/clock.h"
#include "fleet/director.h"
#include "storage/fleetdb_actions.h"

/* What devices are to do once: named in their manifests from now on, until they have said how it
 * ended or its time is over. */
struct director_act {
    int kind;
    const char *who;  /* for the audit */
    const char *note; /* "": none */
    uint64_t limit_bytes;
    int64_t expires_ms; /* wall; 0: never */
};

struct director_acted {
    char name[FLEETDB_ACTION_NAME_CHARS + 1];
};

/* All devices or none; `ret_outcomes` and `ret_acted` take `count`. `dry_run`: none of it is kept.
 */
bool director_act(const struct director *director, const struct director_act *act,
                  const char *const *ids, size_t count, int64_t now_ms, bool dry_run,
                  struct director_outcome *ret_outcomes, struct director_acted *ret_acted,
                  struct err *err) MUSTER_CHECK;

/*
 * Takes out of manifests what is over: a few devices in each turn of the loop. What fails keeps
 * nobody else waiting and is tried again later. Zero-initialised but for the first two is ready to
 * use.
 */
struct retirement {
    const struct director *director;
    const struct clock *clock;
    int64_t after;    /* device of this walk */
    bool failed;      /* in this walk */
    bool more;        /* something came while it was under way */
    int64_t again_ms; /* time since boot; 0: at once */
};

/* A report has come, or an order: there may be more to do. */
void retirement_wake(struct retirement *retirement);
/* Calls `renewed` for each device whose manifest is another one now. Returns after how many
 * milliseconds it wants to be called again; 0: at once. */
int64_t retirement_step(struct retirement *retirement,
                        void (*renewed)(void *ctx, const struct fleetdb_device *device), void *ctx);

#endif
