/* SPDX-License-Identifier: Apache-2.0 */
/* The last good generation comes back whole, in time, and with it goes only what was taken back. */
#include "agent/registrar.h"

#include "agent/registrar_internal.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define OBSERVE MUSTER__ASSIGN_MODE__MODE_OBSERVE
#define APPLY MUSTER__EVENT_KIND__EVENT_APPLY
#define APPLY_FAILED MUSTER__EVENT_KIND__EVENT_APPLY_FAILED

#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"
#define BIN_3 "prefix\tissuer\n43\ttwo\n"

#define BIN(text, of_version)                                                                      \
    {                                                                                              \
        .name = "bin.tsv", .content = text, .version = of_version, .mode = REPAIR,                 \
        .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE                                              \
    }
#define OWN(text, of_version)                                                                      \
    {                                                                                              \
        .name = "own", .content = text, .version = of_version, .mode = REPAIR                      \
    }

enum { STARTS = 3 };

static const struct world_doc first[] = {BIN(BIN_1, 1), OWN("one", 1)};
static const struct world_doc bad[] = {BIN(BIN_2, 2), OWN("one", 1)};

static uint64_t seq;

static void reopen(struct world *world, const char *after)
{
    world->settings.probation = (struct registrar_probation){
        .policy =
            {.results = 10, .time_ms = 1000000, .welcome_ms = 600, .crashes = 3, .starts = STARTS},
        .after_hook = after,
    };
    world_reopen(world);
}

/* The first is in force and good. */
static struct world *begin(void **state)
{
    struct world *world = *state;
    seq = 0;
    reopen(world, NULL);
    world_apply(world, 1, first, 2);
    return world;
}

static void bad_results(struct world *world)
{
    for (unsigned i = 0; i < 4; i++) {
        const struct registrar_result result = {.incarnation = 7,
                                                .seq = ++seq,
                                                .generation =
                                                    registrar_generation_digest(world->registrar),
                                                .why = SUSPECT_TABLE_MISS,
                                                .suspect_now = true};
        registrar_result(world->registrar, &result);
    }
}

static unsigned switches_before;

static bool is_switched(const struct world *world)
{
    return world->switches > switches_before;
}

/* As soon as it has gone back: the check that follows is not waited for. */
static void fail_and_switch(struct world *world)
{
    switches_before = world->switches;
    bad_results(world);
    world_wait(world, is_switched);
}

static void remove_of(const struct world *world, const char *name)
{
    char path[256];
    world_path(world, name, path);
    assert_true(file_remove_tree(path, NULL));
}

static uint64_t generation(const struct world *world)
{
    struct world_state now;
    world_state(world, &now);
    return now.generation;
}

static bool converged(const struct world *world)
{
    struct world_state now;
    world_state(world, &now);
    return now.converged;
}

/* ---- whole ---- */

static void test_what_is_gone_from_the_good_one_is_made_again(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad, 2);
    remove_of(world, "generations/00000001/bin.tsv");
    fail_and_switch(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_assert_document(world, "own", "one");
    world_check(world);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_RETURNED);
    reopen(world, NULL);
    world_assert_document(world, "bin.tsv", BIN_1);
}

static void test_nothing_is_left_of_the_good_one(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad, 2);
    remove_of(world, "generations/00000001");
    fail_and_switch(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_assert_document(world, "own", "one");
    reopen(world, NULL);
    world_assert_document(world, "bin.tsv", BIN_1);
}

static bool was_told(const struct world *world)
{
    return world_events(world, APPLY, NULL) > 0;
}

static void test_what_cannot_be_whole_does_not_come_back(void **state)
{
    struct world *world = begin(state);
    char blobs[256];
    world_apply(world, 2, bad, 2);
    world_damage(world, "generations/00000001/bin.tsv");
    world->broker_up = false;
    world_path(world, "blobs", blobs);
    remove_of(world, "blobs");
    assert_true(file_make_dir(blobs, 0700, NULL));
    bad_results(world);
    world_wait(world, was_told);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(generation(world), 2);
    assert_non_null(strstr(world_last(world, APPLY)->text,
                           "stays though it should go back: bin.tsv of generation 1 is damaged"));
}

static void test_damage_that_was_shared(void **state)
{
    static const struct world_doc third[] = {BIN(BIN_3, 3), OWN("one", 1)};
    struct world *world = begin(state);
    world_apply(world, 2, bad, 2);
    world_apply(world, 3, third, 2);
    world_damage(world, "current/own");
    world_check(world);
    world_assert_document(world, "own", "one");
    fail_and_switch(world);
    world_assert_document(world, "own", "one");
    world_assert_document(world, "bin.tsv", BIN_1);
}

/* It was whole when it began to wait for a sale. */
static void test_damage_while_it_waits(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad, 2);
    world->lease = (struct gate_lease){.known = true, .transaction = true};
    bad_results(world);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    remove_of(world, "generations/00000001/bin.tsv");
    world->wall_ms += 3600 * 1000 / 10;
    world->lease.transaction = false;
    switches_before = world->switches;
    registrar_look(world->registrar);
    world_wait(world, is_switched);
    world_assert_document(world, "bin.tsv", BIN_1);
}

/* ---- in time ---- */

static void test_the_hooks_no_outlives_the_agent(void **state)
{
    struct world *world = begin(state);
    char after[96];
    static const char script[] = "#!/bin/sh\ngrep -q 43 bin.tsv || exit 0\nexit 1\n";
    (void)snprintf(after, sizeof after, "%s/after", world->dir);
    assert_true(file_write(after, bytes_of(script, sizeof script - 1), 0700, NULL));
    world->settings.hook_limit_ms = 10000;
    world->lease = (struct gate_lease){.known = true};
    reopen(world, after);
    world_apply(world, 1, first, 2);
    switches_before = world->switches;
    struct err err = {0};
    assert_true(world_push(world, 2, bad, 2, &err));
    world_wait(world, is_switched);
    world->lease.transaction = true;
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    reopen(world, after);
    world_assert_document(world, "bin.tsv", BIN_2);
    world->lease.transaction = false;
    registrar_look(world->registrar);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_last(world, APPLY)->refusal, MUSTER__REFUSAL__REFUSAL_PROBATION_HOOK);
}

static void keep_running(struct world *world)
{
    char path[256];
    struct buf running = {0};
    world_path(world, "probation", path);
    assert_true(file_read(path, 65536, &running, NULL));
    world_close(world);
    assert_true(file_write(path, buf_bytes(&running), 0600, NULL));
    buf_done(&running);
}

/* A lease that is restored at each start, and an application that nobody has heard of since. */
static void test_who_falls_over_does_not_wait(void **state)
{
    struct world *world = begin(state);
    world->settings.gate.policy = (struct gate_policy){.alone_ms = 600000, .patience_ms = 43200000};
    world->lease = (struct gate_lease){.known = true};
    reopen(world, NULL);
    world_apply(world, 2, bad, 2);
    world->lease.transaction = true;
    for (unsigned i = 0; i < STARTS; i++) {
        world_assert_document(world, "bin.tsv", BIN_2);
        keep_running(world); /* as it was: that it runs is kept at the start, not later */
        world->wall_ms += 60000;
        world_open(world);
    }
    world_assert_document(world, "bin.tsv", BIN_1); /* before it does anything else */
    world_check(world);
    assert_int_equal(generation(world), 1);
    assert_int_equal(world_events(world, APPLY, NULL), 1);
    assert_non_null(strstr(world_last(world, APPLY)->text, "ended out of order 3 times"));
}

static void test_a_return_is_told_once_over_restarts(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad, 2);
    for (unsigned i = 0; i < STARTS; i++) {
        world->quiet = true;
        keep_running(world);
        world_open(world);
    }
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_events(world, APPLY, NULL), 0);
    keep_running(world);
    world->quiet = false;
    world_open(world);
    world_check(world);
    assert_int_equal(world_events(world, APPLY, NULL), 1);
    reopen(world, NULL);
    assert_int_equal(world_events(world, APPLY, NULL), 1);
}

/* ---- only that ---- */

static void test_one_table_does_not_hold_up_the_rest(void **state)
{
    static const struct world_doc more[] = {BIN(BIN_2, 2), OWN("two", 2)};
    struct world *world = begin(state);
    world_apply(world, 2, bad, 2);
    bad_results(world);
    world_check(world);
    unsigned fetches = world->fetches;
    world_apply(world, 3, more, 2);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_assert_document(world, "own", "two");
    assert_int_equal(world->fetches, fetches + 1);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_RETURNED);
    assert_int_equal(world_item(world, "own"), MUSTER__ITEM_STATE__ITEM_PROBATION);
    assert_false(converged(world));
    assert_int_equal(world_events(world, APPLY_FAILED, NULL), 1);
    assert_int_equal(world_last(world, APPLY_FAILED)->refusal,
                     MUSTER__REFUSAL__REFUSAL_GENERATION_AGAIN);
    assert_non_null(strstr(world_last(world, APPLY_FAILED)->text, "bin.tsv"));
    reopen(world, NULL);
    assert_int_equal(world_events(world, APPLY_FAILED, NULL), 1);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_RETURNED);
    /* What is held is kept as it is. */
    world_damage(world, "current/bin.tsv");
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
}

static void test_nobody_knows_which_of_two_was_bad(void **state)
{
    static const struct world_doc both[] = {BIN(BIN_2, 2), OWN("two", 2)};
    static const struct world_doc mended[] = {BIN(BIN_3, 3), OWN("two", 2)};
    struct world *world = begin(state);
    world_apply(world, 2, both, 2);
    bad_results(world);
    world_check(world);
    world_apply(world, 3, both, 2);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_assert_document(world, "own", "one");
    world_apply(world, 4, mended, 2);
    world_assert_document(world, "bin.tsv", BIN_3);
    world_assert_document(world, "own", "two");
}

static void test_what_was_there_each_time_is_held(void **state)
{
    static const struct world_doc tries[][2] = {{BIN(BIN_2, 2), OWN("two", 2)},
                                                {BIN(BIN_2, 2), OWN("three", 3)},
                                                {BIN(BIN_2, 2), OWN("four", 4)}};
    struct world *world = begin(state);
    for (unsigned i = 0; i < 2; i++) {
        world_apply(world, 2 + i, tries[i], 2);
        world_assert_document(world, "bin.tsv", BIN_2);
        bad_results(world);
        world_check(world);
        world_assert_document(world, "bin.tsv", BIN_1);
        world_assert_document(world, "own", "one");
    }
    world_apply(world, 4, tries[2], 2);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_assert_document(world, "own", "four");
}

static void test_another_number_does_not_make_it_another(void **state)
{
    static const struct world_doc again[] = {BIN(BIN_2, 3), OWN("one", 2)};
    struct world *world = begin(state);
    world_apply(world, 2, bad, 2);
    bad_results(world);
    world_check(world);
    world_apply(world, 3, again, 2);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_RETURNED);
}

static void test_what_was_missed_does_not_go_again(void **state)
{
    static const struct world_doc fewer[] = {OWN("one", 1)};
    static const struct world_doc fewer_still[] = {OWN("two", 2)};
    struct world *world = begin(state);
    world_apply(world, 2, fewer, 1);
    world_assert_document(world, "bin.tsv", NULL);
    bad_results(world);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_apply(world, 3, fewer_still, 1);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_assert_document(world, "own", "two");
}

static void test_an_owner_keeps_what_he_made_of_it(void **state)
{
    static const struct world_doc observed[] = {
        BIN(BIN_2, 2), {.name = "own", .content = "one", .version = 1, .mode = OBSERVE}};
    struct world *world = begin(state);
    char path[256];
    world_apply(world, 2, observed, 2);
    world_path(world, "generations/00000002/own", path);
    assert_true(file_write(path, bytes_of("owner", 5), 0644, NULL));
    bad_results(world);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_assert_document(world, "own", "owner");
}

/* ---- a new epoch ---- */

static void test_what_an_epoch_has_put_out_stays_out(void **state)
{
    static const struct world_doc then[] = {BIN(BIN_1, 1), OWN("signed by a thief", 1)};
    static const struct world_doc now[] = {
        BIN(BIN_2, 2), {.name = "more", .content = "new", .version = 1, .mode = REPAIR}};
    struct world *world = *state;
    seq = 0;
    reopen(world, NULL);
    world_apply(world, 1, then, 2);
    world_root_next(world, 2);
    world->epoch = 2;
    world_apply(world, 2, now, 2);
    fail_and_switch(world);
    world_assert_document(world, "more", NULL); /* it came with what failed */
    world_assert_document(world, "bin.tsv", BIN_2);
    world_assert_document(world, "own", NULL);
}

static const struct world_doc final_beside[] = {
    BIN(BIN_2, 2), {.name = "own", .content = "two", .version = 2, .mode = REPAIR, .final = true}};

static void test_the_hook_looks_at_a_mix(void **state)
{
    struct world *world = begin(state);
    world_hook(world, "#!/bin/sh\ngrep -q two own && ! grep -q 43 bin.tsv && exit 1\nexit 0\n",
               10000);
    reopen(world, NULL);
    world_apply(world, 2, final_beside, 2);
    world_assert_document(world, "own", "two");
    bad_results(world);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_non_null(strstr(world_last(world, APPLY)->text, "stays though it should go back"));
    assert_non_null(strstr(world_last(world, APPLY)->text, "the hook said no"));
}

static void test_a_mix_that_the_hook_likes_comes_back(void **state)
{
    struct world *world = begin(state);
    world_hook(world, "#!/bin/sh\nexit 0\n", 10000);
    reopen(world, NULL);
    world_apply(world, 2, final_beside, 2);
    bad_results(world);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_assert_document(world, "own", "two");
}

static void test_a_waiting_return_says_why(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad, 2);
    world->lease = (struct gate_lease){.known = true, .transaction = true};
    bad_results(world);
    world_check(world);
    Muster__ApplyReport report;
    struct gate_answer answer;
    gate_report(world->registrar, &answer, &report);
    assert_int_equal(report.good_generation, 1);
    assert_int_equal(report.refusal, MUSTER__REFUSAL__REFUSAL_PROBATION_RESULTS);
    assert_non_null(strstr(report.why, "4 of 4 results with it were suspect"));
    struct err err = {0};
    assert_true(registrar_decide(world->registrar, NULL, "root", &err));
    world_check(world); /* which looks at it anew, and does not forget who has decided */
    world_assert_document(world, "bin.tsv", BIN_1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_gone_from_the_good_one_is_made_again),
        TEST(test_nothing_is_left_of_the_good_one),
        TEST(test_what_cannot_be_whole_does_not_come_back),
        TEST(test_damage_that_was_shared),
        TEST(test_damage_while_it_waits),
        TEST(test_the_hooks_no_outlives_the_agent),
        TEST(test_who_falls_over_does_not_wait),
        TEST(test_a_return_is_told_once_over_restarts),
        TEST(test_one_table_does_not_hold_up_the_rest),
        TEST(test_nobody_knows_which_of_two_was_bad),
        TEST(test_what_was_there_each_time_is_held),
        TEST(test_another_number_does_not_make_it_another),
        TEST(test_what_was_missed_does_not_go_again),
        TEST(test_an_owner_keeps_what_he_made_of_it),
        TEST(test_what_an_epoch_has_put_out_stays_out),
        TEST(test_the_hook_looks_at_a_mix),
        TEST(test_a_mix_that_the_hook_likes_comes_back),
        TEST(test_a_waiting_return_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
