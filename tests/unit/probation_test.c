/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/probation.h"

#include "tests/unit/testing.h"

#include <math.h>
#include <string.h>

enum { RESULTS = 50, TIME = 86400, WELCOME = 600, CRASHES = 3, STARTS = 4 };
static const struct probation_policy policy = {.results = RESULTS,
                                               .time_ms = TIME,
                                               .welcome_ms = WELCOME,
                                               .crashes = CRASHES,
                                               .starts = STARTS};

struct course {
    const char *name;
    struct probation probation;
    enum probation_verdict verdict;
};

static const struct course courses[] = {
    {"just begun", {.generation = 2, .good = 1}, PROBATION_RUNS},
    {"enough good results", {.track = {RESULTS, 1}, .before = {500, 10}}, PROBATION_PROVED},
    {"one too few", {.track = {RESULTS - 1, 1}, .before = {500, 10}}, PROBATION_RUNS},
    {"and the time is over",
     {.track = {RESULTS - 1, 1}, .before = {500, 10}, .spent_ms = TIME},
     PROBATION_UNPROVED},
    {"a terminal without transactions", {.spent_ms = TIME}, PROBATION_UNPROVED},
    {"every card fails, from the third on",
     {.track = {3, 3}, .before = {500, 10}},
     PROBATION_BACK_RESULTS},
    {"not before", {.track = {2, 2}, .before = {500, 10}}, PROBATION_RUNS},
    {"a fifth of the cards", {.track = {30, 7}, .before = {500, 10}}, PROBATION_BACK_RESULTS},
    {"as bad as it always was", {.track = {RESULTS, 10}, .before = {500, 100}}, PROBATION_PROVED},
    {"nothing known of before", {.track = {33, 7}}, PROBATION_BACK_RESULTS},
    {"the application falls over", {.crashes = CRASHES}, PROBATION_BACK_CRASHES},
    {"so does the agent", {.starts = STARTS}, PROBATION_BACK_STARTS},
    {"no welcome over the new connection",
     {.connection = true, .track = {RESULTS, 0}, .waited_ms = WELCOME},
     PROBATION_BACK_WELCOME},
    {"results do not prove a connection",
     {.connection = true, .track = {RESULTS, 0}, .spent_ms = TIME - 1, .waited_ms = WELCOME - 1},
     PROBATION_RUNS},
    {"with a welcome they do",
     {.connection = true, .welcomed = true, .track = {RESULTS, 0}, .waited_ms = WELCOME},
     PROBATION_PROVED},
    /* What chance would hardly do is neither proved nor taken back. */
    {"four of fifty, and one in 200 before",
     {.track = {RESULTS, 4}, .before = {1000, 5}},
     PROBATION_RUNS},
    {"until the time is over",
     {.track = {RESULTS, 4}, .before = {1000, 5}, .spent_ms = TIME},
     PROBATION_UNPROVED},
    {"two of them are nothing", {.track = {RESULTS, 2}, .before = {1000, 5}}, PROBATION_PROVED},
    {"more of the same show that it was chance",
     {.track = {20 * RESULTS, 8}, .before = {1000, 5}, .spent_ms = TIME},
     PROBATION_PROVED},
    {"or that it was not",
     {.track = {4 * RESULTS, 16}, .before = {1000, 5}, .spent_ms = TIME},
     PROBATION_BACK_RESULTS},
    {"seven of fifty on a terminal that is new", {.track = {RESULTS, 7}}, PROBATION_RUNS},
};

static void test_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof courses / sizeof courses[0]; i++) {
        print_message("%s\n", courses[i].name);
        assert_int_equal(probation_look(&policy, &courses[i].probation), courses[i].verdict);
    }
}

static void add(struct probation *probation, bool suspect, const uint8_t *token)
{
    const struct probation_result result = {
        .suspect = suspect, .suspect_now = suspect, .group = suspect ? 2 : 0, .token = token};
    probation_result(probation, &result);
}

static void test_one_card_counts_once(void **state)
{
    (void)state;
    struct probation probation = {.generation = 2, .good = 1};
    const uint8_t token[PROBATION_TOKEN_BYTES] = {1};
    for (int i = 0; i < 20; i++)
        add(&probation, true, token);
    assert_int_equal(probation.track.suspect, 1);
    assert_int_equal(probation.track.results, 1);
    assert_int_equal(probation_look(&policy, &probation), PROBATION_RUNS);
    for (uint8_t i = 2; i < 4; i++)
        add(&probation, true, (uint8_t[PROBATION_TOKEN_BYTES]){i});
    assert_int_equal(probation_look(&policy, &probation), PROBATION_BACK_RESULTS);
}

static void test_without_tokens_attempts_count(void **state)
{
    (void)state;
    struct probation probation = {.generation = 2, .good = 1};
    for (int i = 0; i < 3; i++)
        add(&probation, true, NULL);
    assert_int_equal(probation_look(&policy, &probation), PROBATION_BACK_RESULTS);
}

static void fail_to_read(struct probation *probation, int64_t wall_ms)
{
    const struct probation_result result = {
        .suspect = true, .suspect_now = true, .group = 6, .reader = true, .wall_ms = wall_ms};
    probation_result(probation, &result);
}

static void test_who_tries_a_broken_card_again_counts_once(void **state)
{
    (void)state;
    const int64_t minute_ms = 60000, noon_ms = INT64_C(1767225600000);
    struct probation probation = {.generation = 2, .good = 1, .before = {1000, 0}};
    for (int i = 0; i < 4; i++)
        add(&probation, false, NULL);
    for (int i = 0; i < 4; i++)
        fail_to_read(&probation, noon_ms + i * minute_ms / 4);
    assert_int_equal(probation.track.suspect, 1);
    assert_int_equal(probation.track.results, 5);
    assert_int_equal(probation.groups[6], 1);
    fail_to_read(&probation, noon_ms - 1000); /* the clock was set a little */
    assert_int_equal(probation.track.suspect, 1);
    /* A reader that is dead fails with the next customers as well. */
    fail_to_read(&probation, noon_ms + 2 * minute_ms);
    fail_to_read(&probation, noon_ms + 3 * minute_ms);
    fail_to_read(&probation, noon_ms + 5 * minute_ms);
    assert_int_equal(probation.track.suspect, 3);
    assert_int_equal(probation_look(&policy, &probation), PROBATION_BACK_RESULTS);
}

static void test_by_another_measure(void **state)
{
    (void)state;
    struct probation probation = {.generation = 2};
    const struct probation_result was = {.suspect = true, .group = 10};
    const struct probation_result is = {.suspect_now = true};
    probation_result(&probation, &was);
    probation_result(&probation, &is);
    probation_result(&probation, &is);
    assert_int_equal(probation.track.results, 3);
    assert_int_equal(probation.track.suspect, 1);
    assert_int_equal(probation.suspect_now, 2);
    assert_int_equal(probation.groups[10], 1);
}

/* A good result of a card that failed before is a result. */
static void test_good_results_all_count(void **state)
{
    (void)state;
    struct probation probation = {.generation = 2};
    const uint8_t token[PROBATION_TOKEN_BYTES] = {1};
    for (int i = 0; i < RESULTS; i++)
        add(&probation, false, token);
    assert_int_equal(probation_look(&policy, &probation), PROBATION_PROVED);
}

/* Against the sum written out, for every count there can be. */
static void test_chance(void **state)
{
    (void)state;
    const struct probation_track before = {500, 10};
    const double p = 11.0 / 550;
    for (uint32_t n = 1; n <= 60; n++) {
        double tail = 1, term = pow(1 - p, n);
        for (uint32_t k = 0; k <= n; k++) {
            const struct probation_track track = {n, k};
            double chance = probation_chance(&track, &before);
            assert_true(fabs(chance - tail) < 1e-9);
            tail -= term;
            term *= (n - k) / (k + 1.0) * p / (1 - p);
        }
    }
    const struct probation_track far = {1000, 900};
    assert_true(probation_chance(&far, &before) >= 0);
    assert_true(probation_chance(&far, &before) < 1e-9);
    const struct probation_track all = {50, 50};
    assert_true(probation_chance(&far, &all) <= 1);
}

static void test_what_is_old_weighs_less(void **state)
{
    (void)state;
    struct probation_track track = {0};
    for (int i = 0; i < 1000; i++)
        probation_track_add(&track, true);
    for (int i = 0; i < 3000; i++)
        probation_track_add(&track, false);
    assert_true(track.results <= 1000);
    assert_true(track.suspect * 10 < track.results);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_one_card_counts_once),
        cmocka_unit_test(test_without_tokens_attempts_count),
        cmocka_unit_test(test_who_tries_a_broken_card_again_counts_once),
        cmocka_unit_test(test_by_another_measure),
        cmocka_unit_test(test_good_results_all_count),
        cmocka_unit_test(test_chance),
        cmocka_unit_test(test_what_is_old_weighs_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
