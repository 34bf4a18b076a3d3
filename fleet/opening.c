/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/opening.h"

#include <string.h>
#include <time.h>

enum { DAY_MINUTES = 24 * 60, MINUTE_MS = 60 * 1000, ALL_DAYS = 0x7f, WEEK = 7 };
#define DAY_MS ((int64_t)DAY_MINUTES * MINUTE_MS)

static const char *const day_names[] = {"Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"};
static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const int8_t month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

/* ---- reading ---- */

struct reader {
    const char *at;
    unsigned rule; /* from 1 */
    struct err *err;
};

static bool refuse(const struct reader *reader, const char *expected)
{
    return err_set(reader->err, ERR_INVALID, "opening hours, rule %u, at \"%.24s\": expected %s",
                   reader->rule, reader->at, expected);
}

static void skip_blanks(struct reader *reader)
{
    while (*reader->at == ' ')
        reader->at++;
}

static bool take(struct reader *reader, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(reader->at, word, length) != 0)
        return false;
    reader->at += length;
    return true;
}

/* One of a list of words; -1: none of them stands here. */
static int take_word(struct reader *reader, const char *const *words, int count)
{
    for (int i = 0; i < count; i++) {
        if (take(reader, words[i]))
            return i;
    }
    return -1;
}

/* Exactly so many digits; -1: they do not stand here. */
static int take_digits(struct reader *reader, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (reader->at[i] < '0' || reader->at[i] > '9')
            return -1;
        value = value * 10 + (reader->at[i] - '0');
    }
    if (reader->at[digits] >= '0' && reader->at[digits] <= '9')
        return -1;
    reader->at += digits;
    return value;
}

/* "09:00", at most `latest` minutes. */
static bool read_minute(struct reader *reader, int latest, int *ret_minute)
{
    int hour = take_digits(reader, 2);
    if (hour < 0 || !take(reader, ":"))
        return refuse(reader, "a time such as 09:30");
    int minute = take_digits(reader, 2);
    if (minute < 0 || minute > 59 || hour * 60 + minute > latest)
        return refuse(reader, "minutes from 00 to 59, and a time within the day (24:00; it may "
                              "end up to 48:00)");
    *ret_minute = hour * 60 + minute;
    return true;
}

static bool read_times(struct reader *reader, struct opening_rule *rule)
{
    do {
        int from = 0, to = 0;
        skip_blanks(reader);
        if (rule->span_count == OPENING_SPANS_MAX)
            return refuse(reader, "no more than four spans a day");
        if (!read_minute(reader, DAY_MINUTES - 1, &from))
            return false;
        skip_blanks(reader);
        if (!take(reader, "-"))
            return refuse(reader, "'-' and the time when it closes");
        skip_blanks(reader);
        if (!read_minute(reader, 2 * DAY_MINUTES, &to))
            return false;
        if (to <= from)
            to += DAY_MINUTES;
        rule->spans[rule->span_count].from = (int16_t)from;
        rule->spans[rule->span_count++].to = (int16_t)to;
        skip_blanks(reader);
    } while (take(reader, ","));
    return true;
}

/* "Mo-Fr,Su"; Sa-Mo goes over the end of the week. `*ret_days` 0: no day stands here. */
static bool read_days(struct reader *reader, uint8_t *ret_days)
{
    unsigned days = 0;
    int from = take_word(reader, day_names, WEEK);
    while (from >= 0) {
        int to = from;
        if (take(reader, "-") && (to = take_word(reader, day_names, WEEK)) < 0)
            return refuse(reader, "a day: Mo Tu We Th Fr Sa Su");
        for (int day = from;; day = (day + 1) % WEEK) {
            days |= 1U << day;
            if (day == to)
                break;
        }
        if (!take(reader, ","))
            break;
        skip_blanks(reader);
        from = take_word(reader, day_names, WEEK);
        if (from < 0)
            return refuse(reader, "a day: Mo Tu We Th Fr Sa Su");
    }
    *ret_days = (uint8_t)days;
    return true;
}

/* "2027 Feb 05" or "Feb 05"; a month of 0: no date stands here. */
static bool read_date(struct reader *reader, struct opening_date *ret_date)
{
    struct opening_date date = {0};
    const char *before = reader->at;
    int year = take_digits(reader, 4);
    skip_blanks(reader);
    int month = take_word(reader, month_names, 12);
    if (month < 0 && year < 0)
        reader->at = before;
    if (month < 0)
        return year < 0 || refuse(reader, "a month: Jan Feb Mar ...");
    skip_blanks(reader);
    int day = take_digits(reader, 2);
    if (day < 1 || day > month_days[month] || year == 0)
        return refuse(reader, "a day of that month in two digits, and a year after 0");
    date.year = (int16_t)(year < 0 ? 0 : year);
    date.month = (int8_t)(month + 1);
    date.day = (int8_t)day;
    *ret_date = date;
    return true;
}

static int32_t order_of(const struct opening_date *date)
{
    return (date->year * 16 + date->month) * 32 + date->day;
}

static bool read_dates(struct reader *reader, struct opening_rule *rule)
{
    if (!read_date(reader, &rule->from))
        return false;
    rule->dated = rule->from.month != 0;
    rule->to = rule->from;
    if (!rule->dated)
        return true;
    skip_blanks(reader);
    if (!take(reader, "-"))
        return true;
    skip_blanks(reader);
    rule->to = (struct opening_date){0};
    if (!read_date(reader, &rule->to))
        return false;
    if (rule->to.month == 0 || (rule->from.year == 0) != (rule->to.year == 0))
        return refuse(reader, "the last date, with a year if the first one has one");
    if (rule->from.year != 0 && order_of(&rule->to) < order_of(&rule->from))
        return refuse(reader, "a last date after the first one");
    return true;
}

static bool read_rule(struct reader *reader, struct opening_rule *rule)
{
    skip_blanks(reader);
    if (take(reader, "24/7")) {
        rule->days = ALL_DAYS;
        rule->span_count = 1;
        rule->spans[0].to = DAY_MINUTES;
        return true;
    }
    if (!read_dates(reader, rule))
        return false;
    skip_blanks(reader);
    if (!read_days(reader, &rule->days))
        return false;
    bool said = rule->dated || rule->days != 0;
    if (rule->days == 0)
        rule->days = ALL_DAYS;
    skip_blanks(reader);
    if (take(reader, "off"))
        return true;
    if (*reader->at < '0' || *reader->at > '9')
        return refuse(reader, said ? "times such as 09:00-18:00, or off"
                                   : "dates (2027 Feb 05), days (Mo-Fr), times or off");
    return read_times(reader, rule);
}

bool opening_parse(const char *text, struct opening *ret_opening, struct err *err)
{
    struct opening opening = {0};
    struct reader reader = {.at = text, .err = err};
    if (strlen(text) > OPENING_CHARS_MAX)
        return err_set(err, ERR_INVALID, "opening hours: more than %d characters",
                       OPENING_CHARS_MAX);
    do {
        reader.rule++;
        if (opening.count == OPENING_RULES_MAX)
            return refuse(&reader, "no more than 24 rules");
        if (!read_rule(&reader, &opening.rules[opening.count++]))
            return false;
        skip_blanks(&reader);
    } while (take(&reader, ";"));
    if (*reader.at != '\0')
        return refuse(&reader, "';' and the next rule, or the end");
    *ret_opening = opening;
    return true;
}

/* ---- asking ---- */

static int64_t day_of(int64_t wall_ms)
{
    return wall_ms / DAY_MS - (wall_ms % DAY_MS < 0 ? 1 : 0);
}

static bool dates_hold(const struct opening_rule *rule, struct opening_date date)
{
    if (!rule->dated)
        return true;
    if (rule->from.year == 0)
        date.year = 0;
    int32_t at = order_of(&date), from = order_of(&rule->from), to = order_of(&rule->to);
    if (from <= to)
        return from <= at && at <= to;
    return from <= at || at <= to; /* over New Year's Eve */
}

/* What is said of a day, counted since 1970; NULL: nothing. */
static const struct opening_rule *rule_of(const struct opening *opening, int64_t day)
{
    struct tm calendar = {0};
    time_t midnight = (time_t)(day * (DAY_MS / 1000));
    if (gmtime_r(&midnight, &calendar) == NULL)
        return NULL;
    const struct opening_date date = {(int16_t)(calendar.tm_year + 1900),
                                      (int8_t)(calendar.tm_mon + 1), (int8_t)calendar.tm_mday};
    unsigned weekday = 1U << ((calendar.tm_wday + WEEK - 1) % WEEK);
    for (size_t i = opening->count; i-- > 0;) {
        const struct opening_rule *rule = &opening->rules[i];
        if ((rule->days & weekday) != 0 && dates_hold(rule, date))
            return rule;
    }
    return NULL;
}

/* Whether it is open at a minute of the day that the rule is for, and until when that is so;
 * `*until` is only brought nearer. */
static bool rule_at(const struct opening_rule *rule, int64_t minute, int64_t *until)
{
    bool open = false;
    for (size_t i = 0; rule != NULL && i < rule->span_count; i++) {
        int64_t from = rule->spans[i].from, to = rule->spans[i].to;
        open = open || (from <= minute && minute < to);
        if (minute < from && from < *until)
            *until = from;
        if (minute < to && to < *until)
            *until = to;
    }
    return open;
}

/* Of yesterday's rule only what goes past midnight is left. */
static bool look(const struct opening *opening, int64_t wall_ms, int64_t *ret_until_ms)
{
    int64_t day = day_of(wall_ms), midnight_ms = day * DAY_MS;
    int64_t minute = (wall_ms - midnight_ms) / MINUTE_MS;
    int64_t until = DAY_MINUTES, until_of_yesterday = 2 * DAY_MINUTES;
    bool open = rule_at(rule_of(opening, day), minute, &until);
    open = rule_at(rule_of(opening, day - 1), minute + DAY_MINUTES, &until_of_yesterday) || open;
    if (until_of_yesterday - DAY_MINUTES < until)
        until = until_of_yesterday - DAY_MINUTES;
    *ret_until_ms = midnight_ms + until * MINUTE_MS;
    return open;
}

bool opening_at(const struct opening *opening, int64_t wall_ms)
{
    int64_t ignored = 0;
    return look(opening, wall_ms, &ignored);
}

int64_t opening_until(const struct opening *opening, int64_t wall_ms)
{
    int64_t until_ms = 0;
    (void)look(opening, wall_ms, &until_ms);
    return until_ms;
}
