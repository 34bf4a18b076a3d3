/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/presence_news.h"

#include "fleet/feed_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const enum fleetdb_feed_kind feed_kinds[PRESENCE_NEWS_KINDS] = {
    [PRESENCE_NEWS_ONLINE] = FLEETDB_FEED_ONLINE,
    [PRESENCE_NEWS_OFFLINE] = FLEETDB_FEED_OFFLINE,
    [PRESENCE_NEWS_MISSING] = FLEETDB_FEED_MISSING,
    [PRESENCE_NEWS_BACK] = FLEETDB_FEED_BACK,
};

void presence_news_done(struct presence_news *news)
{
    for (unsigned i = 0; i < PRESENCE_NEWS_KINDS; i++)
        buf_done(&news->minutes[i].devices);
}

static bool is_over(const struct presence_minute *minute, int64_t boot_ms)
{
    return boot_ms - minute->began_ms >= PRESENCE_NEWS_MS;
}

static bool close_minute(struct presence_minute *minute, struct fleetdb *db,
                         enum presence_news_kind kind, int64_t wall_ms, struct err *err)
{
    const size_t length = minute->devices.length;
    if (minute->count > minute->named &&
        (!buf_append(&minute->devices, "]", sizeof "]", err) ||
         !fleetdb_presence_tell_many(db, feed_kind_word(feed_kinds[kind]),
                                     (const char *)minute->devices.data, minute->named,
                                     minute->began_wall_ms, wall_ms, err))) {
        minute->devices.length = length; /* to be tried again */
        return false;
    }
    minute->count = minute->named = 0;
    buf_clear(&minute->devices);
    return true;
}

bool presence_news_add(struct presence_news *news, struct fleetdb *db, enum presence_news_kind kind,
                       const struct fleetdb_presence *presence, int64_t boot_ms, int64_t wall_ms,
                       struct err *err)
{
    struct presence_minute *minute = &news->minutes[kind];
    char text[24];
    if (minute->count > 0 && is_over(minute, boot_ms) &&
        !close_minute(minute, db, kind, wall_ms, err))
        return false;
    if (minute->count == 0) {
        minute->began_ms = boot_ms;
        minute->began_wall_ms = wall_ms;
    }
    int length =
        snprintf(text, sizeof text, "%c%" PRId64, minute->count == 0 ? '[' : ',', presence->device);
    if (!buf_append(&minute->devices, text, (size_t)length, err))
        return false;
    minute->count++;
    if (minute->named == PRESENCE_NEWS_NAMED)
        return true;
    minute->named++;
    return fleetdb_presence_tell(db, feed_kinds[kind], presence->device, presence->since_ms,
                                 presence->evidence, wall_ms, err);
}

bool presence_news_due(const struct presence_news *news, int64_t boot_ms)
{
    for (unsigned i = 0; i < PRESENCE_NEWS_KINDS; i++) {
        const struct presence_minute *minute = &news->minutes[i];
        if (minute->count > minute->named && is_over(minute, boot_ms))
            return true;
    }
    return false;
}

bool presence_news_tell(struct presence_news *news, struct fleetdb *db, int64_t boot_ms,
                        int64_t wall_ms, bool now, struct err *err)
{
    for (unsigned i = 0; i < PRESENCE_NEWS_KINDS; i++) {
        struct presence_minute *minute = &news->minutes[i];
        if (minute->count > 0 && (now || is_over(minute, boot_ms)) &&
            !close_minute(minute, db, (enum presence_news_kind)i, wall_ms, err))
            return false;
    }
    return true;
}

int64_t presence_news_wait_ms(const struct presence_news *news, int64_t boot_ms)
{
    int64_t wait_ms = -1;
    for (unsigned i = 0; i < PRESENCE_NEWS_KINDS; i++) {
        const struct presence_minute *minute = &news->minutes[i];
        if (minute->count <= minute->named)
            continue;
        int64_t left_ms = minute->began_ms + PRESENCE_NEWS_MS - boot_ms;
        left_ms = left_ms > 0 ? left_ms : 0;
        wait_ms = wait_ms < 0 || left_ms < wait_ms ? left_ms : wait_ms;
    }
    return wait_ms;
}
