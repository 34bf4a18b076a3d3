/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/linger.h"

#include "tests/unit/testing.h"

#include <string.h>

enum { LINGER = 100, ALONE = 1000, QUIET = 60 };
static const struct linger_policy policy = {
    .linger_ms = LINGER, .alone_ms = ALONE, .quiet_ms = QUIET};

enum what { RIDES, LINGERS, URGENT, DRAINED, RELEASED };

/* What happens when, and from when on a packet may go. */
struct step {
    int64_t at_ms;
    enum what what;
};
struct course {
    const char *name;
    struct step steps[8];
    size_t count;
    int64_t goes_ms; /* of what waits after the last step; 0: it may go at once */
};

static const struct course courses[] = {
    {"after a connect nothing is held", {{5, LINGERS}}, 1, 0},
    {"one record waits for its linger", {{0, DRAINED}, {5, LINGERS}}, 2, 5 + LINGER},
    {"a second one does not prolong it",
     {{0, DRAINED}, {5, LINGERS}, {50, LINGERS}},
     3,
     5 + LINGER},
    {"health waits long", {{0, DRAINED}, {5, RIDES}}, 2, 5 + ALONE},
    {"a result takes health along", {{0, DRAINED}, {5, RIDES}, {50, LINGERS}}, 3, 50 + LINGER},
    {"health does not put off a result", {{0, DRAINED}, {5, LINGERS}, {50, RIDES}}, 3, 5 + LINGER},
    {"a suspect ends the linger", {{0, DRAINED}, {5, LINGERS}, {50, URGENT}}, 3, 50},
    {"the next suspect waits for the minute",
     {{0, DRAINED}, {5, URGENT}, {6, DRAINED}, {20, URGENT}},
     4,
     6 + QUIET},
    {"and so does a linger that would end in it",
     {{0, DRAINED}, {5, URGENT}, {6, DRAINED}, {6 + QUIET - LINGER - 10, LINGERS}},
     4,
     6 + QUIET},
    {"one that ends later does not",
     {{0, DRAINED}, {5, URGENT}, {6, DRAINED}, {10, LINGERS}},
     4,
     10 + LINGER},
    {"an ordinary flush is followed by no quiet",
     {{0, DRAINED}, {5, LINGERS}, {5 + LINGER, DRAINED}, {5 + LINGER + 1, URGENT}},
     4,
     5 + LINGER + 1},
    {"what is due is not put off by what comes",
     {{0, DRAINED}, {5, LINGERS}, {5 + LINGER + 50, LINGERS}},
     3,
     5 + LINGER},
    {"a new session waits for nothing",
     {{0, DRAINED}, {5, URGENT}, {6, DRAINED}, {7, LINGERS}, {8, RELEASED}},
     5,
     0},
};

static void do_step(struct lingering *linger, const struct step *step)
{
    if (step->what == DRAINED)
        linger_drained(linger, &policy, step->at_ms);
    else if (step->what == RELEASED)
        linger_release(linger);
    else
        linger_stored(linger, &policy,
                      step->what == RIDES     ? HASTE_RIDES
                      : step->what == LINGERS ? HASTE_LINGERS
                                              : HASTE_URGENT,
                      step->at_ms);
}

static void test_when_what_waits_may_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof courses / sizeof courses[0]; i++) {
        const struct course *course = &courses[i];
        struct lingering linger = {0};
        for (size_t j = 0; j < course->count; j++)
            do_step(&linger, &course->steps[j]);
        int64_t goes_ms = course->goes_ms;
        int64_t last_ms = course->steps[course->count - 1].at_ms;
        print_message("%s\n", course->name);
        assert_true(linger_over(&linger, goes_ms > last_ms ? goes_ms : last_ms));
        if (goes_ms > last_ms) {
            assert_false(linger_over(&linger, goes_ms - 1));
            assert_int_equal(linger_deadline(&linger, last_ms), goes_ms);
        } else {
            assert_true(linger_deadline(&linger, last_ms) == INT64_MAX);
        }
    }
}

static void test_only_flushes_with_a_suspect_are_counted_as_urgent(void **state)
{
    (void)state;
    struct lingering linger = {0};
    linger_drained(&linger, &policy, 0);
    linger_stored(&linger, &policy, HASTE_LINGERS, 1);
    linger_drained(&linger, &policy, 2);
    assert_int_equal(linger.urgent_flushes, 0);
    linger_stored(&linger, &policy, HASTE_URGENT, 3);
    linger_drained(&linger, &policy, 4);
    linger_drained(&linger, &policy, 5);
    assert_int_equal(linger.urgent_flushes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_what_waits_may_go),
        cmocka_unit_test(test_only_flushes_with_a_suspect_are_counted_as_urgent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
