/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/erase_words.h"

#include "tests/unit/testing.h"

static void a_word_is_found_whole(void **state)
{
    static const struct {
        const char *text, *word;
        bool is;
    } cases[] = {
        {"moved to m1/s1", "m1", true},
        {"m1", "m1", true},
        {"m1-desk", "m1", true},
        {"m10", "m1", false},
        {"am1", "m1", false},
        {"m10 and m1", "m1", true},
        {"m1m1", "m1", false},
        {"", "m1", false},
        {"anything", "", false},
        {"在商户一店里", "商户一", true},
        {"商户一2", "商户一", true},
        {"at 7 Finch Lane, today", "7 Finch Lane", true},
        {"at 17 Finch Lane", "7 Finch Lane", false},
        {"a.b", "a.b", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (erase_word_in(cases[i].text, cases[i].word) != cases[i].is)
            fail_msg("\"%s\" in \"%s\"", cases[i].word, cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_word_is_found_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
