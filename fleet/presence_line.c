/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/presence_internal.h"

enum {
    SHORT_LOSS_MS = 15 * 60 * 1000, /* of our line: who came meanwhile came because of it, ... */
    CHANCE_LEAST = 2,               /* ... unless these are as few as come by chance */
    CHANCE_PERCENT = 5,
};

bool presence_is_blind(const struct presence *presence)
{
    return !presence->line || presence->settling;
}

void presence_line_up(struct presence *presence, bool keeps)
{
    const struct presence_time now = presence_time_now(presence);
    struct err err = {0};
    if (presence->line)
        presence_line_down(presence);
    presence->line = presence->settling = true;
    presence->keeps = keeps;
    presence->settles_ms = now.boot_ms + presence->settings.settle_ms;
    presence->line_wall_ms = now.wall_ms;
    if (!fleetdb_presence_doubt(presence->settings.db, &err))
        presence_complain(presence, "who is there is not known any more", &err);
    for (size_t i = 0; i < presence->count; i++) {
        struct presence_entry *entry = &presence->entries[i];
        presence_rule_line(&entry->sight, now.boot_ms);
        if (entry->written == FLEETDB_ONLINE)
            entry->written = entry->kept.state = FLEETDB_UNKNOWN;
        presence_judge(presence, entry, &now);
    }
    const struct fleetdb_absence deaf = {.from_ms = presence->lost_wall_ms, .to_ms = now.wall_ms};
    if (presence->lost_wall_ms != 0 && deaf.to_ms - deaf.from_ms >= presence->rule.grace_ms &&
        !fleetdb_absence_add(presence->settings.db, 0, &deaf, &err))
        presence_complain(presence, "that nobody was heard for a time was not written", &err);
}

void presence_line_down(struct presence *presence)
{
    const struct presence_time now = presence_time_now(presence);
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

void presence_settle(struct presence *presence, const struct presence_time *now)
{
    const struct presence_broker broker = {
        .keeps = presence->keeps,
        .restarted = was_restarted(presence),
        .lost_ms = presence->lost_wall_ms,
    };
    presence->settling = false;
    for (size_t i = 0; i < presence->count; i++)
        presence_rule_settle(&presence->entries[i].sight, &broker);
    presence_judge_all(presence, now);
    log_info("presence: all had time to come back%s",
             broker.restarted ? "; the broker had been restarted" : "");
}
