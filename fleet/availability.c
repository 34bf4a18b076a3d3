/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/availability.h"

static int64_t later(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

struct hours {
    const struct zone *zone;
    const struct opening *opening;
};

static int64_t open_ms(const struct hours *hours, int64_t from_ms, int64_t to_ms)
{
    return from_ms < to_ms ? zone_open_between(hours->zone, hours->opening, from_ms, to_ms) : 0;
}

/* How much of [from_ms, to_ms) is open and lies in the spans. */
static int64_t open_in(const struct hours *hours, int64_t from_ms, int64_t to_ms,
                       const struct availability_span *spans, size_t count)
{
    int64_t sum_ms = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t begin_ms = later(from_ms, spans[i].from_ms),
                end_ms = earlier(to_ms, spans[i].to_ms);
        sum_ms += open_ms(hours, begin_ms, end_ms);
        from_ms = later(from_ms, end_ms);
    }
    return sum_ms;
}

void availability_add(struct availability *sum, const struct zone *zone,
                      const struct opening *opening, const struct availability_span *at,
                      const struct availability_span *away, size_t away_count,
                      const struct availability_span *deaf, size_t deaf_count)
{
    const struct hours hours = {zone, opening};
    int64_t done_ms = at->from_ms;
    sum->open_ms += open_ms(&hours, at->from_ms, at->to_ms);
    sum->away_ms += open_in(&hours, at->from_ms, at->to_ms, away, away_count);
    for (size_t i = 0; i < deaf_count; i++) {
        int64_t from_ms = later(done_ms, deaf[i].from_ms),
                to_ms = earlier(at->to_ms, deaf[i].to_ms);
        sum->unheard_ms +=
            open_ms(&hours, from_ms, to_ms) - open_in(&hours, from_ms, to_ms, away, away_count);
        done_ms = later(done_ms, to_ms);
    }
}

double availability_share(const struct availability *sum)
{
    int64_t known_ms = sum->open_ms - sum->unheard_ms;
    return known_ms > 0 ? (double)(known_ms - sum->away_ms) / (double)known_ms : -1;
}
