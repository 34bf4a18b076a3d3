/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar.h"

#include "agent/registrar_internal.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define TABLE MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE
#define PARAMS MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS
#define CONNECTION MUSTER__DOCUMENT_KIND__DOCUMENT_CONNECTION
#define APPLY MUSTER__EVENT_KIND__EVENT_APPLY
#define APPLY_FAILED MUSTER__EVENT_KIND__EVENT_APPLY_FAILED

#define AID "aid\tscheme\nA0\t1\n"
#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"
#define BIN_3 "prefix\tissuer\n43\ttwo\n"
#define PARAMS_1 "[terminal]\ntid = 1\n"
#define PARAMS_2 "[terminal]\ntid = 2\n"
#define APN_1 "[link]\napn = one\n"

#define DOC(doc, text, of_version, of_kind)                                                        \
    {                                                                                              \
        .name = doc, .content = text, .version = of_version, .mode = REPAIR, .kind = of_kind       \
    }

enum { RESULTS = 20, TIME_MS = 86400, WELCOME_MS = 600, CRASHES = 3, STARTS = 4 };

static const struct world_doc first[] = {
    DOC("aid.tsv", AID, 1, TABLE), DOC("bin.tsv", BIN_1, 1, TABLE),
    DOC("link", APN_1, 1, CONNECTION), DOC("params", PARAMS_1, 1, PARAMS)};
static const struct world_doc bad_table[] = {
    DOC("aid.tsv", AID, 1, TABLE), DOC("bin.tsv", BIN_2, 2, TABLE),
    DOC("link", APN_1, 1, CONNECTION), DOC("params", PARAMS_1, 1, PARAMS)};
static const struct world_doc other_table[] = {
    DOC("aid.tsv", AID, 1, TABLE), DOC("bin.tsv", BIN_3, 3, TABLE),
    DOC("link", APN_1, 1, CONNECTION), DOC("params", PARAMS_1, 1, PARAMS)};

enum { ALL = 4 };

static uint64_t seq; /* of the newest result */

static void results(struct world *world, unsigned good, unsigned suspect)
{
    for (unsigned i = 0; i < good + suspect; i++) {
        const struct registrar_result result = {.incarnation = 7,
                                                .seq = ++seq,
                                                .generation =
                                                    registrar_generation_digest(world->registrar),
                                                .why = i >= good ? SUSPECT_TABLE_MISS : SUSPECT_NOT,
                                                .suspect_now = i >= good};
        registrar_result(world->registrar, &result);
    }
}

static void reopen(struct world *world, uint8_t boot)
{
    world->settings.probation.policy = (struct probation_policy){.results = RESULTS,
                                                                 .time_ms = TIME_MS,
                                                                 .welcome_ms = WELCOME_MS,
                                                                 .crashes = CRASHES,
                                                                 .starts = STARTS};
    memset(world->settings.probation.boot, boot, sizeof world->settings.probation.boot);
    world_reopen(world);
}

/* The first is in force, is good, and is known by its results. */
static struct world *begin(void **state)
{
    struct world *world = *state;
    seq = 0;
    reopen(world, 1);
    world_apply(world, 1, first, ALL);
    results(world, 99, 1);
    world_check(world);
    return world;
}

static Muster__ApplyReport report_of(const struct world *world)
{
    Muster__ApplyReport report;
    if (!trial_report(world->registrar, &report))
        report.step = MUSTER__APPLY_STEP__APPLY_NONE;
    return report;
}

static void keep_file(const struct world *world, const char *name, struct buf *ret_content)
{
    char path[256];
    struct err err = {0};
    world_path(world, name, path);
    if (!file_read(path, 65536, ret_content, &err))
        fail_msg("%s", err.text);
}

static void put_back(const struct world *world, const char *name, struct buf *content)
{
    char path[256];
    world_path(world, name, path);
    assert_true(file_write(path, buf_bytes(content), 0600, NULL));
    buf_done(content);
}

static void assert_returned(struct world *world, Muster__Refusal refusal)
{
    Muster__ApplyReport report = report_of(world);
    assert_int_equal(report.step, MUSTER__APPLY_STEP__APPLY_RETURNED);
    assert_int_equal(report.refusal, refusal);
    assert_int_equal(world_last(world, APPLY)->refusal, refusal);
    assert_non_null(strstr(world_last(world, APPLY)->text, "was taken back"));
}

static void test_a_bad_table_goes_back_and_says_why(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad_table, ALL);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_PROBATION);
    assert_int_equal(world_item(world, "aid.tsv"), MUSTER__ITEM_STATE__ITEM_OK);
    struct world_state now;
    world_state(world, &now);
    assert_true(now.converged);
    results(world, 3, 4);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_assert_document(world, "aid.tsv", AID);
    assert_returned(world, MUSTER__REFUSAL__REFUSAL_PROBATION_RESULTS);
    assert_non_null(strstr(world_last(world, APPLY)->text,
                           "4 of 7 results with it were suspect, 1 of 100 before: card not in the "
                           "BIN table (4)"));
    assert_int_equal(world_events(world, APPLY, NULL), 1);
    world_state(world, &now);
    assert_int_equal(now.generation, 1);
    assert_false(now.converged);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_RETURNED);
    /* The same over restarts. */
    reopen(world, 1);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_RETURNED);
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_RETURNED);
    assert_int_equal(world_events(world, APPLY, NULL), 1);
}

static void test_what_failed_is_not_tried_again(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad_table, ALL);
    results(world, 0, 4);
    world_check(world);
    unsigned fetches = world->fetches;
    world_apply(world, 3, bad_table, ALL);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_last(world, APPLY_FAILED)->refusal,
                     MUSTER__REFUSAL__REFUSAL_GENERATION_AGAIN);
    assert_int_equal(world_events(world, APPLY_FAILED, NULL), 1);
    reopen(world, 1);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_events(world, APPLY_FAILED, NULL), 1);
    assert_int_equal(world->fetches, fetches);
    /* Other content is, at once. */
    world_apply(world, 5, other_table, ALL);
    world_assert_document(world, "bin.tsv", BIN_3);
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_SWITCHED);
}

static void test_a_person_has_it_tried_again(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad_table, ALL);
    results(world, 0, 4);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    registrar_forget_returned(world->registrar);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    results(world, 1, 0);
    reopen(world, 1);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(report_of(world).results, 1);
}

static void test_enough_results_prove_it(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad_table, ALL);
    results(world, RESULTS - 1, 0);
    world_check(world);
    assert_int_equal(report_of(world).results, RESULTS - 1);
    assert_int_equal(world_events(world, APPLY, NULL), 0);
    results(world, 1, 0);
    world_check(world);
    assert_int_equal(world_events(world, APPLY, NULL), 1);
    assert_non_null(strstr(world_last(world, APPLY)->text, "has proved itself"));
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_NONE);
    /* It is good: what comes later goes back to it, and is held to what it has shown. */
    world_apply(world, 3, other_table, ALL);
    assert_int_equal(report_of(world).before_results, 100 + RESULTS);
    results(world, 0, 4);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(world_events(world, APPLY, NULL), 2);
}

static void test_without_results_it_stays_unproved(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad_table, ALL);
    world->wall_ms += TIME_MS - 1;
    world_check(world);
    assert_int_equal(world_events(world, APPLY, NULL), 0);
    reopen(world, 1); /* the time that is spent goes on */
    world->wall_ms += 1;
    world_check(world);
    assert_int_equal(world_events(world, APPLY, NULL), 1);
    assert_non_null(strstr(world_last(world, APPLY)->text, "stays unproved"));
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_UNPROVED);
    /* The one before stays the good one, over the next too. */
    world_apply(world, 3, other_table, ALL);
    assert_true(world_has(world, "generations/00000001/bin.tsv"));
    results(world, 0, 4);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_returned(world, MUSTER__REFUSAL__REFUSAL_PROBATION_RESULTS);
}

static struct world *begin_unproved(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad_table, ALL);
    world->wall_ms += TIME_MS;
    world_check(world);
    assert_int_equal(world_events(world, APPLY, NULL), 1);
    reopen(world, 1);
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_UNPROVED);
    return world;
}

static void test_an_unproved_one_can_be_proved_late(void **state)
{
    struct world *world = begin_unproved(state);
    results(world, RESULTS, 0);
    world_check(world);
    assert_int_equal(world_events(world, APPLY, NULL), 2);
    assert_non_null(strstr(world_last(world, APPLY)->text, "has proved itself"));
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_NONE);
    world_assert_document(world, "bin.tsv", BIN_2);
}

static void test_an_unproved_one_can_go_back_late(void **state)
{
    struct world *world = begin_unproved(state);
    for (unsigned i = 0; i < 2 * CRASHES; i++)
        registrar_crashed(world->registrar); /* after so long it says nothing of the content */
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    results(world, 0, 4);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_returned(world, MUSTER__REFUSAL__REFUSAL_PROBATION_RESULTS);
}

/* Too many to be chance, too few to be sure: nobody calls it proved, and the good one is kept. */
static void test_what_is_somewhat_worse_is_not_proved(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad_table, ALL);
    results(world, RESULTS, 3);
    world_check(world);
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_SWITCHED);
    assert_true(world_has(world, "generations/00000001/bin.tsv"));
    world->wall_ms += TIME_MS;
    world_check(world);
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_UNPROVED);
    assert_true(world_has(world, "generations/00000001/bin.tsv"));
}

static void test_each_result_counts_once(void **state)
{
    struct world *world = begin(state);
    struct buf behind = {0};
    uint64_t incarnation = 0, counted = 0;
    world_apply(world, 2, bad_table, ALL);
    results(world, 5, 1);
    world_check(world);
    keep_file(world, "probation", &behind);
    results(world, 2, 1);
    seq -= 3; /* given again */
    results(world, 0, 3);
    assert_int_equal(report_of(world).results, 9);
    assert_int_equal(report_of(world).suspect, 2);
    reopen(world, 1);
    assert_int_equal(report_of(world).results, 9);
    assert_true(registrar_counted(world->registrar, &incarnation, &counted));
    assert_int_equal(incarnation, 7);
    assert_int_equal(counted, seq);
    /* The power went before it was kept: the rest is counted again, from where it says. */
    world_close(world);
    put_back(world, "probation", &behind);
    world_open(world);
    world_check(world);
    assert_true(registrar_counted(world->registrar, &incarnation, &counted));
    assert_int_equal(report_of(world).results, 6);
    assert_int_equal(counted, seq - 3);
    const struct registrar_result again = {.generation =
                                               registrar_generation_digest(world->registrar),
                                           .why = SUSPECT_TABLE_MISS,
                                           .suspect_now = true};
    registrar_recount(world->registrar, &again);
    registrar_count_from(world->registrar, 8);
    assert_int_equal(report_of(world).suspect, 2);
    reopen(world, 1);
    assert_true(registrar_counted(world->registrar, &incarnation, &counted));
    assert_int_equal(incarnation, 8);
    assert_int_equal(counted, 0);
    assert_int_equal(report_of(world).results, 7);
}

static void test_the_application_falls_over(void **state)
{
    struct world *world = begin(state);
    registrar_crashed(world->registrar); /* with a good one it says nothing */
    world_apply(world, 2, bad_table, ALL);
    for (unsigned i = 0; i < CRASHES - 1; i++)
        registrar_crashed(world->registrar);
    reopen(world, 1);
    world_assert_document(world, "bin.tsv", BIN_2);
    registrar_crashed(world->registrar);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_returned(world, MUSTER__REFUSAL__REFUSAL_PROBATION_CRASH);
}

/* The agent ends without order: what is kept says that it runs. */
static void crash(struct world *world, uint8_t boot)
{
    struct buf running = {0};
    world_check(world);
    keep_file(world, "probation", &running);
    world_close(world);
    put_back(world, "probation", &running);
    world_open(world);
    reopen(world, boot);
}

static void test_the_agent_falls_over(void **state)
{
    struct world *world = begin(state);
    struct buf running = {0};
    world_apply(world, 2, bad_table, ALL);
    for (unsigned i = 0; i < 2 * STARTS; i++)
        reopen(world, 1);                       /* in order */
    for (unsigned i = 0; i < 2 * STARTS; i++) { /* the plug is pulled */
        world_check(world);
        keep_file(world, "probation", &running);
        world_close(world);
        put_back(world, "probation", &running);
        memset(world->settings.probation.boot, (int)(10 + i),
               sizeof world->settings.probation.boot);
        world_open(world);
    }
    world_check(world);
    assert_int_equal(world->registrar->trial.probation.starts, 0);
    for (unsigned i = 0; i < STARTS; i++) {
        world_assert_document(world, "bin.tsv", BIN_2);
        crash(world, 10 + 2 * STARTS - 1);
    }
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_returned(world, MUSTER__REFUSAL__REFUSAL_PROBATION_CRASH);
}

static void test_what_cannot_go_back_stays(void **state)
{
    static const struct world_doc both[] = {
        DOC("aid.tsv", AID, 1, TABLE),
        DOC("bin.tsv", BIN_2, 2, TABLE),
        DOC("link", APN_1, 1, CONNECTION),
        {.name = "params",
         .content = PARAMS_2,
         .version = 2,
         .mode = REPAIR,
         .kind = PARAMS,
         .final = true},
        {.name = "zone", .content = "north", .version = 1, .mode = REPAIR, .final = true}};
    struct world *world = begin(state);
    world_apply(world, 2, both, ALL + 1);
    world_assert_document(world, "params", PARAMS_2);
    results(world, 0, 4);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    world_assert_document(world, "params", PARAMS_2);
    world_assert_document(world, "aid.tsv", AID);
    world_assert_document(world, "zone", "north"); /* nor does it go away */
    assert_returned(world, MUSTER__REFUSAL__REFUSAL_PROBATION_RESULTS);
    struct world_state now;
    world_state(world, &now);
    assert_int_equal(now.generation, 3);
    assert_int_equal(world_item(world, "params"), MUSTER__ITEM_STATE__ITEM_OK);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_RETURNED);
    reopen(world, 1);
    world_assert_document(world, "params", PARAMS_2);
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_RETURNED);
}

static void test_below_a_floor_nothing_comes_back(void **state)
{
    static const struct world_doc raised[] = {DOC("aid.tsv", AID, 1, TABLE),
                                              {.name = "bin.tsv",
                                               .content = BIN_2,
                                               .version = 2,
                                               .minimum = 2,
                                               .mode = REPAIR,
                                               .kind = TABLE},
                                              DOC("link", APN_1, 1, CONNECTION),
                                              DOC("params", PARAMS_1, 1, PARAMS)};
    struct world *world = begin(state);
    world_apply(world, 2, raised, ALL);
    results(world, 0, 4);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_UNPROVED);
    assert_non_null(strstr(world_last(world, APPLY)->text, "nothing in it can"));
    size_t told = world_events(world, APPLY, NULL);
    results(world, 0, 4); /* it is told once */
    reopen(world, 1);
    assert_int_equal(world_events(world, APPLY, NULL), told);
}

static void test_the_return_waits_for_a_sale(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad_table, ALL);
    world->lease = (struct gate_lease){.known = true, .transaction = true, .batch = true};
    results(world, 0, 4);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    char said[160];
    assert_true(registrar_waits(world->registrar, said, sizeof said));
    assert_string_equal(said, "the return to generation 1 waits for the open transaction");
    /* The power goes: what was counted leads to the same. */
    reopen(world, 1);
    world_assert_document(world, "bin.tsv", BIN_2);
    world->lease.transaction = false; /* the batch is no reason: it began with what comes back */
    registrar_look(world->registrar);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_returned(world, MUSTER__REFUSAL__REFUSAL_PROBATION_RESULTS);
}

static void test_a_newer_one_does_not_wait_for_the_answer(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, bad_table, ALL);
    results(world, 5, 2);
    world_apply(world, 3, other_table, ALL);
    world_assert_document(world, "bin.tsv", BIN_3);
    assert_int_equal(report_of(world).results, 0);
    assert_int_equal(report_of(world).good_generation, 1);
    assert_int_equal(report_of(world).before_results, 100);
    /* What is wanted again is good. */
    world_apply(world, 4, first, ALL);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_NONE);
}

static void test_cut_before_the_record(void **state)
{
    struct world *world = begin(state);
    struct buf before = {0};
    world_check(world);
    world_reopen(world);
    keep_file(world, "probation", &before);
    world_apply(world, 2, bad_table, ALL);
    world_close(world);
    put_back(world, "probation", &before);
    world_open(world);
    world_check(world);
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_SWITCHED);
    assert_int_equal(report_of(world).good_generation, 1);
    assert_int_equal(report_of(world).manifest_version, 2);
    results(world, 0, 4);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
}

static void test_cut_before_the_return_is_told(void **state)
{
    struct world *world = begin(state);
    struct buf before = {0};
    world_apply(world, 2, bad_table, ALL);
    results(world, 3, 1);
    world_check(world);
    keep_file(world, "probation", &before);
    results(world, 0, 4);
    world_check(world);
    world_close(world);
    put_back(world, "probation", &before);
    world->event_count = 0;
    world_open(world);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_returned(world, MUSTER__REFUSAL__REFUSAL_PROBATION_RESULTS);
    assert_int_equal(world_events(world, APPLY, NULL), 1);
    /* A number is not given twice. */
    world_apply(world, 3, other_table, ALL);
    struct world_state now;
    world_state(world, &now);
    assert_int_equal(now.generation, 3);
}

static void quota(struct world *world, uint64_t bytes)
{
    world->settings.quota_bytes = (int64_t)bytes;
    reopen(world, 1);
}

static void test_the_good_one_is_inside_the_quota(void **state)
{
    struct world *world = begin(state);
    struct err err = {0};
    uint64_t needed = 0;
    world_apply(world, 2, bad_table, ALL);
    quota(world, 1);
    assert_false(world_push(world, 3, other_table, ALL, &err));
    assert_int_equal(refusal_of(&err), MUSTER__REFUSAL__REFUSAL_MANIFEST_QUOTA);
    assert_int_equal(sscanf(err.text, "manifest 3 needs %" SCNu64, &needed), 1);
    quota(world, needed - 1);
    assert_false(world_push(world, 3, other_table, ALL, &err));
    world_assert_document(world, "bin.tsv", BIN_2);
    /* When the one in force is the good one, there is room. */
    results(world, RESULTS, 0);
    world_check(world);
    world_apply(world, 3, other_table, ALL);
    world_assert_document(world, "bin.tsv", BIN_3);
    results(world, 0, 4);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
}

static void test_switched_off_it_goes_back_to_nothing(void **state)
{
    struct world *world = begin(state);
    world->settings.probation.policy = (struct probation_policy){0};
    world_reopen(world);
    world_apply(world, 2, bad_table, ALL);
    results(world, 0, 50);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(report_of(world).step, MUSTER__APPLY_STEP__APPLY_NONE);
    assert_int_equal(world_item(world, "bin.tsv"), MUSTER__ITEM_STATE__ITEM_OK);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_bad_table_goes_back_and_says_why),
        TEST(test_what_failed_is_not_tried_again),
        TEST(test_a_person_has_it_tried_again),
        TEST(test_enough_results_prove_it),
        TEST(test_without_results_it_stays_unproved),
        TEST(test_an_unproved_one_can_be_proved_late),
        TEST(test_an_unproved_one_can_go_back_late),
        TEST(test_what_is_somewhat_worse_is_not_proved),
        TEST(test_each_result_counts_once),
        TEST(test_the_application_falls_over),
        TEST(test_the_agent_falls_over),
        TEST(test_what_cannot_go_back_stays),
        TEST(test_below_a_floor_nothing_comes_back),
        TEST(test_the_return_waits_for_a_sale),
        TEST(test_a_newer_one_does_not_wait_for_the_answer),
        TEST(test_cut_before_the_record),
        TEST(test_cut_before_the_return_is_told),
        TEST(test_the_good_one_is_inside_the_quota),
        TEST(test_switched_off_it_goes_back_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
