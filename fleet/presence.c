/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/presence.h"

#include "base/log.h"
#include "fleet/agenda.h"
#include "fleet/presence_news.h"
#include "fleet/store_hours.h"

#include <stdlib.h>
#include <string.h>

enum {
    WRITTEN_IN_A_TURN = 1000,
    SEEN_EVERY_MS = 10000,
    LOOK_EVERY_MS = 200, /* for changes of devices and places */
    LOAD_PAUSES = 20,    /* times as long as a look took that found some */
    TRY_AGAIN_MS = 1000,
    SHORT_LOSS_MS = 15 * 60 * 1000, /* of our line: who came meanwhile came because of it, ... */
    CHANCE_LEAST = 2,               /* ... unless these are as few as come by chance */
    CHANCE_PERCENT = 5,
};

struct entry {
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
    struct entry *entries; /* ascending by device */
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

static struct presence_time time_now(const struct presence *presence)
{
    return (struct presence_time){.boot_ms = clock_boot_ms(presence->settings.clock),
                                  .wall_ms = clock_wall_ms(presence->settings.clock)};
}

static bool is_blind(const struct presence *presence)
{
    return !presence->line || presence->settling;
}

static void complain(struct presence *presence, const char *what, const struct err *why)
{
    if (log_gate_pass(&presence->gate, clock_boot_ms(presence->settings.clock),
                      "musterctl presence"))
        log_error("presence: %s: %s", what, why->text);
}

/* ---- which entry ---- */

static int by_device(const void *a, const void *b)
{
    const int64_t one = ((const struct entry *)a)->kept.device,
                  other = ((const struct entry *)b)->kept.device;
    return (one > other) - (one < other);
}

static struct entry *entry_of(const struct presence *presence, int64_t device)
{
    const struct entry key = {.kept.device = device};
    return presence->count == 0 ? NULL
                                : bsearch(&key, presence->entries, presence->count,
                                          sizeof *presence->entries, by_device);
}

static void enqueue(struct presence *presence, struct entry *entry)
{
    if (entry->queued)
        return;
    entry->queued = true;
    presence->queue[presence->queued++] = (size_t)(entry - presence->entries);
}

/* ---- judging ---- */

static void judge(struct presence *presence, struct entry *entry, const struct presence_time *now)
{
    struct store_hours *hours = &presence->hours.kinds[entry->hours];
    const struct presence_place place = {
        .in_service = entry->in_service,
        .open = store_hours_open(hours, now->wall_ms, now->boot_ms),
        .until_ms = hours->until_ms,
        .blind = is_blind(presence),
    };
    int64_t due_ms = -1;
    enum fleetdb_presence_state state =
        presence_rule_judge(&entry->sight, &presence->rule, &place, now, &due_ms);
    agenda_set(&presence->agenda, (size_t)(entry - presence->entries), due_ms);
    if (state == FLEETDB_MISSING && entry->kept.missing_ms == 0)
        entry->kept.missing_ms = now->wall_ms;
    entry->kept.state = state;
    if (state != entry->written)
        enqueue(presence, entry);
}

/* Something was heard of it; `before`: how it stood. */
static void look(struct presence *presence, struct entry *entry,
                 const struct presence_sight *before, const struct presence_time *now)
{
    const struct presence_sight *sight = &entry->sight;
    bool was_away = before->line == PRESENCE_AWAY, is_away = sight->line == PRESENCE_AWAY;
    if (was_away && !is_away &&
        (before->missing || now->wall_ms - before->since_ms >= presence->rule.grace_ms))
        entry->over = (struct fleetdb_absence){.from_ms = before->since_ms,
                                               .to_ms = now->wall_ms,
                                               .evidence = before->evidence,
                                               .missing_ms = entry->kept.missing_ms};
    if (before->line != sight->line || before->boot != sight->boot ||
        before->began_ms != sight->began_ms || before->silence_s != sight->silence_s)
        enqueue(presence, entry);
    if (before->seen_ms != sight->seen_ms && !entry->seen) {
        entry->seen = true;
        presence->seen++;
    }
    if (before->line != sight->line || before->line == PRESENCE_AWAY || before->seen_ms == 0 ||
        before->silence_s != sight->silence_s)
        judge(presence, entry, now);
    if (!is_away)
        entry->kept.missing_ms = 0;
}

static void judge_all(struct presence *presence, const struct presence_time *now)
{
    for (size_t i = 0; i < presence->count; i++)
        judge(presence, &presence->entries[i], now);
}

static void judge_due(struct presence *presence, const struct presence_time *now)
{
    size_t thing;
    int64_t due_ms;
    while (agenda_first(&presence->agenda, &thing, &due_ms) && due_ms <= now->boot_ms)
        judge(presence, &presence->entries[thing], now);
}

/* ---- our own line ---- */

void presence_line_up(struct presence *presence, bool keeps)
{
    const struct presence_time now = time_now(presence);
    struct err err = {0};
    if (presence->line)
        presence_line_down(presence);
    presence->line = presence->settling = true;
    presence->keeps = keeps;
    presence->settles_ms = now.boot_ms + presence->settings.settle_ms;
    presence->line_wall_ms = now.wall_ms;
    if (!fleetdb_presence_doubt(presence->settings.db, &err))
        complain(presence, "who is there is not known any more", &err);
    for (size_t i = 0; i < presence->count; i++) {
        struct entry *entry = &presence->entries[i];
        presence_rule_line(&entry->sight, now.boot_ms);
        if (entry->written == FLEETDB_ONLINE)
            entry->written = entry->kept.state = FLEETDB_UNKNOWN;
        judge(presence, entry, &now);
    }
    const struct fleetdb_absence deaf = {.from_ms = presence->lost_wall_ms, .to_ms = now.wall_ms};
    if (presence->lost_wall_ms != 0 && deaf.to_ms - deaf.from_ms >= presence->rule.grace_ms &&
        !fleetdb_absence_add(presence->settings.db, 0, &deaf, &err))
        complain(presence, "that nobody was heard for a time was not written", &err);
}

void presence_line_down(struct presence *presence)
{
    const struct presence_time now = time_now(presence);
    if (!presence->line)
        return;
    presence->line = presence->settling = false;
    presence->ever = true;
    presence->lost_boot_ms = now.boot_ms;
    presence->lost_wall_ms = presence->line_wall_ms = now.wall_ms;
}

/* Whether the broker was restarted, by those who were there. After a short loss more of them came
 * anew than come by chance, and than say something in a session from before; where we were deaf for
 * longer, as many as stayed. Most may not come back at all. */
static bool was_restarted(const struct presence *presence)
{
    size_t came = 0, stayed = 0, spoke = 0;
    bool was_short = presence->ever &&
                     presence->settles_ms - presence->settings.settle_ms - presence->lost_boot_ms <
                         SHORT_LOSS_MS;
    for (size_t i = 0; i < presence->count; i++) {
        const struct presence_sight *sight = &presence->entries[i].sight;
        if (!sight->doubted || sight->line != PRESENCE_THERE)
            continue;
        came += sight->anew && (sight->proved || was_short);
        stayed += !sight->anew;
        spoke += !sight->anew && sight->proved;
    }
    bool by_chance =
        came < CHANCE_LEAST || came * 100 < (came + stayed) * CHANCE_PERCENT || came <= spoke;
    return came > 0 && (came >= stayed || (was_short && !by_chance));
}

static void settle(struct presence *presence, const struct presence_time *now)
{
    const struct presence_broker broker = {
        .keeps = presence->keeps,
        .restarted = was_restarted(presence),
        .lost_ms = presence->lost_wall_ms,
    };
    presence->settling = false;
    for (size_t i = 0; i < presence->count; i++)
        presence_rule_settle(&presence->entries[i].sight, &broker);
    judge_all(presence, now);
    log_info("presence: all had time to come back%s",
             broker.restarted ? "; the broker had been restarted" : "");
}

/* ---- devices and places ---- */

struct loading {
    const struct presence *before;
    struct presence *to;
    int64_t boot_ms, wall_ms;
};

static bool make_room(struct presence *presence, struct err *err)
{
    if (presence->count < presence->room)
        return true;
    size_t room = presence->room > 0 ? 2 * presence->room : 64;
    struct entry *entries = realloc(presence->entries, room * sizeof *entries);
    if (entries == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu devices", room);
    presence->entries = entries;
    presence->room = room;
    return true;
}

static bool load_place(void *ctx, const struct fleetdb_presence_place *place, struct err *err)
{
    struct loading *loading = ctx;
    struct presence *to = loading->to;
    const struct entry *before = entry_of(loading->before, place->presence.device);
    if (!make_room(to, err))
        return false;
    struct entry *entry = &to->entries[to->count++];
    if (before != NULL) {
        *entry = *before;
    } else {
        *entry = (struct entry){.kept = place->presence, .written = place->presence.state};
        entry->sight = presence_sight_of(&entry->kept, loading->boot_ms);
        if (entry->kept.known_ms == 0)
            entry->kept.known_ms = loading->wall_ms;
    }
    entry->in_service = place->in_service;
    return store_hours_find(&to->hours, place->hours, place->zone, &entry->hours, err);
}

/* What is in hand of the devices that there were stays so. */
static bool load(struct presence *presence, const struct presence_time *now, struct err *err)
{
    struct presence fresh = {.entries = NULL};
    struct loading loading = {presence, &fresh, now->boot_ms, now->wall_ms};
    bool done =
        store_hours_begin(&fresh.hours, presence->settings.hours, presence->settings.zone, err) &&
        fleetdb_presence_each(presence->settings.db, load_place, &loading, err);
    size_t *queue = done ? calloc(fresh.count + 1, sizeof *queue) : NULL;
    if (done && queue == NULL)
        done = err_set(err, ERR_NO_MEMORY, "no memory for %zu devices", fresh.count);
    if (!done || !agenda_begin(&presence->agenda, fresh.count, err)) {
        free(fresh.entries);
        free(queue);
        store_hours_done(&fresh.hours);
        return false;
    }
    if (fresh.count > 0)
        qsort(fresh.entries, fresh.count, sizeof *fresh.entries, by_device);
    free(presence->entries);
    free(presence->queue);
    store_hours_done(&presence->hours);
    presence->entries = fresh.entries;
    presence->count = fresh.count;
    presence->room = fresh.room;
    presence->hours = fresh.hours;
    presence->queue = queue;
    presence->queued = presence->seen = 0;
    for (size_t i = 0; i < presence->count; i++) {
        struct entry *entry = &presence->entries[i];
        bool queued = entry->queued;
        entry->queued = false;
        presence->seen += entry->seen;
        if (queued)
            enqueue(presence, entry);
    }
    judge_all(presence, now);
    return true;
}

static void look_for_changes(struct presence *presence, const struct presence_time *now)
{
    struct err err = {0};
    int64_t change = 0;
    presence->looked_ms = now->boot_ms;
    if (!fleetdb_changes_last(presence->settings.db, &change, &err) ||
        (change != presence->change && !load(presence, now, &err))) {
        complain(presence, "changes of devices and stores were not seen", &err);
        return;
    }
    if (change == presence->change)
        return;
    presence->change = change;
    int64_t took_ms = clock_boot_ms(presence->settings.clock) - now->boot_ms;
    presence->looked_ms += LOAD_PAUSES * took_ms; /* while somebody changes one after another */
}

/* ---- what is heard ---- */

/* One that was enrolled a moment ago is looked for. NULL: the database failed. */
static struct entry *find_entry(struct presence *presence, int64_t device)
{
    const struct presence_time now = time_now(presence);
    struct entry *entry = entry_of(presence, device);
    struct err err = {0};
    if (entry == NULL && !load(presence, &now, &err))
        complain(presence, "a new device was not seen", &err);
    return entry != NULL ? entry : entry_of(presence, device);
}

void presence_heard(struct presence *presence, int64_t device, int64_t silence_s)
{
    struct entry *entry = find_entry(presence, device);
    if (entry == NULL)
        return;
    const struct presence_time now = time_now(presence);
    const struct presence_sight before = entry->sight;
    presence_rule_heard(&entry->sight, silence_s, &now);
    look(presence, entry, &before, &now);
}

void presence_word(struct presence *presence, int64_t device, const struct online_word *word,
                   bool kept)
{
    struct entry *entry = find_entry(presence, device);
    if (entry == NULL)
        return;
    const struct presence_time now = time_now(presence);
    const struct presence_sight before = entry->sight;
    if (presence_rule_word(&entry->sight, word, kept, &now))
        look(presence, entry, &before, &now);
    else
        metrics_add(presence->settings.metrics, METRIC_LATE_WORDS, 1);
}

/* ---- writing ---- */

static bool tell(struct presence *presence, enum presence_news_kind kind,
                 const struct fleetdb_presence *row, const struct presence_time *now,
                 struct err *err)
{
    return presence_news_add(&presence->news, presence->settings.db, kind, row, now->boot_ms,
                             now->wall_ms, err);
}

static bool tell_news(struct presence *presence, const struct entry *entry,
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

static struct fleetdb_presence row_of(const struct entry *entry)
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
static bool write_entry(struct presence *presence, const struct entry *entry,
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
        const struct entry *entry =
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

static void count_news(struct presence *presence, const struct entry *entry)
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
        struct entry *entry = &presence->entries[presence->queue[presence->queued + i]];
        count_news(presence, entry);
        presence->seen -= entry->seen;
        entry->queued = entry->seen = false;
        entry->over = (struct fleetdb_absence){0};
        entry->written = entry->kept.state;
        entry->kept.told = told[i];
    }
}

static void queue_seen(struct presence *presence, const struct presence_time *now)
{
    presence->seen_written_ms = now->boot_ms;
    for (size_t i = 0; presence->seen > 0 && i < presence->count; i++) {
        if (presence->entries[i].seen)
            enqueue(presence, &presence->entries[i]);
    }
}

static bool write_queue(struct presence *presence, const struct presence_time *now)
{
    bool told[WRITTEN_IN_A_TURN];
    struct err err = {0};
    size_t count = presence->queued < WRITTEN_IN_A_TURN ? presence->queued : WRITTEN_IN_A_TURN;
    if (count == 0 && !presence_news_due(&presence->news, now->boot_ms))
        return true;
    if (!write_some(presence, count, now, told, &err)) {
        complain(presence, "what has changed was not written, and is tried again", &err);
        presence->try_ms = now->boot_ms + TRY_AGAIN_MS;
        return false;
    }
    forget_written(presence, count, told);
    return true;
}

/* ---- the turn ---- */

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    if (a_ms < 0 || b_ms < 0)
        return a_ms < 0 ? b_ms : a_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

static int64_t left(int64_t until_ms, const struct presence_time *now)
{
    return until_ms > now->boot_ms ? until_ms - now->boot_ms : 0;
}

static int64_t next_ms(const struct presence *presence, const struct presence_time *now)
{
    int64_t wait_ms = presence_news_wait_ms(&presence->news, now->boot_ms), due_ms;
    size_t thing;
    if (presence->queued > 0)
        return presence->try_ms > now->boot_ms ? left(presence->try_ms, now) : 0;
    if (agenda_first(&presence->agenda, &thing, &due_ms))
        wait_ms = sooner(wait_ms, left(due_ms, now));
    if (presence->line && presence->settling)
        wait_ms = sooner(wait_ms, left(presence->settles_ms, now));
    if (presence->seen > 0)
        wait_ms = sooner(wait_ms, left(presence->seen_written_ms + SEEN_EVERY_MS, now));
    return wait_ms;
}

int64_t presence_turn(struct presence *presence)
{
    const struct presence_time now = time_now(presence);
    int64_t looks_ms = presence->looked_ms + LOOK_EVERY_MS;
    if (now.boot_ms >= looks_ms)
        look_for_changes(presence, &now);
    if (presence->line && presence->settling && now.boot_ms >= presence->settles_ms)
        settle(presence, &now);
    judge_due(presence, &now);
    if (presence->seen > 0 && now.boot_ms - presence->seen_written_ms >= SEEN_EVERY_MS)
        queue_seen(presence, &now);
    if (now.boot_ms >= presence->try_ms)
        (void)write_queue(presence, &now);
    int64_t wait_ms = next_ms(presence, &now);
    return now.boot_ms < looks_ms ? sooner(wait_ms, looks_ms - now.boot_ms) : wait_ms;
}

/* ---- opening and closing ---- */

bool presence_open(const struct presence_settings *settings, struct presence **ret_presence,
                   struct err *err)
{
    struct presence *presence = calloc(1, sizeof *presence);
    if (presence == NULL)
        return err_set(err, ERR_NO_MEMORY, "presence: out of memory");
    presence->settings = *settings;
    presence->rule = (struct presence_rule){.grace_ms = settings->grace_ms,
                                            .silence_least_ms = settings->silence_ms};
    const struct presence_time now = time_now(presence);
    presence->line_wall_ms = now.wall_ms;
    presence->seen_written_ms = now.boot_ms;
    if (!fleetdb_changes_last(settings->db, &presence->change, err) || !load(presence, &now, err)) {
        presence_close(presence);
        return err_context(err, "presence");
    }
    /* Until then somebody was heard, and nobody since. */
    for (size_t i = 0; i < presence->count; i++) {
        if (presence->entries[i].sight.seen_ms > presence->lost_wall_ms)
            presence->lost_wall_ms = presence->entries[i].sight.seen_ms;
    }
    *ret_presence = presence;
    return true;
}

void presence_close(struct presence *presence)
{
    if (presence == NULL)
        return;
    const struct presence_time now = time_now(presence);
    struct err err = {0};
    queue_seen(presence, &now);
    while (presence->queued > 0 && write_queue(presence, &now))
        continue;
    if (!presence_news_tell(&presence->news, presence->settings.db, now.boot_ms, now.wall_ms, true,
                            &err))
        complain(presence, "what happened in the last minute was not told", &err);
    presence_news_done(&presence->news);
    agenda_done(&presence->agenda);
    store_hours_done(&presence->hours);
    free(presence->entries);
    free(presence->queue);
    free(presence);
}

struct presence_status presence_status(const struct presence *presence)
{
    struct presence_status status = {
        .line = presence->line, .judging = !is_blind(presence), .line_ms = presence->line_wall_ms};
    for (size_t i = 0; i < presence->count; i++)
        status.in_service[presence->entries[i].kept.state] += presence->entries[i].in_service;
    return status;
}
