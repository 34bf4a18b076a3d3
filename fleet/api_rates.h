/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_RATES_H
#define FLEET_API_RATES_H

#include "fleet/api.h"
#include "storage/fleetdb_rates.h"

/*
 * GET /api/v1/errors, /api/v1/rates and /api/v1/top: how often what happened, by any dimension
 * (`by`), of what is chosen (`devices` a selector, any dimension a value), from `from_ms` to
 * `to_ms`; beside the same window a week before (fleet/week_ago.h) and the rest of the fleet. Who
 * may see a part of the fleet is told of what was made in it, and the rest is that of his part.
 *
 * errors: how many results of each key, and which share of all that is; the rest is the share of
 * the same among what was not chosen
 * rates: of each key's results, how many were errors: declined, or the `code` or `outcome` given
 * top: the keys that stand out most from the rest of the fleet
 *
 * A question that takes too much of our time fails: half an answer would be read as a whole one.
 */
enum rates_kind { RATES_ERRORS, RATES_RATES, RATES_TOP };

struct rates_list {
    bool known; /* it was asked for */
    const struct fleetdb_rate *rates;
    size_t count;
};
struct week_ago;
struct rates_answer {
    enum rates_kind kind;
    enum fleetdb_dim by;
    bool shares; /* each row is a share of all results */
    bool chosen; /* some of all that the asker may see: `fleet` is all of it */
    int64_t since_ms, from_ms, to_ms, took_ms, unsure, limit;
    int64_t kept_from_ms; /* what was before it is not kept and left out; 0: all is there */
    const char *source;
    struct rates_list now, before, fleet;
    const struct week_ago *ago; /* when `before` was */
};
/* NULL: no memory. Owned by the caller. */
json_t *rates_json(const struct rates_answer *answer);

#endif
