/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/store_hours.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t look_again_ms = 15 * 60 * 1000;

static bool read_hours(const char *text, const char *zone, struct store_hours *ret_hours,
                       struct err *err)
{
    struct store_hours hours = {.zone = NULL};
    (void)snprintf(hours.text, sizeof hours.text, "%s", text);
    (void)snprintf(hours.zone_name, sizeof hours.zone_name, "%s", zone);
    if (!opening_parse(text, &hours.opening, err) || !zone_open(zone, &hours.zone, err))
        return false;
    *ret_hours = hours;
    return true;
}

bool store_hours_begin(struct store_hours_list *list, const char *text, const char *zone,
                       struct err *err)
{
    struct store_hours hours;
    *list = (struct store_hours_list){.kinds = NULL};
    if (!read_hours(text, zone, &hours, err))
        return false;
    zone_close(hours.zone);
    (void)snprintf(list->text, sizeof list->text, "%s", text);
    (void)snprintf(list->zone, sizeof list->zone, "%s", zone);
    return true;
}

void store_hours_done(struct store_hours_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        zone_close(list->kinds[i].zone);
    free(list->kinds);
    list->kinds = NULL;
    list->count = list->room = 0;
}

static bool make_room(struct store_hours_list *list, struct err *err)
{
    if (list->count < list->room)
        return true;
    size_t room = list->room > 0 ? 2 * list->room : 16;
    struct store_hours *kinds = realloc(list->kinds, room * sizeof *kinds);
    if (kinds == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for opening hours");
    list->kinds = kinds;
    list->room = room;
    return true;
}

bool store_hours_find(struct store_hours_list *list, const char *text, const char *zone,
                      size_t *ret_kind, struct err *err)
{
    if (text[0] == '\0')
        text = list->text;
    if (zone[0] == '\0')
        zone = list->zone;
    for (size_t i = list->count; i-- > 0;) { /* who asks comes in their order */
        if (strcmp(list->kinds[i].text, text) == 0 && strcmp(list->kinds[i].zone_name, zone) == 0) {
            *ret_kind = i;
            return true;
        }
    }
    if (!make_room(list, err))
        return false;
    struct store_hours *hours = &list->kinds[list->count];
    if (!read_hours(text, zone, hours, NULL) && !read_hours(list->text, zone, hours, NULL) &&
        !read_hours(text, list->zone, hours, NULL) &&
        !read_hours(list->text, list->zone, hours, err))
        return false;
    (void)snprintf(hours->text, sizeof hours->text, "%s", text);
    (void)snprintf(hours->zone_name, sizeof hours->zone_name, "%s", zone);
    *ret_kind = list->count++;
    return true;
}

bool store_hours_open(struct store_hours *hours, int64_t wall_ms, int64_t boot_ms)
{
    if (boot_ms < hours->until_ms)
        return hours->open;
    int64_t shown_ms = zone_wall_ms(hours->zone, wall_ms);
    int64_t left_ms = opening_until(&hours->opening, shown_ms) - shown_ms;
    hours->open = opening_at(&hours->opening, shown_ms);
    hours->until_ms = boot_ms + (left_ms < look_again_ms ? left_ms : look_again_ms);
    return hours->open;
}
