/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_STORE_HOURS_H
#define FLEET_STORE_HOURS_H

#include "fleet/zone.h"

/* The opening hours of stores, as the database has them: each kind is read once. */
struct store_hours {
    char text[OPENING_CHARS_MAX + 1], zone_name[ZONE_NAME_CHARS + 1];
    struct opening opening;
    struct zone *zone;
    bool open;        /* as of the last look */
    int64_t until_ms; /* boot: it is to be looked at again then */
};
struct store_hours_list {
    char text[OPENING_CHARS_MAX + 1], zone[ZONE_NAME_CHARS + 1]; /* of who has none */
    struct store_hours *kinds;
    size_t count, room;
};

/* `text` and `zone` are for stores whose hours or zone nobody has said; ERR_INVALID: they are none.
 */
bool store_hours_begin(struct store_hours_list *list, const char *text, const char *zone,
                       struct err *err) MUSTER_CHECK;
void store_hours_done(struct store_hours_list *list);
/* Where they stand in the list, which then has them; "": nobody has said. What cannot be read (of
 * an older musterd, or a zone that this machine has no more) counts as not said. */
bool store_hours_find(struct store_hours_list *list, const char *text, const char *zone,
                      size_t *ret_kind, struct err *err) MUSTER_CHECK;
/* Whether they are open; looked at again after a quarter of an hour at the latest, since clocks
 * step. */
bool store_hours_open(struct store_hours *hours, int64_t wall_ms, int64_t boot_ms);

#endif
