/* SPDX-License-Identifier: Apache-2.0 */
/* What a generation is held to: which results are its own, by what measure, beside which other. */
#include "agent/registrar.h"

#include "agent/registrar_internal.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define APPLY MUSTER__EVENT_KIND__EVENT_APPLY
#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"
#define BIN_3 "prefix\tissuer\n43\ttwo\n"
#define CODES_0 "code\tgroup\tmeaning\n"
#define CODES_1 CODES_0 "57\tsession\tnot allowed\n"
#define CODES_2 CODES_1 "55\tpolicy\twrong PIN\n"

#define BIN(text, of_version)                                                                      \
    {                                                                                              \
        .name = "bin.tsv", .content = text, .version = of_version, .mode = REPAIR,                 \
        .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE                                              \
    }
#define CODES(text, of_version)                                                                    \
    {                                                                                              \
        .name = "codes.tsv", .content = text, .version = of_version, .mode = REPAIR,               \
        .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE                                       \
    }

enum { RESULTS = 20, TIME_MS = 1000000 };

static const struct world_doc first[] = {BIN(BIN_1, 1), CODES(CODES_1, 1)};
static const struct world_doc second[] = {BIN(BIN_2, 2), CODES(CODES_1, 1)};
static const struct world_doc third[] = {BIN(BIN_3, 3), CODES(CODES_1, 1)};
static const struct world_doc other_codes[] = {BIN(BIN_1, 1), CODES(CODES_2, 2)};

static uint64_t seq;

static void reopen(struct world *world, uint8_t boot)
{
    world->settings.probation = (struct registrar_probation){
        .policy = {
            .results = RESULTS, .time_ms = TIME_MS, .welcome_ms = 600, .crashes = 3, .starts = 4}};
    memset(world->settings.probation.boot, boot, sizeof world->settings.probation.boot);
    world_reopen(world);
}

static struct world *begin(void **state)
{
    struct world *world = *state;
    seq = 0;
    reopen(world, 1);
    world_apply(world, 1, first, 2);
    return world;
}

static void result(struct world *world, enum suspect why, bool suspect_now)
{
    const struct registrar_result one = {.incarnation = 7,
                                         .seq = ++seq,
                                         .generation =
                                             registrar_generation_digest(world->registrar),
                                         .why = why,
                                         .suspect_now = suspect_now};
    registrar_result(world->registrar, &one);
}

static void results(struct world *world, unsigned count, enum suspect why)
{
    for (unsigned i = 0; i < count; i++)
        result(world, why, why != SUSPECT_NOT);
}

static const struct probation *probation(const struct world *world)
{
    return &world->registrar->trial.probation;
}

/* ---- which results ---- */

static void assert_made_with(const struct world *world, int64_t boot_ms, const uint8_t *claimed,
                             const uint8_t *digest)
{
    uint8_t found[8];
    bool known = registrar_in_force_at(world->registrar, boot_ms, claimed, found);
    assert_int_equal(known, digest != NULL);
    if (digest != NULL)
        assert_memory_equal(found, digest, sizeof found);
}

static void keep_digest(const struct world *world, uint8_t ret_digest[32])
{
    memcpy(ret_digest, registrar_generation_digest(world->registrar), 32);
}

static void test_a_sale_is_its_own_generations(void **state)
{
    struct world *world = begin(state);
    uint8_t one[32], two[32], three[32];
    const int64_t begun = world->wall_ms;
    keep_digest(world, one);
    world->wall_ms += 5000;
    world_apply(world, 2, second, 2);
    keep_digest(world, two);
    assert_made_with(world, begun + 4999, NULL, one);
    assert_made_with(world, begun + 5000, NULL, two);
    /* Which came late, from a sale that the switch has waited for. */
    assert_made_with(world, begun + 6000, one, one);
    assert_made_with(world, begun + 5000 + 10 * 60 * 1000, one, two);
    assert_made_with(world, begun + 6000, two, two);
    assert_made_with(world, begun + 6000, (const uint8_t *)"nonsense", two);
    /* The agent begins again: in this boot the same holds. */
    world->wall_ms += 5000;
    reopen(world, 1);
    assert_made_with(world, begun + 4999, NULL, one);
    assert_made_with(world, begun + 5000, NULL, two);
    world_apply(world, 3, third, 2);
    keep_digest(world, three);
    assert_made_with(world, begun + 10000, NULL, three);
    assert_made_with(world, begun + 9999, NULL, two);
    assert_made_with(world, begun + 4999, NULL, NULL); /* nobody knows that any more */
    assert_made_with(world, 0, NULL, NULL);            /* of an earlier boot */
    /* Of another boot nothing is known but that this one is in force since it began. */
    reopen(world, 2);
    assert_made_with(world, 1, two, three);
    assert_made_with(world, 0, two, NULL);
}

static void test_a_return_is_a_switch(void **state)
{
    struct world *world = begin(state);
    uint8_t one[32], two[32];
    keep_digest(world, one);
    world->wall_ms += 1000;
    world_apply(world, 2, second, 2);
    keep_digest(world, two);
    world->wall_ms += 1000;
    results(world, 4, SUSPECT_TABLE_MISS);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_made_with(world, world->wall_ms - 1, NULL, two);
    assert_made_with(world, world->wall_ms, NULL, one);
}

/* ---- by what measure ---- */

static void test_what_decided_is_said(void **state)
{
    struct world *world = begin(state);
    results(world, 100, SUSPECT_NOT);
    world_apply(world, 2, second, 2);
    result(world, SUSPECT_READER, true);
    result(world, SUSPECT_NO_COMMON_AID, true);
    reopen(world, 1); /* known as well */
    results(world, 2, SUSPECT_TABLE_MISS);
    result(world, SUSPECT_SESSION, true);
    world_check(world);
    assert_non_null(strstr(world_last(world, APPLY)->text,
                           "of 100 before: card not in the BIN table (2), no common AID (1), "
                           "card reader failed (1)"));
}

static void test_another_code_profile_is_held_to_the_old_one(void **state)
{
    struct world *world = begin(state);
    results(world, 100, SUSPECT_NOT);
    world_apply(world, 2, other_codes, 2);
    for (unsigned i = 0; i < RESULTS; i++) /* each second one was always there, and is named now */
        result(world, SUSPECT_NOT, i % 2 == 0);
    world_check(world);
    assert_non_null(strstr(world_last(world, APPLY)->text, "has proved itself"));
    /* From now on only that counts. */
    assert_int_equal(probation(world)->before.results, RESULTS);
    assert_int_equal(probation(world)->before.suspect, RESULTS / 2);
    /* And one that names nothing any more proves nothing by that. */
    static const struct world_doc nothing[] = {BIN(BIN_1, 1), CODES(CODES_0, 3)};
    world_apply(world, 3, nothing, 2);
    for (unsigned i = 0; i < RESULTS; i++)
        result(world, SUSPECT_POLICY, false);
    world_check(world);
    world_assert_document(world, "codes.tsv", CODES_2);
}

static void test_with_the_same_profile_all_is_known(void **state)
{
    struct world *world = begin(state);
    results(world, 100, SUSPECT_NOT);
    world_apply(world, 2, second, 2);
    results(world, RESULTS, SUSPECT_NOT);
    world_check(world);
    assert_int_equal(probation(world)->generation, 0);
    assert_int_equal(probation(world)->before.results, 100 + RESULTS);
}

static void read_failed(struct world *world, int64_t wall_ms)
{
    const struct registrar_result one = {.incarnation = 7,
                                         .seq = ++seq,
                                         .generation =
                                             registrar_generation_digest(world->registrar),
                                         .why = SUSPECT_READER,
                                         .suspect_now = true,
                                         .wall_ms = wall_ms};
    registrar_result(world->registrar, &one);
}

static void test_one_customers_broken_card(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, second, 2);
    read_failed(world, 1000000);
    reopen(world, 1);
    read_failed(world, 1030000);
    read_failed(world, 1060000);
    assert_int_equal(probation(world)->track.suspect, 1);
    read_failed(world, 1120000);
    assert_int_equal(probation(world)->track.suspect, 2);
}

/* ---- beside which other ---- */

static void put(const struct world *world, const char *name, const char *text)
{
    char path[256];
    world_path(world, name, path);
    assert_true(file_write(path, bytes_of(text, strlen(text)), 0600, NULL));
}

/* 1 is good, 2 was not proved, 3 is on probation. */
static struct world *begin_three(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, second, 2);
    world->wall_ms += TIME_MS;
    world_check(world);
    world_apply(world, 3, third, 2);
    world_close(world);
    return world;
}

static void test_the_record_is_lost_and_the_good_one_is_not(void **state)
{
    struct world *world = begin_three(state);
    put(world, "probation", "not a record\n");
    world_open(world);
    world_check(world);
    assert_true(world_has(world, "generations/00000001/bin.tsv"));
    assert_int_equal(probation(world)->good, 1);
    assert_int_equal(world->registrar->trial.manifest_version, 3);
    results(world, 4, SUSPECT_TABLE_MISS);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
}

static void test_the_list_of_the_good_one_is_lost(void **state)
{
    struct world *world = begin_three(state);
    put(world, "generations/00000001/.items", "not a list\n");
    world_open(world);
    world_check(world);
    results(world, 4, SUSPECT_TABLE_MISS);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
}

static void test_a_cut_return_leaves_no_number_behind(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, second, 2);
    world_close(world);
    struct registry *registry = NULL;
    struct registry_returns *returns = calloc(1, sizeof *returns);
    returns->count = 1;
    returns->returned[0] = (struct registry_returned){
        .generation = 2, .to = 3, .manifest_version = 2, .reason = "cut", .count = 1};
    struct registry_returned_item *item = &returns->returned[0].items[0];
    (void)snprintf(item->name, sizeof item->name, "bin.tsv");
    item->version = 2;
    sha256(bytes_of(BIN_2, strlen(BIN_2)), item->sha256);
    assert_true(registry_open(world->registry, world->floors, sha256, &registry, NULL));
    assert_true(registry_returns_write(registry, returns, NULL));
    registry_close(registry);
    free(returns);
    world_open(world);
    world_check(world);
    /* It is in force, and nothing is known against it. */
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_PROBATION);
    world_apply(world, 3, third, 2);
    reopen(world, 1);
    Muster__ApplyReport report;
    assert_true(trial_report(world->registrar, &report));
    assert_int_equal(report.generation, 3);
    assert_int_equal(report.step, MUSTER__APPLY_STEP__APPLY_SWITCHED);
    world_apply(world, 4, second, 2);
    world_assert_document(world, "bin.tsv", BIN_2);
}

/* ---- whatever else has failed ---- */

static bool is_good(const struct world *world)
{
    return probation(world)->generation == 0;
}

static void test_a_stall_of_something_else_does_not_hold_it_up(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, second, 2);
    world_hook(world, "#!/bin/sh\nexit 0\n", 10000);
    reopen(world, 1);
    assert_int_equal(unlink(world->hook), 0);
    world_apply(world, 3, third, 2);
    assert_true(world->registrar->stalled);
    results(world, 4, SUSPECT_TABLE_MISS);
    registrar_look(world->registrar);
    world_wait(world, is_good); /* and not with the next try of the other */
    world_assert_document(world, "bin.tsv", BIN_1);
}

static void test_a_full_disk_takes_what_has_only_come(void **state)
{
    struct world *world = begin(state);
    struct registrar *registrar = world->registrar;
    const uint8_t came[32] = {1};
    struct err full = {0};
    err_set(&full, ERR_FULL, "no room");
    have_add(registrar, came);
    return_broken(registrar, &full);
    assert_int_equal(registrar->yield, YIELD_WANTED);
    assert_false(registrar->stalled || registrar->trial.stalled);
    registrar->yield = YIELD_NOTHING;
    have_remove(registrar, came);
    return_broken(registrar, &full);
    assert_int_equal(registrar->yield, YIELD_NOTHING);
    assert_true(registrar->stalled && registrar->trial.stalled);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_sale_is_its_own_generations),
        TEST(test_a_return_is_a_switch),
        TEST(test_what_decided_is_said),
        TEST(test_another_code_profile_is_held_to_the_old_one),
        TEST(test_with_the_same_profile_all_is_known),
        TEST(test_one_customers_broken_card),
        TEST(test_the_record_is_lost_and_the_good_one_is_not),
        TEST(test_the_list_of_the_good_one_is_lost),
        TEST(test_a_cut_return_leaves_no_number_behind),
        TEST(test_a_stall_of_something_else_does_not_hold_it_up),
        TEST(test_a_full_disk_takes_what_has_only_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
