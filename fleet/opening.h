/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_OPENING_H
#define FLEET_OPENING_H

#include "base/err.h"

#include <stdint.h>

/*
 * When a store is open, in a part of OpenStreetMap's opening_hours:
 *
 *   24/7
 *   Mo-Fr 09:00-18:00; Sa 10:00-12:00,13:00-16:00
 *   09:00-22:00; Fr,Sa 09:00-02:00; 2027 Feb 05-2027 Feb 12 off; Dec 25 10:00-14:00
 *
 * Rules are set apart by ';', and of two that name a day the later one says all of that day. A rule
 * is [DATES] [DAYS] then times or `off`; without dates it is for the whole year, without days for
 * each day. Times that end before they begin, or after 24:00, end on the day after. A date without
 * a year comes back every year. Days that no rule names are closed.
 *
 * Pure, and without a time zone: moments are what the clock on the store's wall shows, as
 * milliseconds since it showed 1970-01-01 00:00, in the years 1 to 9999.
 */
enum { OPENING_RULES_MAX = 24, OPENING_SPANS_MAX = 4, OPENING_CHARS_MAX = 512 };

struct opening_date {
    int16_t year; /* 0: every year */
    int8_t month, day;
};
struct opening_rule {
    bool dated;
    struct opening_date from, to; /* both included */
    uint8_t days;                 /* bit 0: Monday */
    uint8_t span_count;           /* 0: off */
    struct {
        int16_t from, to; /* minutes since midnight; to up to 48:00 */
    } spans[OPENING_SPANS_MAX];
};
struct opening {
    struct opening_rule rules[OPENING_RULES_MAX];
    uint8_t count;
};

/* ERR_INVALID tells which rule and where in it. */
bool opening_parse(const char *text, struct opening *ret_opening, struct err *err) MUSTER_CHECK;

bool opening_at(const struct opening *opening, int64_t wall_ms);
/* A later moment, a day at the most, up to which opening_at stays what it is at `wall_ms`. */
int64_t opening_until(const struct opening *opening, int64_t wall_ms);

#endif
