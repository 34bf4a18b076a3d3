/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/probation.h"

#include <math.h>
#include <string.h>

/* Looked at after each result, some tens of times for each generation: what would happen by chance
 * once in a hundred thousand looks is no chance. */
static const double too_unlikely = 1e-5;
static const double likely = 0.01;      /* no more than this, and nobody would call it no worse */
static const double least_rate = 0.005; /* of suspect results, with nothing wrong (DOMAIN p0) */

enum {
    TRACK_RESULTS = 1000, /* then what is old counts half */
    PRIOR_RESULTS = 50,
    PRIOR_SUSPECT = 1,
};

void probation_track_add(struct probation_track *track, bool suspect)
{
    if (track->results >= TRACK_RESULTS) {
        track->results /= 2;
        track->suspect /= 2;
    }
    track->results++;
    track->suspect += suspect ? 1 : 0;
}

/* One customer who tries a bad card again and again says no more than one who tries it once. */
static bool card_counted(struct probation *probation, const uint8_t *token)
{
    uint32_t held = probation->tokens < PROBATION_TOKENS ? probation->tokens : PROBATION_TOKENS;
    for (uint32_t i = 0; i < held; i++)
        if (memcmp(probation->token[i], token, PROBATION_TOKEN_BYTES) == 0)
            return true;
    memcpy(probation->token[probation->tokens % PROBATION_TOKENS], token, PROBATION_TOKEN_BYTES);
    probation->tokens++;
    return false;
}

/* Nor one who tries a card that cannot be read; a reader that is dead says so again. */
static bool reader_counted(struct probation *probation, int64_t wall_ms)
{
    int64_t ago_ms = wall_ms - probation->reader_ms;
    if (probation->reader_ms != 0 && ago_ms > -PROBATION_READER_MS && ago_ms < PROBATION_READER_MS)
        return true;
    probation->reader_ms = wall_ms;
    return false;
}

static bool is_counted(struct probation *probation, const struct probation_result *result)
{
    if (!result->suspect)
        return false;
    if (result->token != NULL)
        return card_counted(probation, result->token);
    return result->reader && reader_counted(probation, result->wall_ms);
}

void probation_result(struct probation *probation, const struct probation_result *result)
{
    if (is_counted(probation, result) || probation->track.results == UINT32_MAX)
        return;
    probation->track.results++;
    probation->suspect_now += result->suspect_now ? 1 : 0;
    if (!result->suspect)
        return;
    probation->track.suspect++;
    probation->groups[result->group < PROBATION_GROUPS ? result->group : 0]++;
}

double probation_chance(const struct probation_track *track, const struct probation_track *before)
{
    double n = track->results, k = track->suspect;
    double p =
        ((double)before->suspect + PRIOR_SUSPECT) / ((double)before->results + PRIOR_RESULTS);
    if (p < least_rate)
        p = least_rate;
    if (k == 0)
        return 1;
    if (p >= 1)
        return 1;
    /* The tail of the binomial distribution, from the term that is not too small to be written. */
    double term =
        exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log1p(-p));
    double sum = 0;
    for (double i = k; i <= n && (i <= n * p || term > sum * 1e-12); i++) {
        sum += term;
        term *= (n - i) / (i + 1) * p / (1 - p);
    }
    return sum < 1 ? sum : 1;
}

static bool is_worse(const struct probation *probation)
{
    return probation->track.suspect >= PROBATION_LEAST &&
           probation_chance(&probation->track, &probation->before) <= too_unlikely;
}

static bool is_alike(const struct probation *probation)
{
    return probation_chance(&probation->track, &probation->before) > likely;
}

enum probation_verdict probation_look(const struct probation_policy *policy,
                                      const struct probation *probation)
{
    bool welcome_owed = probation->connection && !probation->welcomed;
    if (is_worse(probation))
        return PROBATION_BACK_RESULTS;
    if (probation->crashes >= policy->crashes)
        return PROBATION_BACK_CRASHES;
    if (probation->starts >= policy->starts)
        return PROBATION_BACK_STARTS;
    if (welcome_owed && probation->waited_ms >= policy->welcome_ms)
        return PROBATION_BACK_WELCOME;
    if (!welcome_owed && probation->track.results >= policy->results && is_alike(probation))
        return PROBATION_PROVED;
    return probation->spent_ms >= policy->time_ms ? PROBATION_UNPROVED : PROBATION_RUNS;
}
