/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_PRESENCE_INTERNAL_H
#define FLEET_PRESENCE_INTERNAL_H

#include "base/log.h"
#include "fleet/agenda.h"
#include "fleet/presence.h"
#include "fleet/presence_news.h"
#include "fleet/store_hours.h"

/* For the files of presence only. */
struct presence_entry {
    struct fleetdb_presence kept; /* as the database has it; its state: as of now */
    struct presence_sight sight;
    struct fleetdb_absence over; /* to be written; to_ms 0: none */
    enum fleetdb_presence_state written;
    bool in_service;
    bool queued, seen; /* to be written; of a message alone */
    size_t hours;
};

struct presence {
    struct presence_settings settings;
    struct presence_rule rule;
    struct presence_entry *entries; /* ascending by device */
    size_t count, room;
    struct agenda agenda;
    struct store_hours_list hours;
    struct presence_news news;

    size_t *queue; /* places of entries with something to write */
    size_t queued;
    size_t seen; /* how many only said something */
    int64_t seen_written_ms;

    int64_t change, looked_ms; /* the newest change that was looked at, and when */
    int64_t try_ms;            /* boot: the database failed; not before */
    struct log_gate gate;

    bool line, keeps, settling, ever;
    int64_t settles_ms;                 /* boot */
    int64_t lost_boot_ms, lost_wall_ms; /* our line */
    int64_t line_wall_ms;
};

/* ---- presence.c ---- */

struct presence_time presence_time_now(const struct presence *presence);
void presence_complain(struct presence *presence, const char *what, const struct err *why);

/* ---- devices and places: presence_load.c ---- */

/* What is in hand of the devices that there were stays so. */
bool presence_load(struct presence *presence, const struct presence_time *now,
                   struct err *err) MUSTER_CHECK;
void presence_look_for_changes(struct presence *presence, const struct presence_time *now);
/* One that was enrolled a moment ago is looked for. NULL: the database failed. */
struct presence_entry *presence_find(struct presence *presence, int64_t device);

/* ---- judging: presence_judge.c ---- */

void presence_judge(struct presence *presence, struct presence_entry *entry,
                    const struct presence_time *now);
void presence_judge_all(struct presence *presence, const struct presence_time *now);
void presence_judge_due(struct presence *presence, const struct presence_time *now);
/* Something was heard of it; `before`: how it stood. */
void presence_judge_heard(struct presence *presence, struct presence_entry *entry,
                          const struct presence_sight *before, const struct presence_time *now);

/* ---- our own line: presence_line.c ---- */

bool presence_is_blind(const struct presence *presence);
/* Those who were there have had time to come back. */
void presence_settle(struct presence *presence, const struct presence_time *now);

/* ---- writing: presence_write.c ---- */

void presence_enqueue(struct presence *presence, struct presence_entry *entry);
/* All that only said something. */
void presence_enqueue_seen(struct presence *presence, const struct presence_time *now);
/* False: it is tried again, not before `try_ms`. */
bool presence_write(struct presence *presence, const struct presence_time *now);

#endif
