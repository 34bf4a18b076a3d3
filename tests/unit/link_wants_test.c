/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link_wants.h"
#include "tests/unit/testing.h"

#include <string.h>

static void name_blob(uint8_t blob[32], unsigned number)
{
    memset(blob, 0, 32);
    blob[0] = (uint8_t)number;
    blob[31] = (uint8_t)(number >> 8);
}

static void add(struct link_wants *wants, unsigned number)
{
    uint8_t blob[32];
    struct err err;

    name_blob(blob, number);
    assert_true(link_wants_add(wants, blob, 100 + number, &err));
}

static void sum_up(void *ctx, const uint8_t blob[32])
{
    unsigned *sum = ctx;

    *sum += blob[0];
}

static void a_blob_is_wanted_once(void **state)
{
    struct link_wants wants = {.count = 0};
    uint8_t blob[32];

    (void)state;
    add(&wants, 5);
    add(&wants, 5);
    assert_int_equal(wants.count, 1);
    name_blob(blob, 5);
    assert_true(link_wants_has(&wants, blob));
    blob[31] ^= 1;
    assert_false(link_wants_has(&wants, blob));
}

static void its_length_must_be_the_stated_one(void **state)
{
    struct link_wants wants = {.count = 0};
    uint8_t blob[32];
    struct err err;

    (void)state;
    add(&wants, 5);
    add(&wants, 6);
    name_blob(blob, 5);
    assert_true(link_wants_takes(&wants, blob, 105, &err));
    assert_false(link_wants_takes(&wants, blob, 106, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_false(link_wants_takes(&wants, blob, 104, &err));
    assert_false(link_wants_takes(&wants, blob, 0, &err));
    name_blob(blob, 7);
    assert_false(link_wants_takes(&wants, blob, 107, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_false(link_wants_add(&wants, blob, 0, &err));
    assert_false(link_wants_add(&wants, blob, LIMIT_BLOB_BYTES + 1, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_true(link_wants_add(&wants, blob, LIMIT_BLOB_BYTES, &err));
}

static void the_set_is_bounded(void **state)
{
    struct link_wants wants = {.count = 0};
    uint8_t blob[32];
    struct err err;

    (void)state;
    for (unsigned i = 0; i < LIMIT_MANIFEST_ITEMS; i++) {
        add(&wants, i);
    }
    name_blob(blob, LIMIT_MANIFEST_ITEMS);
    assert_false(link_wants_add(&wants, blob, 1, &err));
    assert_int_equal(err.code, ERR_FULL);
    add(&wants, 3); /* what is there already needs no room */
}

static void a_new_set_differs_in_what_came_and_went(void **state)
{
    struct link_wants old = {.count = 0}, new = {.count = 0};
    unsigned gone = 0, came = 0;

    (void)state;
    add(&old, 1);
    add(&old, 2);
    add(&old, 4);
    add(&new, 2);
    add(&new, 8);
    add(&new, 16);
    link_wants_diff(&old, &new, sum_up, &gone);
    link_wants_diff(&new, &old, sum_up, &came);
    assert_int_equal(gone, 1 + 4);
    assert_int_equal(came, 8 + 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blob_is_wanted_once),
        cmocka_unit_test(its_length_must_be_the_stated_one),
        cmocka_unit_test(the_set_is_bounded),
        cmocka_unit_test(a_new_set_differs_in_what_came_and_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
