/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/availability.h"

#include "tests/unit/testing.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define MONDAY INT64_C(1795392000000) /* 2026-11-23 00:00 UTC */

/* Of a store in that zone that is open 09:00-18:00. */
static struct availability of(const char *zone_name, struct availability_span at,
                              const struct availability_span *away, size_t away_count,
                              const struct availability_span *deaf, size_t deaf_count)
{
    struct availability sum = {0};
    struct opening opening;
    struct zone *zone = NULL;
    assert_true(opening_parse("Mo-Fr 09:00-18:00", &opening, NULL));
    assert_true(zone_open(zone_name, &zone, NULL));
    availability_add(&sum, zone, &opening, &at, away, away_count, deaf, deaf_count);
    zone_close(zone);
    return sum;
}

static void only_open_hours_count(void **state)
{
    static const struct availability_span week = {MONDAY, MONDAY + 7 * DAY};
    const struct availability_span away[] = {
        {MONDAY - DAY, MONDAY + 10 * HOUR},                /* from before; 1 h of it open */
        {MONDAY + 17 * HOUR, MONDAY + DAY + 9 * HOUR},     /* over the night: 1 h */
        {MONDAY + 4 * DAY + 17 * HOUR, MONDAY + 40 * DAY}, /* it goes on: 1 h */
    };
    (void)state;
    struct availability sum = of("UTC", week, away, 3, NULL, 0);
    assert_int_equal(sum.open_ms, 45 * HOUR);
    assert_int_equal(sum.away_ms, 3 * HOUR);
    assert_true(availability_share(&sum) > 42.0 / 45 - 1e-9);
    assert_true(availability_share(&sum) < 42.0 / 45 + 1e-9);
    sum = of("Asia/Shanghai", week, away, 1, NULL, 0); /* 17:00 to 18:00 there is 9 to 10 UTC */
    assert_int_equal(sum.away_ms, 9 * HOUR);
}

static void what_nobody_could_hear_is_told_apart(void **state)
{
    static const struct availability_span day = {MONDAY, MONDAY + DAY};
    const struct availability_span away[] = {{MONDAY + 10 * HOUR, MONDAY + 12 * HOUR}},
                                   deaf[] = {{MONDAY + 11 * HOUR, MONDAY + 14 * HOUR},
                                             {MONDAY + 13 * HOUR, MONDAY + 15 * HOUR}};
    (void)state;
    struct availability sum = of("UTC", day, away, 1, deaf, 2);
    assert_int_equal(sum.open_ms, 9 * HOUR);
    assert_int_equal(sum.away_ms, 2 * HOUR);
    assert_int_equal(sum.unheard_ms, 3 * HOUR); /* 12 to 15: before, it was known to be away */
    assert_true(availability_share(&sum) > 4.0 / 6 - 1e-9);
    assert_true(availability_share(&sum) < 4.0 / 6 + 1e-9);
}

static void of_nothing_there_is_no_share(void **state)
{
    const struct availability_span sunday = {MONDAY - DAY, MONDAY},
                                   morning = {MONDAY + 9 * HOUR, MONDAY + 10 * HOUR};
    (void)state;
    struct availability sum = of("UTC", sunday, NULL, 0, NULL, 0);
    assert_true(availability_share(&sum) < 0);
    sum = of("UTC", morning, NULL, 0, &morning, 1);
    assert_true(availability_share(&sum) < 0);
    sum = of("UTC", morning, &morning, 1, NULL, 0);
    assert_true(availability_share(&sum) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_open_hours_count),
        cmocka_unit_test(what_nobody_could_hear_is_told_apart),
        cmocka_unit_test(of_nothing_there_is_no_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
