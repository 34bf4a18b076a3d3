/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_PRESENCE_H
#define FLEET_PRESENCE_H

#include "base/clock.h"
#include "fleet/metrics.h"
#include "fleet/presence_rule.h"

/*
 * Who of the fleet is there: what fleet/presence_rule.h says of each device, kept in memory, and in
 * the database what has changed. Each device has its place in an agenda, so that nothing looks at
 * all of them but the end of the time that terminals have to come back in after musterd did.
 *
 * When musterd gets a line, all are in doubt until something of them is heard; nobody is judged
 * without a line and for `settle_ms` after it came. Then who was there, and of whom the broker has
 * no word, is away; and when so many have come with a new session as do not come by chance, the
 * broker had been restarted, and the kept words of the others are worth nothing either.
 * A broker that keeps no words, or a line that was away for long, leaves only silence to judge by.
 */
struct presence;

struct presence_settings {
    struct fleetdb *db;
    const struct clock *clock;
    struct metrics *metrics;
    int64_t grace_ms, silence_ms, settle_ms;
    const char *hours, *zone; /* of stores of which nobody has said them */
};

bool presence_open(const struct presence_settings *settings, struct presence **ret_presence,
                   struct err *err) MUSTER_CHECK;
/* Writes what is not written yet. NULL is fine. */
void presence_close(struct presence *presence);

/* Our line to the broker; `keeps`: it keeps retained messages. */
void presence_line_up(struct presence *presence, bool keeps);
void presence_line_down(struct presence *presence);

/* As the collector's ports. */
void presence_heard(struct presence *presence, int64_t device, int64_t silence_s);
void presence_word(struct presence *presence, int64_t device, const struct online_word *word,
                   bool kept);

/* Once a loop turn. Returns after how many milliseconds it wants to be called at the latest; -1:
 * not before something happens. */
int64_t presence_turn(struct presence *presence);

struct presence_status {
    bool line;                                   /* musterd has one, ... */
    bool judging;                                /* and has had it for long enough */
    int64_t line_ms;                             /* wall: since when it has one or none */
    int64_t in_service[FLEETDB_PRESENCE_STATES]; /* how many are in that state */
};
struct presence_status presence_status(const struct presence *presence);

#endif
