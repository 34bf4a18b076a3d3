/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/presence_internal.h"

#include <stdlib.h>

enum {
    SEEN_EVERY_MS = 10000,
    LOOK_EVERY_MS = 200, /* for changes of devices and places */
};

struct presence_time presence_time_now(const struct presence *presence)
{
    return (struct presence_time){.boot_ms = clock_boot_ms(presence->settings.clock),
                                  .wall_ms = clock_wall_ms(presence->settings.clock)};
}

void presence_complain(struct presence *presence, const char *what, const struct err *why)
{
    if (log_gate_pass(&presence->gate, clock_boot_ms(presence->settings.clock),
                      "musterctl presence"))
        log_error("presence: %s: %s", what, why->text);
}

/* ---- what is heard ---- */

void presence_heard(struct presence *presence, int64_t device, int64_t silence_s)
{
    struct presence_entry *entry = presence_find(presence, device);
    if (entry == NULL)
        return;
    const struct presence_time now = presence_time_now(presence);
    const struct presence_sight before = entry->sight;
    presence_rule_heard(&entry->sight, silence_s, &now);
    presence_judge_heard(presence, entry, &before, &now);
}

void presence_word(struct presence *presence, int64_t device, const struct online_word *word,
                   bool kept)
{
    struct presence_entry *entry = presence_find(presence, device);
    if (entry == NULL)
        return;
    const struct presence_time now = presence_time_now(presence);
    const struct presence_sight before = entry->sight;
    if (presence_rule_word(&entry->sight, word, kept, &now))
        presence_judge_heard(presence, entry, &before, &now);
    else
        metrics_add(presence->settings.metrics, METRIC_LATE_WORDS, 1);
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
    const struct presence_time now = presence_time_now(presence);
    int64_t looks_ms = presence->looked_ms + LOOK_EVERY_MS;
    if (now.boot_ms >= looks_ms)
        presence_look_for_changes(presence, &now);
    if (presence->line && presence->settling && now.boot_ms >= presence->settles_ms)
        presence_settle(presence, &now);
    presence_judge_due(presence, &now);
    if (presence->seen > 0 && now.boot_ms - presence->seen_written_ms >= SEEN_EVERY_MS)
        presence_enqueue_seen(presence, &now);
    if (now.boot_ms >= presence->try_ms)
        (void)presence_write(presence, &now);
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
    const struct presence_time now = presence_time_now(presence);
    presence->line_wall_ms = now.wall_ms;
    presence->seen_written_ms = now.boot_ms;
    if (!fleetdb_changes_last(settings->db, &presence->change, err) ||
        !presence_load(presence, &now, err)) {
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
    const struct presence_time now = presence_time_now(presence);
    struct err err = {0};
    presence_enqueue_seen(presence, &now);
    while (presence->queued > 0 && presence_write(presence, &now))
        continue;
    if (!presence_news_tell(&presence->news, presence->settings.db, now.boot_ms, now.wall_ms, true,
                            &err))
        presence_complain(presence, "what happened in the last minute was not told", &err);
    presence_news_done(&presence->news);
    agenda_done(&presence->agenda);
    store_hours_done(&presence->hours);
    free(presence->entries);
    free(presence->queue);
    free(presence);
}

struct presence_status presence_status(const struct presence *presence)
{
    struct presence_status status = {.line = presence->line,
                                     .judging = !presence_is_blind(presence),
                                     .line_ms = presence->line_wall_ms};
    for (size_t i = 0; i < presence->count; i++)
        status.in_service[presence->entries[i].kept.state] += presence->entries[i].in_service;
    return status;
}
