/* SPDX-License-Identifier: Apache-2.0 */
#include "base/span.h"

#include "tests/unit/testing.h"

static void a_span_is_told_in_one_unit(void **state)
{
    static const struct {
        int64_t ms;
        const char *passed, *to_come;
    } spans[] = {
        {0, "0 s", "0 s"},
        {1, "0 s", "1 s"},
        {79001, "79 s", "80 s"},
        {119999, "119 s", "120 s"},
        {120000, "2 min", "2 min"},
        {INT64_C(119) * 60000 + 1, "119 min", "120 min"},
        {7200000, "2 h", "2 h"},
        {INT64_C(12) * 3600000 - 1, "11 h", "12 h"}, /* a patience of which a moment has passed */
        {INT64_C(12) * 3600000, "12 h", "12 h"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        char out[SPAN_WORDS_CHARS];
        span_words(spans[i].ms, false, out);
        assert_string_equal(out, spans[i].passed);
        span_words(spans[i].ms, true, out);
        assert_string_equal(out, spans[i].to_come);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_span_is_told_in_one_unit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
