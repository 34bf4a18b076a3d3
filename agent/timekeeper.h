/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_TIMEKEEPER_H
#define AGENT_TIMEKEEPER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What the terminal knows of true time. Pure: the caller reads the clocks. Its own clock may say
 * anything and may be set at any time; time since boot goes on. A welcome says what time it is at
 * the fleet, between the moment it was asked for and the moment it came.
 *
 * `at_least_ms` is proved: it was not earlier than that when time since boot was `at_boot_ms`. It
 * outlives boots, and is what certificates are judged by where the clock is not to be believed.
 * Where the clock does not say the same, one welcome raises it by no more than 30 days beyond what
 * has passed here, so that a stolen key of the director cannot send a terminal to 2100, where no
 * certificate is good any more. A root raises it without that bound: its keys are offline.
 */
enum { TIMEKEEPER_BOOT_BYTES = 16, TIMEKEEPER_JUMP_MS = 2000 };

struct timekeeper_sight {
    int64_t fleet_ms, asked_ms, came_ms; /* the last two: time since boot; fleet_ms 0: none */
};

struct timekeeper {
    uint8_t boot_id[TIMEKEEPER_BOOT_BYTES]; /* running */
    uint8_t before[TIMEKEEPER_BOOT_BYTES];  /* that had something to say before it */
    bool has_before;
    bool spoke;                    /* something of this boot is recorded */
    struct timekeeper_sight sight; /* newest of this boot */
    bool sight_told;               /* one of this boot is recorded */
    bool exact;                    /* `sight` is as near as its way was long */
    int64_t at_least_ms, at_boot_ms;
    bool unsaved;

    bool looked;
    int64_t offset_ms;        /* wall minus time since boot, when last looked */
    int64_t jumped_ms;        /* time since boot when it was seen to have jumped, 0: never */
    int64_t offset_before_ms; /* and the offset before that */
};

/* Looks at both clocks; call often. By how much the clock was set since the last look: 0 unless it
 * is more than TIMEKEEPER_JUMP_MS, which no slewing does between two looks. */
int64_t timekeeper_look(struct timekeeper *keeper, int64_t wall_ms, int64_t boot_ms);
/* A welcome that answers the newest hello; `wall_ms` is our clock now. */
void timekeeper_welcomed(struct timekeeper *keeper, const struct timekeeper_sight *sight,
                         int64_t wall_ms);
/* A root in force was issued then: so its keepers say, who may raise what is proved to any height.
 */
void timekeeper_rooted(struct timekeeper *keeper, int64_t issued_ms, int64_t boot_ms);
/* What is proved of true time now. */
int64_t timekeeper_at_least(const struct timekeeper *keeper, int64_t boot_ms);
/* Fleet time minus ours; 0 without a sight in this boot. */
int64_t timekeeper_offset(const struct timekeeper *keeper, int64_t wall_ms, int64_t boot_ms);
/* Time since boot when the clock said `wall_ms`, which an application gives; 0: not in this boot,
 * or nobody knows. What is not over yet counts as now. */
int64_t timekeeper_place(const struct timekeeper *keeper, int64_t wall_ms, int64_t now_wall_ms,
                         int64_t now_boot_ms);

#endif
