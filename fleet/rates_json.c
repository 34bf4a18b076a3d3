/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_fleet.h"
#include "fleet/api_rates.h"
#include "fleet/week_ago.h"
#include "fleet/wilson.h"
#include "proto/record.pb-c.h"

#include <stdlib.h>
#include <string.h>

enum { TOP = 10 };

/* All currencies of a key together, or of all keys. */
struct tally {
    int64_t results, errors, not_in_service;
};

static void add(struct tally *tally, const struct fleetdb_rate *rate)
{
    tally->results += rate->results;
    tally->errors += rate->errors;
    tally->not_in_service += rate->not_in_service;
}

static struct tally total_of(const struct rates_list *list)
{
    struct tally total = {0};
    for (size_t i = 0; i < list->count; i++)
        add(&total, &list->rates[i]);
    return total;
}

/* Lists are ascending by key. */
static struct tally tally_of(const struct rates_list *list, const char *key)
{
    struct tally tally = {0};
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(list->rates[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < list->count && strcmp(list->rates[low].key, key) == 0; low++)
        add(&tally, &list->rates[low]);
    return tally;
}

/* ---- one row ---- */

struct row {
    const char *key;
    size_t first, count; /* its rates */
    struct tally now;
    int64_t hits, tries; /* of its share */
    int64_t rest_hits, rest_tries;
    double stands_out; /* by how much it is surely above the rest */
};

enum { WORD_CHARS = 48 };

/* The word for a number, in `word`; or else the key. */
static const char *key_word(enum fleetdb_dim by, const char *key, char word[WORD_CHARS])
{
    int number = (int)strtol(key, NULL, 10);
    if (by == FLEETDB_DIM_OUTCOME)
        api_word(&muster__outcome__descriptor, "OUTCOME_", number, word);
    else if (by == FLEETDB_DIM_ENTRY)
        api_word(&muster__entry_mode__descriptor, "ENTRY_MODE_", number, word);
    else if (by == FLEETDB_DIM_TYPE)
        api_word(&muster__txn_type__descriptor, "TXN_TYPE_", number, word);
    else if (by == FLEETDB_DIM_CURRENCY)
        (void)snprintf(word, WORD_CHARS, "%03d", number); /* ISO 4217 */
    else
        return key;
    return word[0] != '\0' ? word : key;
}

static json_t *amounts_json(const struct rates_answer *answer, const struct row *row)
{
    json_t *amounts = json_array();
    for (size_t i = row->first; i < row->first + row->count; i++) {
        const struct fleetdb_rate *rate = &answer->now.rates[i];
        if (rate->error_amount_minor > 0 &&
            json_array_append_new(amounts, json_pack("{s:I, s:I}", "currency",
                                                     (json_int_t)rate->currency, "amount_minor",
                                                     (json_int_t)rate->error_amount_minor)) != 0) {
            json_decref(amounts);
            return NULL;
        }
    }
    return amounts;
}

/* Null: there is nothing to compare with; a share of nothing is none. */
static json_t *share_json(bool known, int64_t hits, int64_t tries)
{
    if (!known || tries <= 0)
        return json_null();
    struct wilson interval = wilson_95(hits, tries);
    return json_pack("{s:I, s:I, s:f, s:f, s:f}", "errors", (json_int_t)hits, "results",
                     (json_int_t)tries, "rate", (double)hits / (double)tries, "low", interval.low,
                     "high", interval.high);
}

/* NULL: there is no rest beside it. */
static const char *verdict_of(const struct row *row)
{
    static const char *const words[] = {
        [WILSON_UNSURE] = "unsure", [WILSON_MORE] = "more", [WILSON_LESS] = "less"};
    if (row->rest_tries <= 0)
        return NULL;
    return words[wilson_beside(wilson_95(row->hits, row->tries),
                               wilson_95(row->rest_hits, row->rest_tries))];
}

static json_t *row_json(const struct rates_answer *answer, const struct row *row,
                        const struct tally *before_all)
{
    char word[WORD_CHARS];
    struct tally before = tally_of(&answer->before, row->key);
    int64_t before_hits =
        answer->shares || answer->kind == RATES_ERRORS ? before.results : before.errors;
    int64_t before_tries =
        answer->shares || answer->kind == RATES_ERRORS ? before_all->results : before.results;
    bool beside = row->rest_tries > 0;
    const char *key = key_word(answer->by, row->key, word);
    struct wilson interval = wilson_95(row->hits, row->tries);
    double share = row->tries > 0 ? (double)row->hits / (double)row->tries : 0;
    if (answer->kind == RATES_ERRORS)
        return json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:o, s:o, s:o}", "key", key, "count",
                         (json_int_t)row->now.results, "declined", (json_int_t)row->now.errors,
                         "share", share, "low", interval.low, "high", interval.high, "amounts",
                         amounts_json(answer, row), "before",
                         share_json(answer->before.known, before_hits, before_tries), "rest",
                         share_json(beside, row->rest_hits, row->rest_tries));
    return json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:o, s:o, s:o, s:s?}", "key", key, "results",
                     (json_int_t)row->tries, "errors", (json_int_t)row->hits, "rate", share, "low",
                     interval.low, "high", interval.high, "amounts", amounts_json(answer, row),
                     "before", share_json(answer->before.known, before_hits, before_tries), "rest",
                     share_json(beside, row->rest_hits, row->rest_tries), "verdict",
                     verdict_of(row));
}

/* ---- all of them ---- */

/* What the row's share is of, and what the rest of the fleet is. */
static void compare(const struct rates_answer *answer, const struct tally *all,
                    const struct tally *fleet, struct row *row)
{
    const struct rates_list *everywhere = answer->chosen ? &answer->fleet : &answer->now;
    if (answer->shares || answer->kind == RATES_ERRORS) {
        struct tally same = tally_of(everywhere, row->key);
        row->hits = row->now.results;
        row->tries = all->results;
        /* Of all the fleet there is no rest to take a share of. */
        if (answer->chosen) {
            row->rest_hits = same.results - row->now.results;
            row->rest_tries = fleet->results - all->results;
        }
    } else {
        row->hits = row->now.errors;
        row->tries = row->now.results;
        row->rest_hits = fleet->errors - row->now.errors;
        row->rest_tries = fleet->results - row->now.results;
    }
    double rest = row->rest_tries > 0 ? (double)row->rest_hits / (double)row->rest_tries : 0;
    row->stands_out = wilson_95(row->hits, row->tries).low - rest;
}

static int most_first(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    int order = (a->hits < b->hits) - (a->hits > b->hits);
    order = order != 0 ? order : (a->tries < b->tries) - (a->tries > b->tries);
    return order != 0 ? order : strcmp(a->key, b->key);
}

static int standing_out_first(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    int order = (a->stands_out < b->stands_out) - (a->stands_out > b->stands_out);
    return order != 0 ? order : most_first(left, right);
}

static size_t make_rows(const struct rates_answer *answer, const struct tally *all,
                        const struct tally *fleet, struct row *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < answer->now.count;) {
        struct row row = {.key = answer->now.rates[i].key, .first = i};
        for (; i < answer->now.count && strcmp(answer->now.rates[i].key, row.key) == 0; i++) {
            add(&row.now, &answer->now.rates[i]);
            row.count++;
        }
        if (row.now.results == 0) /* nothing but what was not in service */
            continue;
        compare(answer, all, fleet, &row);
        rows[count++] = row;
    }
    if (count > 0)
        qsort(rows, count, sizeof *rows,
              answer->kind == RATES_TOP ? standing_out_first : most_first);
    return count;
}

static size_t shown_of(const struct rates_answer *answer, size_t count)
{
    size_t limit = answer->limit > 0 ? (size_t)answer->limit : answer->kind == RATES_TOP ? TOP : 0;
    return limit > 0 && limit < count ? limit : count;
}

/* Null: nothing of that time is beside it. */
static json_t *ago_json(const struct rates_answer *answer)
{
    if (!answer->before.known)
        return json_null();
    return json_pack("{s:s, s:I, s:I}", "zone", answer->ago->zone, "from_ms",
                     (json_int_t)answer->ago->from_ms, "to_ms", (json_int_t)answer->ago->to_ms);
}

json_t *rates_json(const struct rates_answer *answer)
{
    const struct tally all = total_of(&answer->now), before = total_of(&answer->before);
    const struct tally fleet = answer->chosen ? total_of(&answer->fleet) : all;
    struct row *rows = calloc(answer->now.count + 1, sizeof *rows);
    json_t *list = json_array();
    if (rows == NULL || list == NULL) {
        free(rows);
        json_decref(list);
        return NULL;
    }
    size_t count = make_rows(answer, &all, &fleet, rows), shown = shown_of(answer, count);
    bool whole = true;
    for (size_t i = 0; whole && i < shown; i++)
        whole = json_array_append_new(list, row_json(answer, &rows[i], &before)) == 0;
    free(rows);
    if (!whole) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:o, s:o}", "by",
                     fleetdb_dim_word(answer->by), "since_ms", (json_int_t)answer->since_ms,
                     "from_ms", (json_int_t)answer->from_ms, "to_ms", (json_int_t)answer->to_ms,
                     "kept_from_ms", (json_int_t)answer->kept_from_ms, "total",
                     (json_int_t)all.results, "errors", (json_int_t)all.errors, "not_in_service",
                     (json_int_t)all.not_in_service, "unsure", (json_int_t)answer->unsure, "keys",
                     (json_int_t)count, "source", answer->source, "took_ms",
                     (json_int_t)answer->took_ms, "week_ago", ago_json(answer), "rows", list);
}
