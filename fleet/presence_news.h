/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_PRESENCE_NEWS_H
#define FLEET_PRESENCE_NEWS_H

#include "base/buf.h"
#include "storage/fleetdb_presence.h"

/*
 * What the feed is told of presence, so that a carrier or a broker that is down is one event and
 * not one for each terminal: the first 20 of a kind in a minute are told one by one; when there
 * were more, the end of the minute tells of all of them in one, with their number, and by region
 * and model.
 */
enum { PRESENCE_NEWS_NAMED = 20, PRESENCE_NEWS_MS = 60000 };

enum presence_news_kind {
    PRESENCE_NEWS_ONLINE,
    PRESENCE_NEWS_OFFLINE,
    PRESENCE_NEWS_MISSING,
    PRESENCE_NEWS_BACK,
    PRESENCE_NEWS_KINDS,
};

struct presence_news {
    struct presence_minute {
        int64_t began_ms; /* boot */
        int64_t began_wall_ms;
        int64_t count, named; /* count 0: no minute has begun */
        struct buf devices;   /* "[1,2": of all of them */
    } minutes[PRESENCE_NEWS_KINDS];
};

void presence_news_done(struct presence_news *news);
/* Inside the transaction that writes it down. */
bool presence_news_add(struct presence_news *news, struct fleetdb *db, enum presence_news_kind kind,
                       const struct fleetdb_presence *presence, int64_t boot_ms, int64_t wall_ms,
                       struct err *err) MUSTER_CHECK;
/* Whether a minute that is over has something to tell. */
bool presence_news_due(const struct presence_news *news, int64_t boot_ms);
/* Tells it; `now`: of minutes that are not over, too. */
bool presence_news_tell(struct presence_news *news, struct fleetdb *db, int64_t boot_ms,
                        int64_t wall_ms, bool now, struct err *err) MUSTER_CHECK;
/* In how many milliseconds something is due; -1: nothing is. */
int64_t presence_news_wait_ms(const struct presence_news *news, int64_t boot_ms);

#endif
