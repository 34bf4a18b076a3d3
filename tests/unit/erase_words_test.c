/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/erase_words.h"

#include "tests/unit/testing.h"

#include <stdio.h>

static bool is_in(const char *text, const char *word)
{
    struct erase_words *words = erase_words_new();
    erase_words_add(words, word);
    const bool is = erase_words_in(words, text);
    erase_words_free(words);
    return is;
}

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
        {"m1m1 m1", "m1", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (is_in(cases[i].text, cases[i].word) != cases[i].is)
            fail_msg("\"%s\" in \"%s\"", cases[i].word, cases[i].text);
}

static void case_and_width_are_no_difference(void **state)
{
    (void)state;
    assert_true(is_in("called CORNER SHOP", "Corner Shop"));
    assert_true(is_in("hauptstrasse 7, hof", "Hauptstraße 7"));
    assert_true(is_in("ЛАВКА", "Лавка"));
    assert_true(is_in("BÄCKEREI MÜLLER", "Bäckerei Müller"));
    assert_true(is_in("the cafe\xcc\x81 at the corner", "Caf\xc3\xa9"));
    assert_true(is_in("moved to \xef\xbc\xad\xef\xbc\x91", "m1")); /* in full width */
    assert_false(is_in("the cafe at the corner", "Caf\xc3\xa9"));
}

/* From a device whose text was cut amid a letter. */
static void bytes_that_are_no_letters_do_no_harm(void **state)
{
    (void)state;
    assert_true(is_in("m1\xe5\x95", "m1"));
    assert_true(is_in("\xff\xfem1", "m1"));
    assert_false(is_in("\xe5\x95", "m1"));
    assert_true(is_in("\xe5\x95", "\xe5\x95"));
}

static void each_of_many_is_found(void **state)
{
    static const char *const amid[] = {"a", "ab", "abc", "b", "T00", "T0000", "abd", "AB", ""};
    struct erase_words *words = erase_words_new();
    char word[32], text[48];
    (void)state;
    assert_false(erase_words_in(words, "T0000001"));
    for (size_t i = 0; i < sizeof amid / sizeof *amid; i++)
        erase_words_add(words, amid[i]);
    for (unsigned i = 0; i < 3000; i++) {
        (void)snprintf(word, sizeof word, "T%07u", i * 7);
        erase_words_add(words, word);
    }
    for (unsigned i = 0; i < 3000; i++) {
        (void)snprintf(text, sizeof text, "took t%07u away", i * 7);
        assert_true(erase_words_in(words, text));
        (void)snprintf(text, sizeof text, "took T%07u away", i * 7 + 1);
        assert_false(erase_words_in(words, text));
    }
    assert_true(erase_words_in(words, "x abc"));
    assert_true(erase_words_in(words, "x ab-"));
    assert_false(erase_words_in(words, "x abcd"));
    assert_true(erase_words_in(words, "T00"));
    assert_false(erase_words_in(words, "T000"));
    erase_words_free(words);
    erase_words_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_found_whole),
        cmocka_unit_test(case_and_width_are_no_difference),
        cmocka_unit_test(bytes_that_are_no_letters_do_no_harm),
        cmocka_unit_test(each_of_many_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
