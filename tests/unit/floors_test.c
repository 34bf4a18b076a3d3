/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/floors.h"

#include "proto/refusal.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

/* The root in force says which epoch counts; when that goes back, for whatever reason, these stay.
 */
static void an_epoch_before_the_last_accepted_is_refused(void **state)
{
    struct registry_floors *floors = calloc(2, sizeof *floors);
    struct desired *desired = calloc(1, sizeof *desired);
    struct err err = {0};
    (void)state;
    assert_non_null(floors);
    assert_non_null(desired);
    floors[0].epoch = 2;
    floors[0].manifest_version = 3;
    desired->epoch = 1;
    desired->version = 9;
    assert_false(floors_take(&floors[0], desired, &floors[1], &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_MANIFEST_EPOCH);
    /* The same in the epoch that counts, and the first of a later one. */
    desired->epoch = 2;
    assert_true(floors_take(&floors[0], desired, &floors[1], &err));
    assert_int_equal(floors[1].manifest_version, 9);
    desired->epoch = 3;
    desired->version = 1;
    assert_true(floors_take(&floors[0], desired, &floors[1], &err));
    assert_int_equal(floors[1].epoch, 3);
    assert_int_equal(floors[1].manifest_version, 1);
    free(floors);
    free(desired);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_before_the_last_accepted_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
