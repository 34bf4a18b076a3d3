/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/zone.h"

#include "base/clock.h"

#include <glib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No zone changes its offset but at a quarter of an hour. */
#define STEP_MS (INT64_C(15) * 60 * 1000)

struct zone {
    GTimeZone *handle;
};

/* What else GLib would take is a path, an offset or a POSIX rule; some of the rules are names too
 * (EST5EDT): see is_in_tzdata. */
static bool is_name(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789_+-/";
    size_t length = strlen(name);
    if (strcmp(name, "UTC") == 0)
        return true;
    return length > 0 && length <= ZONE_NAME_CHARS && strspn(name, letters) == length &&
           g_ascii_isupper(name[0]) && name[length - 1] != '/';
}

/* Where GLib reads it from. */
static bool is_in_tzdata(const char *name)
{
    char path[PATH_MAX], magic[4] = "";
    const char *folder = getenv("TZDIR");
    (void)snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "/usr/share/zoneinfo",
                   name);
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return false;
    const bool whole = fread(magic, sizeof magic, 1, file) == 1;
    (void)fclose(file);
    return whole && memcmp(magic, "TZif", sizeof magic) == 0;
}

/* To read one from the disk takes a tenth of a millisecond and more, and a list of stores names few
 * of them again and again. After a minute it is read anew, for tzdata may be. */
enum { HELD = 64, HELD_MS = 60 * 1000 };
static struct {
    char name[ZONE_NAME_CHARS + 1];
    GTimeZone *handle;
    int64_t read_ms;
} held[HELD];

static bool is_held(size_t at, const char *name)
{
    return held[at].handle != NULL && strcmp(held[at].name, name) == 0;
}

/* The one of that name, or that which was read the longest time ago. */
static size_t place_of(const char *name)
{
    size_t oldest = 0;
    for (size_t i = 0; i < HELD; i++) {
        if (is_held(i, name))
            return i;
        if (held[i].read_ms < held[oldest].read_ms)
            oldest = i;
    }
    return oldest;
}

/* NULL: there is none. Whoever gets it gives it back. */
static GTimeZone *find(const char *name)
{
    const int64_t now_ms = clock_boot_ms(&clock_real);
    const size_t at = place_of(name);
    if (is_held(at, name) && now_ms - held[at].read_ms < HELD_MS)
        return g_time_zone_ref(held[at].handle);
    const bool known = strcmp(name, "UTC") == 0 || is_in_tzdata(name);
    GTimeZone *handle = known ? g_time_zone_new_identifier(name) : NULL;
    if (handle == NULL)
        return NULL;
    if (held[at].handle != NULL)
        g_time_zone_unref(held[at].handle);
    strcpy(held[at].name, name);
    held[at].handle = g_time_zone_ref(handle);
    held[at].read_ms = now_ms;
    return handle;
}

bool zone_open(const char *name, struct zone **ret_zone, struct err *err)
{
    GTimeZone *handle = is_name(name) ? find(name) : NULL;
    if (handle == NULL)
        return err_set(err, ERR_INVALID,
                       "time zone \"%.64s\": not in this machine's tzdata; expected a name such as "
                       "Asia/Shanghai, CET or UTC (see /usr/share/zoneinfo)",
                       name);
    struct zone *zone = calloc(1, sizeof *zone);
    if (zone == NULL) {
        g_time_zone_unref(handle);
        return err_set(err, ERR_NO_MEMORY, "no memory for a time zone");
    }
    zone->handle = handle;
    *ret_zone = zone;
    return true;
}

void zone_close(struct zone *zone)
{
    if (zone == NULL)
        return;
    g_time_zone_unref(zone->handle);
    free(zone);
}

static int64_t floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0 ? 1 : 0);
}

int64_t zone_wall_ms(const struct zone *zone, int64_t utc_ms)
{
    int interval =
        g_time_zone_find_interval(zone->handle, G_TIME_TYPE_UNIVERSAL, floor_div(utc_ms, 1000));
    return utc_ms + (int64_t)g_time_zone_get_offset(zone->handle, interval) * 1000;
}

int64_t zone_week_before_ms(const struct zone *zone, int64_t utc_ms)
{
    static const int64_t week_ms = INT64_C(7) * 24 * 3600 * 1000;
    const int64_t wall_ms = zone_wall_ms(zone, utc_ms) - week_ms;
    int64_t at_ms = utc_ms - week_ms;
    at_ms += wall_ms - zone_wall_ms(zone, at_ms);
    if (zone_wall_ms(zone, at_ms) == wall_ms)
        return at_ms;
    while (zone_wall_ms(zone, at_ms - 1) >= wall_ms)
        at_ms = floor_div(at_ms - 1, STEP_MS) * STEP_MS;
    return at_ms;
}

bool zone_open_at(const struct zone *zone, const struct opening *opening, int64_t utc_ms)
{
    return opening_at(opening, zone_wall_ms(zone, utc_ms));
}

int64_t zone_open_between(const struct zone *zone, const struct opening *opening, int64_t from_ms,
                          int64_t to_ms)
{
    int64_t open_ms = 0;
    while (from_ms < to_ms) {
        int64_t wall_ms = zone_wall_ms(zone, from_ms);
        int64_t next_ms = from_ms + (opening_until(opening, wall_ms) - wall_ms);
        int64_t step_ms = (floor_div(from_ms, STEP_MS) + 1) * STEP_MS;
        if (step_ms < next_ms)
            next_ms = step_ms;
        if (to_ms < next_ms)
            next_ms = to_ms;
        if (opening_at(opening, wall_ms))
            open_ms += next_ms - from_ms;
        from_ms = next_ms;
    }
    return open_ms;
}
