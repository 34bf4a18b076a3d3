/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/zone.h"

#include "tests/unit/testing.h"

#include <string.h>
#include <time.h>

static const int64_t hour_ms = INT64_C(60) * 60 * 1000;

static int64_t utc(const char *text)
{
    struct tm calendar = {0};
    assert_ptr_equal(strptime(text, "%Y-%m-%d %H:%M", &calendar), text + strlen(text));
    return (int64_t)timegm(&calendar) * 1000;
}

static struct zone *zone_of(const char *name)
{
    struct zone *zone = NULL;
    struct err err = {0};
    if (!zone_open(name, &zone, &err))
        fail_msg("%s", err.text);
    return zone;
}

static void assert_open_hours(const char *name, const char *hours, const char *from, const char *to,
                              int64_t expected_ms)
{
    struct zone *zone = zone_of(name);
    struct opening opening;
    assert_true(opening_parse(hours, &opening, NULL));
    assert_int_equal(zone_open_between(zone, &opening, utc(from), utc(to)), expected_ms);
    zone_close(zone);
}

static void the_wall_shows_the_zones_time(void **state)
{
    (void)state;
    static const struct {
        const char *zone, *at, *wall;
    } rows[] = {
        {"UTC", "2026-11-23 06:30", "2026-11-23 06:30"},
        {"Asia/Shanghai", "2026-11-23 17:00", "2026-11-24 01:00"},
        {"Asia/Kolkata", "2026-11-23 00:00", "2026-11-23 05:30"},
        {"Africa/Lagos", "2026-07-01 00:00", "2026-07-01 01:00"},
        {"Europe/Berlin", "2026-03-29 00:59", "2026-03-29 01:59"},
        {"Europe/Berlin", "2026-03-29 01:00", "2026-03-29 03:00"},
        {"Europe/Berlin", "2026-10-25 01:00", "2026-10-25 02:00"},
        {"Etc/GMT+8", "2026-11-23 08:00", "2026-11-23 00:00"},
        {"CET", "2026-07-01 00:00", "2026-07-01 02:00"},
        {"PRC", "2026-11-23 17:00", "2026-11-24 01:00"},
        {"EST5EDT", "2026-11-23 17:00", "2026-11-23 12:00"},
        {"EST5EDT", "2026-07-01 17:00", "2026-07-01 13:00"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct zone *zone = zone_of(rows[i].zone);
        assert_int_equal(zone_wall_ms(zone, utc(rows[i].at)), utc(rows[i].wall));
        assert_int_equal(zone_wall_ms(zone, utc(rows[i].at) + 59999), utc(rows[i].wall) + 59999);
        zone_close(zone);
    }
}

static void what_is_no_zones_name_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "Mars/Olympus",
                                        "UTC+8",
                                        "+08:00",
                                        "EST5EDT4",
                                        "EST+5",
                                        "Tzdata.zi",
                                        "Asia",
                                        "/etc/passwd",
                                        "../../etc/passwd",
                                        "asia/shanghai",
                                        "Asia/",
                                        "Asia/Shanghai\n",
                                        ":Asia/Shanghai",
                                        "Europe/../UTC"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct zone *zone = NULL;
        struct err err = {0};
        if (zone_open(names[i], &zone, &err))
            fail_msg("\"%s\" was taken", names[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void a_store_is_open_by_its_own_clock(void **state)
{
    (void)state;
    struct zone *zone = zone_of("Asia/Shanghai");
    struct opening opening;
    assert_true(opening_parse("Mo-Fr 09:00-18:00", &opening, NULL));
    assert_true(zone_open_at(zone, &opening, utc("2026-11-23 01:00")));
    assert_false(zone_open_at(zone, &opening, utc("2026-11-23 00:59")));
    assert_false(zone_open_at(zone, &opening, utc("2026-11-23 10:00")));
    zone_close(zone);
}

static void how_long_it_was_open(void **state)
{
    (void)state;
    assert_open_hours("Asia/Shanghai", "Mo-Fr 09:00-18:00", "2026-11-22 00:00", "2026-11-29 00:00",
                      5 * 9 * hour_ms);
    assert_open_hours("Asia/Shanghai", "Mo-Fr 09:00-18:00", "2026-11-23 05:20", "2026-11-23 05:20",
                      0);
    assert_open_hours("Asia/Shanghai", "Mo-Fr 09:00-18:00", "2026-11-23 09:50", "2026-11-23 12:00",
                      hour_ms / 6);
    assert_open_hours("UTC", "10:00-10:07", "2026-11-23 00:00", "2026-11-24 00:00",
                      hour_ms * 7 / 60);
    assert_open_hours("UTC", "22:00-02:00", "2026-11-23 01:00", "2026-11-23 23:00", 2 * hour_ms);
}

/* The clock is set forward and back at night: a day then has 23 hours, or 25. */
static void a_day_may_be_shorter(void **state)
{
    (void)state;
    assert_open_hours("Europe/Berlin", "Su 00:00-24:00", "2026-03-27 12:00", "2026-03-31 12:00",
                      23 * hour_ms);
    assert_open_hours("Europe/Berlin", "Su 00:00-24:00", "2026-10-23 12:00", "2026-10-27 12:00",
                      25 * hour_ms);
    assert_open_hours("Europe/Berlin", "Su 01:30-02:30", "2026-03-27 12:00", "2026-03-31 12:00",
                      hour_ms / 2);
    assert_open_hours("Europe/Berlin", "Su 02:30-04:00", "2026-10-23 12:00", "2026-10-27 12:00",
                      2 * hour_ms);
    assert_open_hours("Australia/Lord_Howe", "Su 00:00-24:00", "2026-10-02 12:00",
                      "2026-10-06 12:00", 23 * hour_ms + hour_ms / 2);
}

static void a_week_before_the_wall_showed_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *zone, *at, *before;
    } rows[] = {
        {"UTC", "2026-04-01 07:00", "2026-03-25 07:00"},
        {"Asia/Shanghai", "2026-11-02 01:00", "2026-10-26 01:00"},
        /* Nine o'clock, before and after each change. */
        {"Europe/Berlin", "2026-03-28 08:00", "2026-03-21 08:00"},
        {"Europe/Berlin", "2026-03-29 07:00", "2026-03-22 08:00"},
        {"Europe/Berlin", "2026-04-04 07:00", "2026-03-28 08:00"},
        {"Europe/Berlin", "2026-04-05 07:00", "2026-03-29 07:00"},
        {"Europe/Berlin", "2026-10-24 07:00", "2026-10-17 07:00"},
        {"Europe/Berlin", "2026-10-25 08:00", "2026-10-18 07:00"},
        {"Europe/Berlin", "2026-10-31 08:00", "2026-10-24 07:00"},
        {"Europe/Berlin", "2026-11-01 08:00", "2026-10-25 08:00"},
        /* The hour that was not, and the one that was twice. */
        {"Europe/Berlin", "2026-04-05 00:00", "2026-03-29 01:00"},
        {"Europe/Berlin", "2026-04-05 00:30", "2026-03-29 01:00"},
        {"Europe/Berlin", "2026-04-05 00:59", "2026-03-29 01:00"},
        {"Europe/Berlin", "2026-04-05 01:00", "2026-03-29 01:00"},
        {"Europe/Berlin", "2026-04-05 01:30", "2026-03-29 01:30"},
        {"Europe/Berlin", "2026-10-25 00:30", "2026-10-18 00:30"},
        {"Europe/Berlin", "2026-10-25 01:30", "2026-10-18 00:30"},
        {"Europe/Berlin", "2026-11-01 01:30", "2026-10-25 01:30"},
        {"Europe/Berlin", "2026-11-01 01:00", "2026-10-25 01:00"},
        {"Australia/Lord_Howe", "2026-10-04 22:00", "2026-09-27 22:30"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct zone *zone = zone_of(rows[i].zone);
        if (zone_week_before_ms(zone, utc(rows[i].at)) != utc(rows[i].before))
            fail_msg("%s %s: %lld s away", rows[i].zone, rows[i].at,
                     (long long)(zone_week_before_ms(zone, utc(rows[i].at)) - utc(rows[i].before)) /
                         1000);
        zone_close(zone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wall_shows_the_zones_time),
        cmocka_unit_test(what_is_no_zones_name_is_refused),
        cmocka_unit_test(a_store_is_open_by_its_own_clock),
        cmocka_unit_test(how_long_it_was_open),
        cmocka_unit_test(a_day_may_be_shorter),
        cmocka_unit_test(a_week_before_the_wall_showed_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
