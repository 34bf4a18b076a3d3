/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_PRESENCE_H
#define STORAGE_FLEETDB_PRESENCE_H

#include "storage/fleetdb_feed.h"
#include "storage/fleetdb_scope.h"

/* Who is there, and who was away from when to when. fleet/presence.h decides. */

enum fleetdb_presence_state {
    FLEETDB_UNKNOWN, /* nothing was heard of it yet, or not since musterd had a line again */
    FLEETDB_ONLINE,
    FLEETDB_OFFLINE, /* away, and not expected, or not for long enough yet to be missed */
    FLEETDB_CLOSED,  /* away, as its store is closed */
    FLEETDB_MISSING, /* away in the hours of its store, for longer than that may be */
    FLEETDB_PRESENCE_STATES,
};
/* "unknown" "online" "offline" "closed" "missing" */
const char *fleetdb_presence_name(enum fleetdb_presence_state state);
/* False: there is no such word. */
bool fleetdb_presence_find(const char *name, enum fleetdb_presence_state *ret_state);

enum fleetdb_evidence { /* by what it is known; in the database: append only */
                        FLEETDB_BY_NOTHING,
                        FLEETDB_BY_BIRTH,   /* it said so when its session began */
                        FLEETDB_BY_KEPT,    /* the broker had kept that word */
                        FLEETDB_BY_MESSAGE, /* a batch or a hello came */
                        FLEETDB_BY_WILL,
                        FLEETDB_BY_GOODBYE,
                        FLEETDB_BY_SILENCE,
                        FLEETDB_BY_BROKER, /* it did not come back when the others did */
                        FLEETDB_EVIDENCES,
};
const char *fleetdb_evidence_name(enum fleetdb_evidence evidence);

struct fleetdb_presence {
    int64_t device;
    enum fleetdb_presence_state state;
    enum fleetdb_evidence evidence;
    int64_t since_ms;   /* online or away since */
    int64_t seen_ms;    /* last message of its own; 0: never */
    int64_t missing_ms; /* when it was first found to be missing since it is away; 0: not yet */
    int64_t known_ms;   /* since when this is kept */
    int64_t silence_s;
    uint64_t boot, boot_before;
    int64_t began_ms;
    bool told; /* as online, to the feed */
};

/* All that presence goes by: each device with what is kept of it and where it stands. Those with
 * the same hours and zone follow each other. */
struct fleetdb_presence_place {
    struct fleetdb_presence presence; /* known_ms 0: nothing is kept of it yet */
    bool in_service;
    const char *hours, *zone; /* "" */
};
bool fleetdb_presence_each(struct fleetdb *db,
                           bool (*each)(void *ctx, const struct fleetdb_presence_place *place,
                                        struct err *err),
                           void *ctx, struct err *err) MUSTER_CHECK;
/* Rises whenever somebody has changed something of devices or places. */
bool fleetdb_changes_last(struct fleetdb *db, int64_t *ret_change, struct err *err) MUSTER_CHECK;

bool fleetdb_presence_write(struct fleetdb *db, const struct fleetdb_presence *presence,
                            struct err *err) MUSTER_CHECK;
/* Nobody is known to be online until something is heard again: in one go. */
bool fleetdb_presence_doubt(struct fleetdb *db, struct err *err) MUSTER_CHECK;

/* ---- history ---- */

enum { FLEETDB_ABSENCES_MAX = 400 }; /* of a device; older ones give way */
struct fleetdb_absence {
    int64_t from_ms, to_ms;
    enum fleetdb_evidence evidence;
    int64_t missing_ms; /* 0: nobody missed it */
};
/* `device` 0: musterd heard nobody. They go by age too (storage/keeping.def). */
bool fleetdb_absence_add(struct fleetdb *db, int64_t device, const struct fleetdb_absence *absence,
                         struct err *err) MUSTER_CHECK;
/* Those that end after `from_ms`, oldest first; of one that is not over yet nothing. */
bool fleetdb_absence_each(struct fleetdb *db, int64_t device, int64_t from_ms,
                          bool (*each)(void *ctx, const struct fleetdb_absence *absence,
                                       struct err *err),
                          void *ctx, struct err *err) MUSTER_CHECK;

/* Where and when in [from_ms, to_ms) a device was in service, oldest first; with the hours that
 * the store has today. */
struct fleetdb_stood {
    int64_t from_ms, to_ms;
    const char *hours, *zone;
};
bool fleetdb_stood_each(struct fleetdb *db, int64_t device, int64_t from_ms, int64_t to_ms,
                        bool (*each)(void *ctx, const struct fleetdb_stood *stood, struct err *err),
                        void *ctx, struct err *err) MUSTER_CHECK;

/* ---- what is told ---- */

/* ONLINE, OFFLINE, MISSING or BACK of one device. */
bool fleetdb_presence_tell(struct fleetdb *db, enum fleetdb_feed_kind kind, int64_t device,
                           int64_t since_ms, enum fleetdb_evidence evidence, int64_t now_ms,
                           struct err *err) MUSTER_CHECK;
/* Of many at once: `devices` is a JSON array of their rows; told with their number, and by region
 * and model. `word` is that of the kind; `named` of them were told one by one. */
bool fleetdb_presence_tell_many(struct fleetdb *db, const char *word, const char *devices,
                                int64_t named, int64_t since_ms, int64_t now_ms,
                                struct err *err) MUSTER_CHECK;

/* ---- what people ask ---- */

/* Devices in service by state, and of those that are not in service how many there are. */
bool fleetdb_presence_counts(struct fleetdb *db, struct fleetdb_scope scope,
                             int64_t ret_counts[FLEETDB_PRESENCE_STATES],
                             int64_t *ret_not_in_service, struct err *err) MUSTER_CHECK;
struct fleetdb_presence_row {
    struct fleetdb_presence presence;
    const char *id, *model, *life, *merchant, *store, *region; /* "" */
};
/* Those in service in that state, the longest first. */
bool fleetdb_presence_list(struct fleetdb *db, struct fleetdb_scope scope,
                           enum fleetdb_presence_state state, int64_t limit,
                           bool (*each)(void *ctx, const struct fleetdb_presence_row *row,
                                        struct err *err),
                           void *ctx, struct err *err) MUSTER_CHECK;
/* ERR_NOT_FOUND: nothing is kept of it yet. */
bool fleetdb_presence_read(struct fleetdb *db, int64_t device,
                           struct fleetdb_presence *ret_presence, struct err *err) MUSTER_CHECK;

#endif
