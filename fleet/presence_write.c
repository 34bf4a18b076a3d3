/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/presence_internal.h"

enum { WRITTEN_IN_A_TURN = 1000, TRY_AGAIN_MS = 1000 };

void presence_enqueue(struct presence *presence, struct presence_entry *entry)
{
    if (entry->queued)
        return;
    entry->queued = true;
    presence->queue[presence->queued++] = (size_t)(entry - presence->entries);
}

static bool tell(struct presence *presence, enum presence_news_kind kind,
                 const struct fleetdb_presence *row, const struct presence_time *now,
                 struct err *err)
{
    return presence_news_add(&presence->news, presence->settings.db, kind, row, now->boot_ms,
                             now->wall_ms, err);
}

static bool tell_news(struct presence *presence, const struct presence_entry *entry,
                      struct fleetdb_presence *row, const struct presence_time *now,
                      struct err *err)
{
    bool is_back = entry->written == FLEETDB_MISSING && row->state != FLEETDB_MISSING;
    bool is_missing = entry->written != FLEETDB_MISSING && row->state == FLEETDB_MISSING;
    bool told = row->state == FLEETDB_ONLINE || (row->state == FLEETDB_UNKNOWN && row->told);
    bool news = told != row->told;
    row->told = told;
    return (!news ||
            tell(presence, told ? PRESENCE_NEWS_ONLINE : PRESENCE_NEWS_OFFLINE, row, now, err)) &&
           (!is_missing || tell(presence, PRESENCE_NEWS_MISSING, row, now, err)) &&
           (!is_back || tell(presence, PRESENCE_NEWS_BACK, row, now, err));
}

static struct fleetdb_presence row_of(const struct presence_entry *entry)
{
    struct fleetdb_presence row = entry->kept;
    row.evidence = entry->sight.evidence;
    row.since_ms = entry->sight.since_ms;
    row.seen_ms = entry->sight.seen_ms;
    row.silence_s = entry->sight.silence_s;
    row.boot = entry->sight.boot;
    row.boot_before = entry->sight.boot_before;
    row.began_ms = entry->sight.began_ms;
    return row;
}

/* `ret_told`: what the feed was told of it. */
static bool write_entry(struct presence *presence, const struct presence_entry *entry,
                        const struct presence_time *now, bool *ret_told, struct err *err)
{
    struct fleetdb_presence row = row_of(entry);
    bool done = tell_news(presence, entry, &row, now, err) &&
                fleetdb_presence_write(presence->settings.db, &row, err) &&
                (entry->over.to_ms == 0 ||
                 fleetdb_absence_add(presence->settings.db, row.device, &entry->over, err));
    *ret_told = row.told;
    return done;
}

/* Of the queue's end, so that what stays is in its place. */
static bool write_some(struct presence *presence, size_t count, const struct presence_time *now,
                       bool told[WRITTEN_IN_A_TURN], struct err *err)
{
    struct fleetdb *db = presence->settings.db;
    bool done = fleetdb_begin(db, err);
    for (size_t i = 0; done && i < count; i++) {
        const struct presence_entry *entry =
            &presence->entries[presence->queue[presence->queued - count + i]];
        done = write_entry(presence, entry, now, &told[i], err);
    }
    done = done &&
           presence_news_tell(&presence->news, db, now->boot_ms, now->wall_ms, false, err) &&
           fleetdb_commit(db, err);
    if (!done)
        fleetdb_rollback(db);
    return done;
}

static void count_news(struct presence *presence, const struct presence_entry *entry)
{
    bool was = entry->written == FLEETDB_MISSING, is = entry->kept.state == FLEETDB_MISSING;
    metrics_add(presence->settings.metrics, METRIC_MISSING, !was && is);
    metrics_add(presence->settings.metrics, METRIC_BACK, was && !is);
}

static void forget_written(struct presence *presence, size_t count,
                           const bool told[WRITTEN_IN_A_TURN])
{
    presence->queued -= count;
    for (size_t i = 0; i < count; i++) {
        struct presence_entry *entry = &presence->entries[presence->queue[presence->queued + i]];
        count_news(presence, entry);
        presence->seen -= entry->seen;
        entry->queued = entry->seen = false;
        entry->over = (struct fleetdb_absence){0};
        entry->written = entry->kept.state;
        entry->kept.told = told[i];
    }
}

void presence_enqueue_seen(struct presence *presence, const struct presence_time *now)
{
    presence->seen_written_ms = now->boot_ms;
    for (size_t i = 0; presence->seen > 0 && i < presence->count; i++) {
        if (presence->entries[i].seen)
            presence_enqueue(presence, &presence->entries[i]);
    }
}

bool presence_write(struct presence *presence, const struct presence_time *now)
{
    bool told[WRITTEN_IN_A_TURN];
    struct err err = {0};
    size_t count = presence->queued < WRITTEN_IN_A_TURN ? presence->queued : WRITTEN_IN_A_TURN;
    if (count == 0 && !presence_news_due(&presence->news, now->boot_ms))
        return true;
    if (!write_some(presence, count, now, told, &err)) {
        presence_complain(presence, "what has changed was not written, and is tried again", &err);
        presence->try_ms = now->boot_ms + TRY_AGAIN_MS;
        return false;
    }
    forget_written(presence, count, told);
    return true;
}
