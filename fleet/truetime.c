/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/truetime.h"

#include <assert.h>

/* Nothing boots, and no fleet lives, longer than about a thousand years: so nothing overflows. */
static const int64_t moment_max_ms = INT64_C(1) << 45;
static_assert((INT64_C(1) << 45) < INT64_MAX / TRUETIME_PPM_MAX, "a stretch cannot overflow");

enum {
    READING_MS = 2, /* two readings in whole milliseconds */
    WORTH_MS = 10,  /* what tells less than this more is not kept */
    PPM_ALL = 1000000,
};
static const int64_t wide_ms = 60000; /* beyond it the clock's word is better than the middle */
static const int64_t plausible_past_ms = INT64_C(400) * 24 * 3600 * 1000;
/* No terminal is switched on, or keeps what it made, for longer: what says so is a lie, and would
 * make the fleet's own history as long. */
static const int64_t kept_past_ms = INT64_C(1500) * 24 * 3600 * 1000;
static const int64_t plausible_future_ms = INT64_C(10) * 60 * 1000;
static const int64_t drift_after_ms = INT64_C(3600) * 1000;

static int64_t apart(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* By how much so long a time since boot may differ from true time. */
static int64_t stretch(int64_t elapsed_ms, int64_t ppm)
{
    return elapsed_ms * ppm / (PPM_ALL - ppm) + READING_MS;
}

/* What a fact says of another moment of its boot. */
static int64_t carry(const struct fleetdb_fact *fact, int64_t boot_ms, int64_t ppm)
{
    int64_t slack = stretch(apart(boot_ms, fact->boot_ms), ppm);
    return fact->fleet_ms + (boot_ms - fact->boot_ms) + (fact->at_least ? -slack : slack);
}

/* Whether `a` leaves less room than `b`. */
static bool tighter(bool at_least, int64_t a, int64_t b)
{
    return at_least ? a > b : a < b;
}

/* What the facts of one kind say together, `without` one of them. */
static int64_t all_say(const struct fleetdb_boot *boot, bool at_least, int64_t boot_ms,
                       size_t without, int64_t ppm)
{
    int64_t said = at_least ? INT64_MIN : INT64_MAX;
    for (size_t i = 0; i < boot->fact_count; i++) {
        if (i == without || boot->facts[i].at_least != at_least)
            continue;
        int64_t one = carry(&boot->facts[i], boot_ms, ppm);
        said = tighter(at_least, one, said) ? one : said;
    }
    return said;
}

struct truetime_span truetime_at(const struct fleetdb_boot *boot, int64_t boot_ms, int64_t ppm)
{
    if (boot_ms < 0 || boot_ms > moment_max_ms) /* a terminal says what it likes */
        return (struct truetime_span){INT64_MIN, INT64_MAX};
    return (struct truetime_span){
        .lower_ms = all_say(boot, true, boot_ms, SIZE_MAX, ppm),
        .upper_ms = all_say(boot, false, boot_ms, SIZE_MAX, ppm),
    };
}

static void take_out(struct fleetdb_boot *boot, size_t at)
{
    boot->fact_count--;
    for (; at < boot->fact_count; at++)
        boot->facts[at] = boot->facts[at + 1];
}

/* What follows from a new fact need not be kept beside it. */
static void drop_implied(struct fleetdb_boot *boot, const struct fleetdb_fact *fact, int64_t ppm)
{
    for (size_t i = boot->fact_count; i-- > 0;) {
        const struct fleetdb_fact *old = &boot->facts[i];
        if (old->at_least == fact->at_least &&
            !tighter(fact->at_least, old->fleet_ms, carry(fact, old->boot_ms, ppm)))
            take_out(boot, i);
    }
}

/* The one without which its own moment is known best. */
static void drop_least(struct fleetdb_boot *boot, bool at_least, int64_t ppm)
{
    size_t least = SIZE_MAX, count = 0;
    int64_t least_ms = INT64_MAX;
    for (size_t i = 0; i < boot->fact_count; i++) {
        const struct fleetdb_fact *fact = &boot->facts[i];
        if (fact->at_least != at_least)
            continue;
        count++;
        int64_t others = all_say(boot, at_least, fact->boot_ms, i, ppm);
        if (others == INT64_MIN || others == INT64_MAX)
            continue;
        int64_t tells_ms = apart(fact->fleet_ms, others);
        if (tells_ms < least_ms) {
            least = i;
            least_ms = tells_ms;
        }
    }
    if (count > TRUETIME_KIND_MAX - 1 && least != SIZE_MAX)
        take_out(boot, least);
}

bool truetime_add(struct fleetdb_boot *boot, struct fleetdb_fact fact, int64_t ppm)
{
    if (fact.boot_ms < 0 || fact.boot_ms > moment_max_ms || fact.fleet_ms <= 0 ||
        fact.fleet_ms > moment_max_ms)
        return false;
    int64_t known = all_say(boot, fact.at_least, fact.boot_ms, SIZE_MAX, ppm);
    int64_t worth = fact.at_least ? fact.fleet_ms - WORTH_MS : fact.fleet_ms + WORTH_MS;
    if (!tighter(fact.at_least, worth, known))
        return false;
    drop_implied(boot, &fact, ppm);
    drop_least(boot, fact.at_least, ppm);
    boot->facts[boot->fact_count++] = fact;
    return true;
}

bool truetime_sight(struct fleetdb_boot *boot, int64_t fleet_ms, int64_t asked_ms, int64_t came_ms,
                    int64_t ppm)
{
    if (asked_ms > came_ms)
        return false;
    bool asked = truetime_add(boot, (struct fleetdb_fact){asked_ms, fleet_ms, false}, ppm);
    bool came = truetime_add(boot, (struct fleetdb_fact){came_ms, fleet_ms, true}, ppm);
    return asked || came;
}

bool truetime_follows(struct fleetdb_boot *after, const struct fleetdb_boot *before,
                      int64_t last_ms, int64_t ppm)
{
    int64_t lower = truetime_at(before, last_ms, ppm).lower_ms;
    return lower > 0 && truetime_add(after, (struct fleetdb_fact){0, lower, true}, ppm);
}

bool truetime_precedes(struct fleetdb_boot *before, const struct fleetdb_boot *after,
                       int64_t last_ms, int64_t ppm)
{
    int64_t upper = truetime_at(after, 0, ppm).upper_ms;
    return upper < INT64_MAX &&
           truetime_add(before, (struct fleetdb_fact){last_ms, upper, false}, ppm);
}

/* ---- records ---- */

/* Never before 1970: sums and spans are of whole buckets from there on. */
static int64_t earliest(const struct truetime_record *record, int64_t past_ms)
{
    return record->received_ms > past_ms ? record->received_ms - past_ms : 0;
}

static int64_t guess(const struct truetime_record *record)
{
    bool plausible = record->wall_ms >= earliest(record, plausible_past_ms) &&
                     record->wall_ms < record->received_ms + plausible_future_ms;
    return plausible ? record->wall_ms : record->received_ms;
}

struct truetime_judged truetime_judge(const struct fleetdb_boot *boot,
                                      const struct truetime_record *record, int64_t ppm)
{
    struct truetime_judged judged = {guess(record), FLEETDB_BOUND_UNKNOWN};
    if (boot == NULL || record->boot_ms <= 0 || record->boot_ms > moment_max_ms)
        return judged;
    struct truetime_span span = truetime_at(boot, record->boot_ms, ppm);
    if (span.upper_ms > record->received_ms)
        span.upper_ms = record->received_ms;
    const int64_t oldest_ms = earliest(record, kept_past_ms);
    if (span.lower_ms > span.upper_ms || span.upper_ms < oldest_ms) /* a terminal that lies */
        return judged;
    if (span.lower_ms == INT64_MIN) {
        if (judged.at_ms > span.upper_ms)
            judged.at_ms = span.upper_ms;
        return judged;
    }
    if (span.lower_ms < oldest_ms)
        span.lower_ms = oldest_ms;
    int64_t wide = span.upper_ms - span.lower_ms;
    judged = (struct truetime_judged){span.lower_ms + wide / 2, (wide + 1) / 2};
    if (judged.bound_ms > wide_ms && record->wall_ms >= span.lower_ms &&
        record->wall_ms <= span.upper_ms) {
        int64_t early = record->wall_ms - span.lower_ms, late = span.upper_ms - record->wall_ms;
        judged = (struct truetime_judged){record->wall_ms, early > late ? early : late};
    }
    return judged;
}

/* ---- drift ---- */

static const struct fleetdb_fact *end_of(const struct fleetdb_boot *boot, bool at_least, bool last)
{
    const struct fleetdb_fact *end = NULL;
    for (size_t i = 0; i < boot->fact_count; i++) {
        const struct fleetdb_fact *fact = &boot->facts[i];
        if (fact->boot_ms == 0 || fact->at_least != at_least) /* at 0: of the boot before */
            continue;
        if (end == NULL || (last ? fact->boot_ms > end->boot_ms : fact->boot_ms < end->boot_ms))
            end = fact;
    }
    return end;
}

/* Parts in 10^9 by which more passed by the boot's clock than by the fleet's. */
static double excess_ppb(const struct fleetdb_fact *from, const struct fleetdb_fact *to)
{
    double fleet = (double)(to->fleet_ms - from->fleet_ms);
    double boot = (double)(to->boot_ms - from->boot_ms);
    return (boot - fleet) / fleet * 1e9;
}

bool truetime_drift(const struct fleetdb_boot *boot, int64_t *ret_ppb, int64_t *ret_known_ppb)
{
    const struct fleetdb_fact *least_first = end_of(boot, true, false),
                              *least_last = end_of(boot, true, true),
                              *most_first = end_of(boot, false, false),
                              *most_last = end_of(boot, false, true);
    if (least_first == NULL || most_first == NULL ||
        least_last->boot_ms - most_first->boot_ms < drift_after_ms ||
        most_last->boot_ms - least_first->boot_ms < drift_after_ms ||
        least_last->fleet_ms <= most_first->fleet_ms ||
        most_last->fleet_ms <= least_first->fleet_ms)
        return false;
    double most = excess_ppb(most_first, least_last), least = excess_ppb(least_first, most_last);
    if (most < least || most > 1e9 || least < -1e9)
        return false;
    *ret_ppb = (int64_t)((most + least) / 2);
    *ret_known_ppb = (int64_t)((most - least) / 2) + 1;
    return true;
}
