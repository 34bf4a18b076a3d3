/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/selector.h"

#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static const struct selector_fact facts[] = {
    {"device", "term-0001"},  {"model", "A920"},   {"state", "in_service"}, {"store", "s1"},
    {"region", "north-east"}, {"tid", "12345678"}, {"tid", "12345679"},     {"lane", "express"},
};
enum { FACTS = sizeof facts / sizeof *facts };

static bool in_group(void *ctx, const char *group)
{
    const char *only = ctx;
    return strcmp(group, only) == 0;
}

static bool holds(const char *text)
{
    struct selector selector;
    struct err err = {0};
    static char pilots[] = "pilots";
    if (!selector_parse(text, &selector, &err))
        fail_msg("%s: %s", text, err.text);
    return selector_holds(&selector, facts, FACTS, in_group, pilots);
}

static void every_term_has_to_hold(void **state)
{
    (void)state;
    assert_true(holds("model=A920"));
    assert_true(holds("model=A920,state=in_service"));
    assert_false(holds("model=A920,state=spare"));
    assert_false(holds("model=A80,state=in_service"));
    assert_true(holds(" model = A920 , state != spare "));
    assert_false(holds("model!=A920"));
    assert_true(holds("merchant!=m1")); /* it has none */
    assert_false(holds("merchant=m1"));
}

static void one_of_the_values_will_do(void **state)
{
    (void)state;
    assert_true(holds("model=A80|A920"));
    assert_false(holds("model!=A80 | A920"));
    assert_true(holds("tid=12345679"));
    assert_false(holds("tid!=12345679")); /* the other one does not make up for it */
}

static void values_are_patterns(void **state)
{
    (void)state;
    assert_true(holds("region=north*"));
    assert_false(holds("region=north"));
    assert_true(holds("device=term-000?"));
    assert_false(holds("region=*south*"));
    assert_false(holds("model=a920"));
}

static void labels_are_there_or_not(void **state)
{
    (void)state;
    assert_true(holds("lane"));
    assert_false(holds("!lane"));
    assert_true(holds("!pilot"));
    assert_false(holds("pilot"));
    assert_true(holds("lane=*"));
}

static void groups_are_asked_about(void **state)
{
    (void)state;
    assert_true(holds("group=pilots"));
    assert_true(holds("group=others|pilots"));
    assert_false(holds("group!=pilots"));
    assert_true(holds("group!=others,model=A920"));
}

static void what_is_no_selector_is_told_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *told;
    } rows[] = {
        {"", "at \"\": expected FIELD=VALUE"},
        {"model=A920,", "at \"\": expected FIELD=VALUE"},
        {"Model=A920", "at \"Model=A920\": expected FIELD=VALUE"},
        {"=A920", "at \"=A920\": expected FIELD=VALUE"},
        {"!=A920", "at \"!=A920\": expected FIELD=VALUE"},
        {"a b", "at \"a b\": expected FIELD=VALUE"},
        {"model=", "at \"model=\": expected a value"},
        {"model=A920|", "at \"model=A920|\": expected a value"},
        {"group", "at \"group\": expected a group's name"},
        {"!group", "at \"!group\": expected a group's name"},
        {"x123456789012345678901234567890123", "expected FIELD=VALUE"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct selector selector;
        struct err err = {0};
        if (selector_parse(rows[i].text, &selector, &err))
            fail_msg("\"%s\" was taken", rows[i].text);
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(selector.term_count, 0);
        if (strstr(err.text, rows[i].told) == NULL)
            fail_msg("\"%s\": %s", rows[i].text, err.text);
    }
}

static void too_much_is_refused(void **state)
{
    (void)state;
    char text[SELECTOR_CHARS + 2] = "a";
    struct selector selector;
    for (size_t i = 1; i < SELECTOR_TERMS_MAX; i++)
        strcat(text, ",a");
    assert_true(selector_parse(text, &selector, NULL));
    strcat(text, ",a");
    assert_false(selector_parse(text, &selector, NULL));
    strcpy(text, "a=0");
    for (size_t i = 1; i < SELECTOR_VALUES_MAX; i++)
        strcat(text, "|0");
    assert_true(selector_parse(text, &selector, NULL));
    strcat(text, "|0");
    assert_false(selector_parse(text, &selector, NULL));
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(selector_parse(text, &selector, NULL));
}

static void names_and_values_have_a_form(void **state)
{
    (void)state;
    assert_true(selector_label_valid("lane"));
    assert_true(selector_label_valid("a.b-c_9"));
    assert_false(selector_label_valid("store"));
    assert_false(selector_label_valid("group"));
    assert_false(selector_label_valid("Lane"));
    assert_false(selector_label_valid("9lane"));
    assert_false(selector_label_valid(""));
    assert_true(selector_group_valid("store"));
    assert_true(selector_value_valid("快速 1"));
    static const char *const wrong[] = {"", "a,b", "a|b", "a;b", "a=b", "a\nb", " a", "a "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(selector_value_valid(wrong[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_term_has_to_hold),
        cmocka_unit_test(one_of_the_values_will_do),
        cmocka_unit_test(values_are_patterns),
        cmocka_unit_test(labels_are_there_or_not),
        cmocka_unit_test(groups_are_asked_about),
        cmocka_unit_test(what_is_no_selector_is_told_where),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(names_and_values_have_a_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
