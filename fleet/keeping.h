/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_KEEPING_H
#define FLEET_KEEPING_H

#include "base/clock.h"
#include "fleet/keeping_clock.h"
#include "fleet/metrics.h"
#include "storage/fleetdb_keeping.h"

/*
 * Removes what is older than it is to be kept, a few rows at a time, and gives the room back to the
 * file system. One pass follows the other after `every_ms`; between two steps the loop is left to
 * others for several times as long as a step takes, so that no receipt waits for it. What fails is
 * told and tried again with the next pass. The erasure of a merchant (storage/fleetdb_erase.h) goes
 * before all of that, in steps of the same size. While the clock is in doubt
 * (fleet/keeping_clock.h) nothing is removed by age; the rest goes on. Zero-initialised but for
 * `settings` is ready to use.
 */
struct keeping_settings {
    struct fleetdb *db;
    const struct clock *clock;
    struct metrics *metrics;
    int64_t age_ms[FLEETDB_KEPTS]; /* 0: for ever */
    int64_t open_age_ms;           /* of results with an open matter; 0: for ever */
    int64_t every_ms;
    int64_t spare_bytes; /* free room that the file keeps for new rows */
};

enum keeping_phase { KEEPING_RESTS, KEEPING_AGES, KEEPING_GIVES_BACK };
enum { KEEPING_TROUBLE_CHARS = 320 };

struct keeping {
    struct keeping_settings settings;
    enum keeping_phase phase;
    enum fleetdb_kept kept; /* that is being aged */
    int64_t after;          /* how far in it */
    int64_t rows;           /* of the next step */
    int64_t due_ms;         /* time since boot of the next step, */
    int64_t begins_ms;      /* of the next pass, */
    int64_t erases_ms;      /* and of what an erasure does next */
    bool gave_back;         /* in this pass */
    int64_t passed_ms;      /* wall time of the last whole pass, 0: none yet */
    struct keeping_clock time;
    struct fleetdb_kept_clock noted;             /* of it, in the database */
    char trouble[KEEPING_TROUBLE_CHARS];         /* of the last pass, "": none */
    char erasing_trouble[KEEPING_TROUBLE_CHARS]; /* why an erasure gets no further */
};

/* One step, if it is due. Returns after how many milliseconds it wants to be called again. */
int64_t keeping_step(struct keeping *keeping);
/* An erasure has begun: there is something to do now. */
void keeping_wake(struct keeping *keeping);
/* Wall time from which on a kind is kept, by the time that is believed; 0: for ever. */
int64_t keeping_from_ms(const struct keeping *keeping, enum fleetdb_kept kept);

#endif
