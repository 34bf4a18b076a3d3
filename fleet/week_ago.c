/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/week_ago.h"

#include "storage/fleetdb_zone.h"

#include <stdio.h>

static const int64_t week_ms = INT64_C(7) * 24 * 3600 * 1000;

/* The last 7 days are a moment longer: the question was on its way. */
static bool is_comparable(const struct fleetdb_question *question)
{
    static const int64_t slack_ms = INT64_C(60) * 1000;
    return question->to_ms - question->from_ms <= week_ms + slack_ms &&
           question->from_ms >= 2 * week_ms;
}

/* A store's zone may be gone from this machine's tzdata: then it is as if it had none. */
static bool open_zone(struct fleetdb *db, const struct fleetdb_question *question,
                      const char *wanted, const char *unsaid, struct week_ago *ago,
                      struct zone **ret_zone, struct err *err)
{
    if (wanted != NULL) {
        (void)snprintf(ago->zone, sizeof ago->zone, "%.64s", wanted);
        return zone_open(wanted, ret_zone, err);
    }
    if (is_comparable(question) && !fleetdb_zone_of(db, question, ago->zone, err))
        return false;
    if (ago->zone[0] != '\0' && zone_open(ago->zone, ret_zone, NULL))
        return true;
    (void)snprintf(ago->zone, sizeof ago->zone, "%s", unsaid);
    return zone_open(ago->zone, ret_zone, err);
}

bool week_ago_find(struct fleetdb *db, const struct fleetdb_question *question, const char *zone,
                   const char *unsaid, struct week_ago *ret_ago, struct err *err)
{
    struct zone *opened = NULL;
    *ret_ago = (struct week_ago){0};
    if (!open_zone(db, question, zone, unsaid, ret_ago, &opened, err))
        return false;
    if (is_comparable(question)) {
        ret_ago->from_ms = zone_week_before_ms(opened, question->from_ms);
        ret_ago->to_ms = zone_week_before_ms(opened, question->to_ms);
    }
    zone_close(opened);
    /* A week in which the clock was set forward is short: the one before would reach into it. */
    if (ret_ago->to_ms > question->from_ms)
        ret_ago->to_ms = question->from_ms;
    return true;
}
