/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls_time.h"
#include "tests/unit/testing.h"

#define DAY (INT64_C(24) * 3600 * 1000)
#define NOW INT64_C(1790000000000)
#define YEARS_10 (INT64_C(3650) * DAY)

static void the_judge_is_chosen(void **state)
{
    static const struct {
        struct tls_time time;
        int64_t floor_ms, wall_ms, boot_ms;
        struct tls_judge judge;
    } cases[] = {
        /* Nothing is proved: the clock, strictly. */
        {{0, 0, false}, 0, NOW, 5, {0, false, 0}},
        {{0, 0, false}, 0, 17, 5, {0, false, 0}},
        /* A clock that can be true: what it calls expired is. */
        {{NOW - DAY, 0, false}, 0, NOW, 5, {0, true, 0}},
        {{NOW - 29 * DAY, 0, false}, 0, NOW, 5, {0, true, 0}},
        /* 1970. */
        {{NOW, 1000, false}, 0, 17, 6000, {NOW + 5000, true, 0}},
        {{0, 0, false}, NOW, 17, 6000, {NOW, true, 0}},
        {{NOW - DAY, 0, false}, NOW, 17, 6000, {NOW, true, 0}},
        /* Ten years on: nobody knows. */
        {{NOW, 0, false}, 0, NOW + YEARS_10, 0, {0, true, NOW}},
        {{NOW - DAY, 0, false}, NOW, NOW + YEARS_10, 0, {0, true, NOW}},
        /* Welcomed in this boot: the clock does not matter. */
        {{NOW, 1000, true}, 0, NOW + YEARS_10, 3000, {NOW + 2000, false, 0}},
        {{NOW, 1000, true}, 0, 17, 3000, {NOW + 2000, false, 0}},
        {{NOW, 1000, true}, NOW - DAY, NOW, 900, {NOW, false, 0}},
        /* But not below the installed floor. */
        {{NOW - DAY, 1000, true}, NOW, 17, 3000, {NOW, true, 0}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_judge judge =
            tls_time_judge(&cases[i].time, cases[i].floor_ms, cases[i].wall_ms, cases[i].boot_ms);
        assert_int_equal(judge.at_ms, cases[i].judge.at_ms);
        assert_int_equal(judge.early, cases[i].judge.early);
        assert_int_equal(judge.expired_from_ms, cases[i].judge.expired_from_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_judge_is_chosen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
