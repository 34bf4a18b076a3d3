/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link_restarts.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <unistd.h>

static void starts_are_counted_until_forgotten(void **state)
{
    char directory[] = "/tmp/muster-restarts-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(directory));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(link_restarts_count(directory), i);
    }
    link_restarts_forget(directory);
    assert_int_equal(link_restarts_count(directory), 0);
    for (unsigned i = 1; i < 100; i++) {
        assert_int_equal(link_restarts_count(directory),
                         i < LINK_RESTARTS_MAX ? i : LINK_RESTARTS_MAX);
    }
    link_restarts_forget(directory);
    assert_int_equal(rmdir(directory), 0);
}

static void without_a_directory_nothing_is_remembered(void **state)
{
    (void)state;
    assert_int_equal(link_restarts_count(NULL), 0);
    assert_int_equal(link_restarts_count(NULL), 0);
    link_restarts_forget(NULL);
    assert_int_equal(link_restarts_count("/nonexistent"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_are_counted_until_forgotten),
        cmocka_unit_test(without_a_directory_nothing_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
