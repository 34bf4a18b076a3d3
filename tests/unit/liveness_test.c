/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/liveness.h"

#include "tests/unit/testing.h"

#include <string.h>

enum { PATIENCE_MS = 1000 };

/* What is seen: j joined, c connected, w welcomed, o outstanding; + one more receipt. */
static struct liveness_sight sight_of(const char *seen, uint64_t *progress)
{
    *progress += strchr(seen, '+') != NULL;
    return (struct liveness_sight){
        .joined = strchr(seen, 'j') != NULL,
        .connected = strchr(seen, 'c') != NULL,
        .welcomed = strchr(seen, 'w') != NULL,
        .outstanding = strchr(seen, 'o') != NULL,
        .waiting = 3,
        .progress = *progress,
        .fault = strchr(seen, 'f') != NULL ? "disk full" : NULL,
        .offline = "no route",
    };
}

struct moment {
    int64_t at_ms;
    const char *seen;
    enum liveness_step step;
};

static void play(const struct moment *moments, size_t count)
{
    struct liveness liveness;
    uint64_t progress = 0;
    liveness_init(&liveness, PATIENCE_MS);
    for (size_t i = 0; i < count; i++) {
        struct liveness_sight sight = sight_of(moments[i].seen, &progress);
        enum liveness_step step = liveness_look(&liveness, &sight, moments[i].at_ms);
        if (step != moments[i].step)
            fail_msg("at %lld ms: step %d, expected %d", (long long)moments[i].at_ms, (int)step,
                     (int)moments[i].step);
    }
}
#define PLAY(...)                                                                                  \
    do {                                                                                           \
        const struct moment moments[] = {__VA_ARGS__};                                             \
        play(moments, sizeof moments / sizeof *moments);                                           \
    } while (0)

static void test_idle_and_offline_go_on_for_ever(void **state)
{
    (void)state;
    PLAY({1, "jcw", LIVENESS_GOES_ON}, {1000000, "jcw", LIVENESS_GOES_ON},
         {2000000, "jcw", LIVENESS_GOES_ON});
    PLAY({1, "", LIVENESS_GOES_ON}, {1000000, "j", LIVENESS_GOES_ON},
         {2000000, "jo", LIVENESS_GOES_ON}, {3000000, "jof", LIVENESS_GOES_ON});
}

static void test_a_disk_that_is_full_is_not_acted_on(void **state)
{
    (void)state;
    PLAY({1, "jcwf", LIVENESS_GOES_ON}, {1000000, "jcwf", LIVENESS_GOES_ON});
}

static void test_receipts_that_do_not_come(void **state)
{
    (void)state;
    PLAY({1, "jcw+", LIVENESS_GOES_ON}, {2, "jcwo", LIVENESS_GOES_ON},
         {900, "jcwo", LIVENESS_GOES_ON}, {1002, "jcwo", LIVENESS_SEND_AGAIN},
         {1500, "jcwo", LIVENESS_GOES_ON}, {2002, "jcwo", LIVENESS_RELINK},
         {2100, "j", LIVENESS_GOES_ON}, {9000, "j", LIVENESS_GOES_ON},
         {9001, "jc", LIVENESS_GOES_ON}, {9900, "jcwo", LIVENESS_GOES_ON},
         {10800, "jcwo", LIVENESS_GOES_ON}, {11005, "jcwo", LIVENESS_GIVE_UP});
}

static void test_progress_sets_it_back_and_nothing_else_does(void **state)
{
    (void)state;
    PLAY({1, "jcwo", LIVENESS_GOES_ON}, {900, "jcwo", LIVENESS_GOES_ON},
         {950, "jcwo+", LIVENESS_GOES_ON}, {1800, "jcwo", LIVENESS_GOES_ON},
         {1960, "jcwo", LIVENESS_SEND_AGAIN});
    /* A reconnect alone does not. */
    PLAY({1, "jcwo", LIVENESS_GOES_ON}, {900, "jcwo", LIVENESS_GOES_ON},
         {950, "j", LIVENESS_GOES_ON}, {951, "jcwo", LIVENESS_GOES_ON},
         {1100, "jcwo", LIVENESS_SEND_AGAIN});
}

/* A fleet that never answered since the start would not answer after another one. */
static void test_a_silent_fleet_is_no_reason_to_start_again(void **state)
{
    (void)state;
    PLAY({1, "jc", LIVENESS_GOES_ON}, {1001, "jc", LIVENESS_SEND_AGAIN},
         {2001, "jc", LIVENESS_RELINK}, {3001, "jc", LIVENESS_GOES_ON},
         {4001, "jc", LIVENESS_RELINK}, {5001, "jc", LIVENESS_GOES_ON},
         {7001, "jc", LIVENESS_GOES_ON}, {8001, "jc", LIVENESS_GOES_ON});
}

/* Time in which nobody looked, a machine that slept, is not held against anyone. */
static void test_a_long_sleep_counts_once(void **state)
{
    (void)state;
    PLAY({1, "jcwo+", LIVENESS_GOES_ON}, {2, "jcwo", LIVENESS_GOES_ON},
         {90000000, "jcwo", LIVENESS_SEND_AGAIN}, {90000001, "jcwo", LIVENESS_GOES_ON},
         {90000500, "jcwo+", LIVENESS_GOES_ON}, {90001000, "jcwo", LIVENESS_GOES_ON});
}

static void expect_told(const char *seen, bool well, const char *words)
{
    struct liveness liveness;
    char why[300];
    uint64_t progress = 0;
    liveness_init(&liveness, PATIENCE_MS);
    for (int64_t at = 1; at < 2 * PATIENCE_MS; at += PATIENCE_MS / 2) {
        struct liveness_sight sight = sight_of(seen, &progress);
        (void)liveness_look(&liveness, &sight, at);
    }
    struct liveness_sight sight = sight_of(seen, &progress);
    assert_int_equal(liveness_tell(&liveness, &sight, why, sizeof why), well);
    if (strstr(why, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, words);
}

static void test_it_never_looks_healthy_without_progress(void **state)
{
    (void)state;
    expect_told("jcw", true, "stored and delivered");
    expect_told("jcwo", false, "not receipted; 3 records wait, no progress for 1 s");
    expect_told("jc", false, "has not answered");
    expect_told("j", false, "no route");
    expect_told("", false, "muster-link is not there");
    expect_told("jcwf", false, "disk full");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_and_offline_go_on_for_ever),
        cmocka_unit_test(test_a_disk_that_is_full_is_not_acted_on),
        cmocka_unit_test(test_receipts_that_do_not_come),
        cmocka_unit_test(test_progress_sets_it_back_and_nothing_else_does),
        cmocka_unit_test(test_a_silent_fleet_is_no_reason_to_start_again),
        cmocka_unit_test(test_a_long_sleep_counts_once),
        cmocka_unit_test(test_it_never_looks_healthy_without_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
