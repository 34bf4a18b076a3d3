/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/presence_internal.h"

void presence_judge(struct presence *presence, struct presence_entry *entry,
                    const struct presence_time *now)
{
    struct store_hours *hours = &presence->hours.kinds[entry->hours];
    const struct presence_place place = {
        .in_service = entry->in_service,
        .open = store_hours_open(hours, now->wall_ms, now->boot_ms),
        .until_ms = hours->until_ms,
        .blind = presence_is_blind(presence),
    };
    int64_t due_ms = -1;
    enum fleetdb_presence_state state =
        presence_rule_judge(&entry->sight, &presence->rule, &place, now, &due_ms);
    agenda_set(&presence->agenda, (size_t)(entry - presence->entries), due_ms);
    if (state == FLEETDB_MISSING && entry->kept.missing_ms == 0)
        entry->kept.missing_ms = now->wall_ms;
    entry->kept.state = state;
    if (state != entry->written)
        presence_enqueue(presence, entry);
}

void presence_judge_heard(struct presence *presence, struct presence_entry *entry,
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
        presence_enqueue(presence, entry);
    if (before->seen_ms != sight->seen_ms && !entry->seen) {
        entry->seen = true;
        presence->seen++;
    }
    if (before->line != sight->line || before->line == PRESENCE_AWAY || before->seen_ms == 0 ||
        before->silence_s != sight->silence_s)
        presence_judge(presence, entry, now);
    if (!is_away)
        entry->kept.missing_ms = 0;
}

void presence_judge_all(struct presence *presence, const struct presence_time *now)
{
    for (size_t i = 0; i < presence->count; i++)
        presence_judge(presence, &presence->entries[i], now);
}

void presence_judge_due(struct presence *presence, const struct presence_time *now)
{
    size_t thing;
    int64_t due_ms;
    while (agenda_first(&presence->agenda, &thing, &due_ms) && due_ms <= now->boot_ms)
        presence_judge(presence, &presence->entries[thing], now);
}
