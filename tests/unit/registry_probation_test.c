/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registry_probation.h"

#include "base/file.h"
#include "proto/seal.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    char dir[64];
    struct registry *registry;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(place->dir, sizeof place->dir, "%s/registry_probation.XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    *state = place;
    return mkdtemp(place->dir) != NULL &&
                   registry_open(place->dir, "/nowhere", sha256, &place->registry, NULL)
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    registry_close(place->registry);
    bool removed = file_remove_tree(place->dir, NULL);
    free(place);
    return removed ? 0 : -1;
}

static const struct registry_probation whole = {.present = true,
                                                .generation = 5,
                                                .good = 3,
                                                .highest = 6,
                                                .manifest = 44,
                                                .unproved = true,
                                                .connection = true,
                                                .welcomed = true,
                                                .after_due = true,
                                                .running = true,
                                                .boot = {1, 2, 3},
                                                .results = 9,
                                                .suspect = 4,
                                                .before_results = 100,
                                                .before_suspect = 2,
                                                .crashes = 1,
                                                .starts = 2,
                                                .spent_ms = 86400000,
                                                .incarnation = UINT64_MAX,
                                                .seq = 17,
                                                .tokens = 2,
                                                .token = {{1}, {2, 3}},
                                                .stays = true,
                                                .suspect_now = 5,
                                                .waited_ms = 600000,
                                                .reader_ms = 1767225600000,
                                                .groups = {0, 3, 1},
                                                .watched_ms = 7,
                                                .since_ms = 80,
                                                .before_since_ms = 70,
                                                .has_before = true,
                                                .before = {9, 8, 7}};

static void test_probation(void **state)
{
    const struct place *place = *state;
    struct registry_probation back = {.present = true};
    assert_true(registry_probation_read(place->registry, &back, NULL));
    assert_false(back.present);
    assert_true(registry_probation_write(place->registry, &whole, NULL));
    assert_true(registry_probation_read(place->registry, &back, NULL));
    assert_memory_equal(&back, &whole, sizeof back);
    /* A ring of tokens that has gone round. */
    struct registry_probation many = whole;
    many.tokens = 100;
    memset(many.token, 7, sizeof many.token);
    assert_true(registry_probation_write(place->registry, &many, NULL));
    assert_true(registry_probation_read(place->registry, &back, NULL));
    assert_memory_equal(&back, &many, sizeof back);
}

/* What an agent wrote that knew less. */
static void test_an_older_record(void **state)
{
    const struct place *place = *state;
    struct registry_probation back;
    struct buf sheet = {0};
    char path[256], sum[80] = "sum ";
    uint8_t digest[32];
    static const char text[] = "muster-probation\t5\t3\t6\t44\t17\t"
                               "01020300000000000000000000000000\n"
                               "9\t4\t100\t2\t1\t2\t86400000\t7\t17\t1\n0100000000000000\n";
    sha256(bytes_of(text, sizeof text - 1), digest);
    hex_encode(digest, sizeof digest, sum + 4);
    (void)snprintf(sum + 68, sizeof sum - 68, "\n");
    assert_true(buf_append(&sheet, text, sizeof text - 1, NULL));
    assert_true(buf_append(&sheet, sum, 69, NULL));
    assert_true(path_join(path, sizeof path, place->dir, "probation", NULL));
    assert_true(file_write(path, buf_bytes(&sheet), 0600, NULL));
    buf_done(&sheet);
    assert_true(registry_probation_read(place->registry, &back, NULL));
    assert_true(back.present && back.unproved && back.running && !back.stays);
    assert_int_equal(back.suspect, 4);
    assert_int_equal(back.suspect_now + back.waited_ms + back.since_ms, 0);
}

static void test_damage_is_noticed(void **state)
{
    const struct place *place = *state;
    struct registry_probation back;
    struct registry_probation wrong = whole;
    struct err err = {0};
    char path[256];
    wrong.suspect = wrong.results + 1; /* nobody writes that */
    assert_true(registry_probation_write(place->registry, &wrong, NULL));
    assert_false(registry_probation_read(place->registry, &back, &err));
    assert_int_equal(err.code, ERR_INVALID);
    wrong = whole;
    wrong.suspect_now = wrong.results + 1;
    assert_true(registry_probation_write(place->registry, &wrong, NULL));
    assert_false(registry_probation_read(place->registry, &back, &err));
    wrong = whole;
    wrong.groups[3] = (uint64_t)UINT32_MAX + 1;
    assert_true(registry_probation_write(place->registry, &wrong, NULL));
    assert_false(registry_probation_read(place->registry, &back, &err));
    assert_true(path_join(path, sizeof path, place->dir, "probation", NULL));
    assert_true(file_write(path, bytes_of("muster-probation\t", 17), 0600, NULL));
    assert_false(registry_probation_read(place->registry, &back, &err));
    struct registry_returns *returns = calloc(1, sizeof *returns);
    assert_true(path_join(path, sizeof path, place->dir, "returned", NULL));
    assert_true(file_write(path, bytes_of("x", 1), 0600, NULL));
    returns->count = 3;
    assert_false(registry_returns_read(place->registry, returns, &err));
    assert_int_equal(returns->count, 0);
    free(returns);
}

static void test_returns(void **state)
{
    const struct place *place = *state;
    struct registry_returns *kept = calloc(1, sizeof *kept), *back = calloc(1, sizeof *back);
    assert_true(registry_returns_read(place->registry, back, NULL));
    assert_int_equal(back->count, 0);
    kept->count = REGISTRY_RETURNED;
    for (size_t i = 0; i < kept->count; i++) {
        struct registry_returned *one = &kept->returned[i];
        *one = (struct registry_returned){.generation = 2 + i,
                                          .to = 1,
                                          .manifest_version = 70 + i,
                                          .results = 7,
                                          .suspect = 4,
                                          .before_results = 100,
                                          .before_suspect = 1,
                                          .refusal = 90,
                                          .watched = i == 2,
                                          .again = i == 3,
                                          .faults = i,
                                          .silences = i == 0 ? 0 : 7,
                                          .count = i == 1 ? 0 : REGISTRY_ITEMS};
        memset(one->reason, 'w', sizeof one->reason - 1);
        for (size_t n = 0; n < one->count; n++) {
            (void)snprintf(one->items[n].name, sizeof one->items[n].name, "item-%03zu", n);
            one->items[n].version = n;
            memset(one->items[n].sha256, (int)n, 32);
        }
    }
    assert_true(registry_returns_write(place->registry, kept, NULL));
    assert_true(registry_returns_read(place->registry, back, NULL));
    assert_memory_equal(back, kept, sizeof *back);
    free(kept);
    free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_probation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_older_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_returns, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
