/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_FEED_H
#define STORAGE_FLEETDB_FEED_H

#include "storage/fleetdb_scope.h"

/*
 * What has happened, as a log with one reader's place for each who follows it: nothing is in it
 * that was not committed, and a reader that comes back goes on where it was. It is bounded: who
 * stays away for longer than FLEETDB_FEED_ROWS has missed something, and can tell.
 */
enum { FLEETDB_FEED_ROWS = 100000 };

enum fleetdb_feed_kind { /* in the database: append only */
                         FLEETDB_FEED_ONLINE = 1,
                         FLEETDB_FEED_OFFLINE,
                         FLEETDB_FEED_CHANGE,  /* a row of the audit */
                         FLEETDB_FEED_EVENT,   /* a terminal's */
                         FLEETDB_FEED_RESULT,  /* a sale that failed */
                         FLEETDB_FEED_MISSING, /* as the next two, a row of presence_news */
                         FLEETDB_FEED_BACK,
                         FLEETDB_FEED_MANY, /* online, offline, missing or back */
                         FLEETDB_FEED_KINDS,
};

/* In the transaction of what it tells of; `device` 0: of none. */
bool fleetdb_feed_add(struct fleetdb *db, enum fleetdb_feed_kind kind, int64_t device,
                      int64_t source, int64_t now_ms, struct err *err) MUSTER_CHECK;
/* A change, event or result was removed whose row was `removed`: where it was the newest, its
 * number will be given again, and the feed is not to tell of another under it. In the same
 * transaction. */
bool fleetdb_feed_forget(struct fleetdb *db, enum fleetdb_feed_kind kind, int64_t removed,
                         struct err *err) MUSTER_CHECK;
/* Rises whenever something may have been added, also by a transaction that is rolled back. */
int64_t fleetdb_feed_last(const struct fleetdb *db);

/* The rows that are kept: from `oldest` to `newest`; both 0: none yet. */
bool fleetdb_feed_range(struct fleetdb *db, int64_t *ret_oldest, int64_t *ret_newest,
                        struct err *err) MUSTER_CHECK;
/* When a row was written; 0: there is no such row (any more). */
bool fleetdb_feed_when(struct fleetdb *db, int64_t id, int64_t *ret_at_ms,
                       struct err *err) MUSTER_CHECK;

struct fleetdb_feed_row {
    int64_t id, at_ms;
    enum fleetdb_feed_kind kind;
    int64_t device;                /* row, 0: none */
    const char *device_id;         /* "" */
    const char *who, *what, *text; /* of a change; the text of an event too, and of many JSON */
    int event_kind, refusal;       /* of an event: EventKind, Refusal */
    const char *item;
    int64_t happened_ms; /* of an event or result, in true time as far as it is known */
    const char *code;    /* of a result, as is what follows */
    int outcome, entry;  /* Outcome, EntryMode */
    int64_t amount_minor, currency;
    const char *issuer;
    int64_t since_ms; /* of who is online, offline, missing or back: online or away since */
    int evidence;     /* enum fleetdb_evidence */
    bool gone;        /* what it told of has been removed since */
};
/* At most `limit`, from the one after `after` on, oldest first. What `each` gets lives during the
 * call only. */
bool fleetdb_feed_each(struct fleetdb *db, int64_t after, int64_t limit,
                       bool (*each)(void *ctx, const struct fleetdb_feed_row *row, struct err *err),
                       void *ctx, struct err *err) MUSTER_CHECK;
/* Whether a row tells of what happened in the scope, wherever its device stands now. What is of no
 * device, or has been removed since, or brought the device from elsewhere, is of the whole fleet
 * alone. */
bool fleetdb_feed_held(struct fleetdb *db, struct fleetdb_scope scope, int64_t id, bool *ret_held,
                       struct err *err) MUSTER_CHECK;

#endif
