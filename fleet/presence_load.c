/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/presence_internal.h"

#include <stdlib.h>

enum { LOAD_PAUSES = 20 }; /* times as long as a look took that found some */

static int by_device(const void *a, const void *b)
{
    const int64_t one = ((const struct presence_entry *)a)->kept.device,
                  other = ((const struct presence_entry *)b)->kept.device;
    return (one > other) - (one < other);
}

static struct presence_entry *entry_of(const struct presence *presence, int64_t device)
{
    const struct presence_entry key = {.kept.device = device};
    return presence->count == 0 ? NULL
                                : bsearch(&key, presence->entries, presence->count,
                                          sizeof *presence->entries, by_device);
}

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
    struct presence_entry *entries = realloc(presence->entries, room * sizeof *entries);
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
    const struct presence_entry *before = entry_of(loading->before, place->presence.device);
    if (!make_room(to, err))
        return false;
    struct presence_entry *entry = &to->entries[to->count++];
    if (before != NULL) {
        *entry = *before;
    } else {
        *entry = (struct presence_entry){.kept = place->presence, .written = place->presence.state};
        entry->sight = presence_sight_of(&entry->kept, loading->boot_ms);
        if (entry->kept.known_ms == 0)
            entry->kept.known_ms = loading->wall_ms;
    }
    entry->in_service = place->in_service;
    return store_hours_find(&to->hours, place->hours, place->zone, &entry->hours, err);
}

bool presence_load(struct presence *presence, const struct presence_time *now, struct err *err)
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
        struct presence_entry *entry = &presence->entries[i];
        bool queued = entry->queued;
        entry->queued = false;
        presence->seen += entry->seen;
        if (queued)
            presence_enqueue(presence, entry);
    }
    presence_judge_all(presence, now);
    return true;
}

void presence_look_for_changes(struct presence *presence, const struct presence_time *now)
{
    struct err err = {0};
    int64_t change = 0;
    presence->looked_ms = now->boot_ms;
    if (!fleetdb_changes_last(presence->settings.db, &change, &err) ||
        (change != presence->change && !presence_load(presence, now, &err))) {
        presence_complain(presence, "changes of devices and stores were not seen", &err);
        return;
    }
    if (change == presence->change)
        return;
    presence->change = change;
    int64_t took_ms = clock_boot_ms(presence->settings.clock) - now->boot_ms;
    presence->looked_ms += LOAD_PAUSES * took_ms; /* while somebody changes one after another */
}

struct presence_entry *presence_find(struct presence *presence, int64_t device)
{
    const struct presence_time now = presence_time_now(presence);
    struct presence_entry *entry = entry_of(presence, device);
    struct err err = {0};
    if (entry == NULL && !presence_load(presence, &now, &err))
        presence_complain(presence, "a new device was not seen", &err);
    return entry != NULL ? entry : entry_of(presence, device);
}
