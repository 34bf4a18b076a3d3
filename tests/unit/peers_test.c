/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/testing.h"

#include "agent/peers.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void test_root_and_self_are_always_allowed(void **state)
{
    (void)state;
    struct peers peers;
    struct err err = {0};
    assert_true(peers_parse("", &peers, &err));
    assert_true(peers_allow(&peers, 0));
    assert_true(peers_allow(&peers, geteuid()));
    assert_false(peers_allow(&peers, 4242424));
}

static void test_names_and_numbers(void **state)
{
    (void)state;
    struct peers peers;
    struct err err = {0};
    assert_true(peers_parse("4242424, nobody", &peers, &err));
    assert_true(peers_allow(&peers, 4242424));
    assert_true(peers_allow(&peers, 65534));
    assert_false(peers_allow(&peers, 4242425));
}

static void test_what_is_not_a_user_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"no-such-user-here", "12x", "99999999999999", "4294967295"};
    struct peers peers;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        assert_false(peers_parse(bad[i], &peers, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.text, bad[i]));
    }
}

static void test_a_list_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char list[256] = "";
    struct peers peers;
    struct err err = {0};
    for (int i = 0; i <= PEERS_MAX; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%d,", 1000 + i);
    assert_false(peers_parse(list, &peers, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root_and_self_are_always_allowed),
        cmocka_unit_test(test_names_and_numbers),
        cmocka_unit_test(test_what_is_not_a_user_is_refused),
        cmocka_unit_test(test_a_list_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
