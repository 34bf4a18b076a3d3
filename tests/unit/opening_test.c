/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/opening.h"

#include "tests/unit/testing.h"

#include <string.h>
#include <time.h>

/* "2026-11-23 09:00" on the store's wall; a Monday. */
static int64_t wall(const char *text)
{
    struct tm calendar = {0};
    assert_ptr_equal(strptime(text, "%Y-%m-%d %H:%M", &calendar), text + strlen(text));
    return (int64_t)timegm(&calendar) * 1000;
}

static struct opening hours(const char *text)
{
    struct opening opening;
    struct err err = {0};
    if (!opening_parse(text, &opening, &err))
        fail_msg("%s: %s", text, err.text);
    return opening;
}

static bool open_at(const char *text, const char *when)
{
    struct opening opening = hours(text);
    return opening_at(&opening, wall(when));
}

static void times_of_a_day(void **state)
{
    (void)state;
    const char *text = "09:00-12:00, 13:00-18:30";
    assert_false(open_at(text, "2026-11-23 08:59"));
    assert_true(open_at(text, "2026-11-23 09:00"));
    assert_true(open_at(text, "2026-11-23 11:59"));
    assert_false(open_at(text, "2026-11-23 12:00"));
    assert_true(open_at(text, "2026-11-29 18:29")); /* without days: every day */
    assert_false(open_at(text, "2026-11-29 18:30"));
}

static void days_of_a_week(void **state)
{
    (void)state;
    const char *text = "Mo-We,Fr 09:00-18:00; Sa-Su 10:00-12:00";
    assert_true(open_at(text, "2026-11-23 09:00"));
    assert_true(open_at(text, "2026-11-25 09:00"));
    assert_false(open_at(text, "2026-11-26 09:00")); /* Thursday: no rule names it */
    assert_true(open_at(text, "2026-11-27 17:59"));
    assert_false(open_at(text, "2026-11-28 09:30"));
    assert_true(open_at(text, "2026-11-29 11:59"));
    const char *over_sunday = "Sa-Mo 09:00-18:00";
    assert_true(open_at(over_sunday, "2026-11-22 09:00"));
    assert_true(open_at(over_sunday, "2026-11-23 09:00"));
    assert_false(open_at(over_sunday, "2026-11-24 09:00"));
}

static void always(void **state)
{
    (void)state;
    assert_true(open_at("24/7", "2026-11-23 00:00"));
    assert_true(open_at("24/7", "2026-11-22 23:59"));
    assert_false(open_at("24/7; We off", "2026-11-25 12:00"));
}

/* Friday's night belongs to Friday, also where Saturday is closed. */
static void past_midnight(void **state)
{
    (void)state;
    const char *text = "Fr 18:00-02:00; Sa off";
    assert_true(open_at(text, "2026-11-27 23:59"));
    assert_true(open_at(text, "2026-11-28 00:00"));
    assert_true(open_at(text, "2026-11-28 01:59"));
    assert_false(open_at(text, "2026-11-28 02:00"));
    assert_false(open_at(text, "2026-11-27 01:00"));
    assert_true(open_at("Fr 18:00-26:00", "2026-11-28 01:59"));
    assert_true(open_at("Su 08:00-08:00", "2026-11-23 07:59")); /* around the clock */
    assert_false(open_at("Su 08:00-08:00", "2026-11-23 08:00"));
}

static void the_later_rule_says_all_of_a_day(void **state)
{
    (void)state;
    const char *text = "Mo-Su 09:00-18:00; Mo 12:00-14:00";
    assert_false(open_at(text, "2026-11-23 09:00"));
    assert_true(open_at(text, "2026-11-23 12:00"));
    assert_true(open_at(text, "2026-11-24 09:00"));
}

static void dates(void **state)
{
    (void)state;
    const char *text = "09:00-18:00; 2027 Feb 05-2027 Feb 12 off; Dec 25 10:00-14:00";
    assert_true(open_at(text, "2027-02-04 12:00"));
    assert_false(open_at(text, "2027-02-05 12:00"));
    assert_false(open_at(text, "2027-02-12 12:00"));
    assert_true(open_at(text, "2027-02-13 12:00"));
    assert_true(open_at(text, "2028-02-05 12:00"));
    assert_false(open_at(text, "2026-12-25 09:00")); /* each year */
    assert_true(open_at(text, "2031-12-25 13:59"));
    const char *new_year = "09:00-18:00; Dec 30-Jan 02 Mo-Fr off";
    assert_false(open_at(new_year, "2026-12-31 12:00"));
    assert_false(open_at(new_year, "2027-01-01 12:00"));
    assert_true(open_at(new_year, "2027-01-02 12:00")); /* a Saturday */
    assert_true(open_at(new_year, "2026-12-29 12:00"));
    assert_false(open_at("Feb 29 off; Mo 09:00-18:00; Feb 29 off", "2044-02-29 12:00"));
}

static void before_1970(void **state)
{
    (void)state;
    assert_true(open_at("We 23:00-24:00", "1969-12-31 23:59")); /* a Wednesday */
    assert_false(open_at("We 23:00-24:00", "1970-01-01 00:00"));
}

static void it_stays_so_until(void **state)
{
    (void)state;
    struct opening opening = hours("Mo-Fr 09:00-12:00,13:00-18:00; Fr 20:00-02:00");
    static const struct {
        const char *at, *until;
    } rows[] = {
        {"2026-11-23 00:00", "2026-11-23 09:00"}, {"2026-11-23 09:00", "2026-11-23 12:00"},
        {"2026-11-23 12:30", "2026-11-23 13:00"}, {"2026-11-23 18:00", "2026-11-24 00:00"},
        {"2026-11-27 20:00", "2026-11-28 00:00"}, {"2026-11-28 00:00", "2026-11-28 02:00"},
        {"2026-11-28 02:00", "2026-11-29 00:00"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(opening_until(&opening, wall(rows[i].at)), wall(rows[i].until));
    assert_int_equal(opening_until(&opening, wall("2026-11-23 08:00") + 30001),
                     wall("2026-11-23 09:00"));
}

static void what_is_no_form_is_told_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *told;
    } rows[] = {
        {"", "rule 1, at \"\": expected dates"},
        {"09:00", "at \"\": expected '-'"},
        {"9:00-18:00", "at \"9:00-18:00\": expected a time"},
        {"09:00-18:00 Mo", "at \"Mo\": expected ';'"},
        {"Mo-Fr 09:00-18:00; Sa", "rule 2, at \"\": expected times"},
        {"Mo-Xx 09:00-18:00", "at \"Xx 09:00-18:00\": expected a day"},
        {"mo 09:00-18:00", "at \"mo 09:00-18:00\": expected dates"},
        {"PH off", "at \"PH off\": expected dates"},
        {"Mo, 09:00-18:00", "at \"09:00-18:00\": expected a day"},
        {"24:00-25:00", "expected minutes"},
        {"09:60-18:00", "expected minutes"},
        {"09:00-48:01", "expected minutes"},
        {"09:00-18:000", "expected minutes"},
        {"Feb 30 off", "expected a day of that month"},
        {"0000 Feb 01 off", "a year after 0"},
        {"2027 off", "at \"off\": expected a month"},
        {"2027 Feb 05-Feb 12 off", "with a year if the first one has one"},
        {"2027 Feb 05-2027 Feb 04 off", "a last date after the first one"},
        {"2027 Feb 05-off", "at \"off\": expected the last date"},
        {"01:00-02:00,03:00-04:00,05:00-06:00,07:00-08:00,09:00-10:00", "no more than four"},
        {"Mo 09:00-18:00;", "rule 2, at \"\": expected dates"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct opening opening;
        struct err err = {0};
        if (opening_parse(rows[i].text, &opening, &err))
            fail_msg("\"%s\" was taken", rows[i].text);
        assert_int_equal(err.code, ERR_INVALID);
        if (strstr(err.text, rows[i].told) == NULL)
            fail_msg("\"%s\": %s", rows[i].text, err.text);
    }
}

static void too_much_is_refused(void **state)
{
    (void)state;
    char text[OPENING_CHARS_MAX + 2] = "24/7";
    struct opening opening;
    struct err err = {0};
    for (size_t i = 0; i < OPENING_RULES_MAX; i++)
        strcat(text, ";24/7"); /* one too many */
    assert_false(opening_parse(text, &opening, &err));
    text[strlen(text) - 5] = '\0';
    assert_true(opening_parse(text, &opening, NULL));
    memset(text, ' ', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(opening_parse(text, &opening, &err));
    assert_non_null(strstr(err.text, "more than 512 characters"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_of_a_day),
        cmocka_unit_test(days_of_a_week),
        cmocka_unit_test(always),
        cmocka_unit_test(past_midnight),
        cmocka_unit_test(the_later_rule_says_all_of_a_day),
        cmocka_unit_test(dates),
        cmocka_unit_test(before_1970),
        cmocka_unit_test(it_stays_so_until),
        cmocka_unit_test(what_is_no_form_is_told_where),
        cmocka_unit_test(too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
