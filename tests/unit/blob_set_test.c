/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/blob_set.h"

#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

/* Few heads, so that many share a home and searches run into each other. */
static void name_of(unsigned n, uint8_t sha256[32])
{
    memset(sha256, 0, 32);
    sha256[0] = (uint8_t)(n % 7);
    sha256[8] = (uint8_t)n;
    sha256[9] = (uint8_t)(n >> 8);
    sha256[31] = 1;
}

static void test_add_and_remove(void **state)
{
    enum { NAMES = 600 };
    struct blob_set set = {0};
    bool in[NAMES] = {false};
    uint8_t name[32];
    unsigned random = 1;
    size_t count = 0;
    (void)state;
    for (int step = 0; step < 6000; step++) {
        random = random * 1103515245U + 12345U;
        unsigned n = (random >> 8) % NAMES;
        name_of(n, name);
        count += in[n] ? (size_t)-1 : 1;
        in[n] = !in[n];
        if (in[n])
            assert_true(blob_set_add(&set, name, NULL));
        else
            blob_set_remove(&set, name);
        assert_int_equal(set.count, count);
    }
    for (unsigned n = 0; n < NAMES; n++) {
        name_of(n, name);
        assert_int_equal(blob_set_has(&set, name), in[n]);
    }
    size_t seen = 0;
    for (size_t at = 0; blob_set_next(&set, &at) != NULL;)
        seen++;
    assert_int_equal(seen, count);
    blob_set_done(&set);
}

static void test_nothing_has_no_name(void **state)
{
    struct blob_set set = {0};
    const uint8_t nothing[32] = {0};
    (void)state;
    assert_false(blob_set_has(&set, nothing));
    assert_true(blob_set_add(&set, nothing, NULL));
    assert_int_equal(set.count, 0);
    blob_set_remove(&set, nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_and_remove),
        cmocka_unit_test(test_nothing_has_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
