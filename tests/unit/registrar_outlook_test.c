/* SPDX-License-Identifier: Apache-2.0 */
/* `muster plan`: what would change, from how many bytes, and what it waits for. */
#include "agent/registrar.h"

#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <string.h>

#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define TABLE MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE
#define PARAMS MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS
#define QUIET "no open transaction"
#define SETTLED "a settled batch and no reversal"

#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"
#define PARAMS_1 "[terminal]\ntid = 1\n"
#define PARAMS_2 "[terminal]\ntid = 2\n"

#define DOC(doc, text, of_version, of_kind)                                                        \
    {                                                                                              \
        .name = doc, .content = text, .version = of_version, .mode = REPAIR, .kind = of_kind       \
    }

static const struct world_doc first[] = {DOC("bin.tsv", BIN_1, 1, TABLE),
                                         DOC("params", PARAMS_1, 1, PARAMS)};
static const struct world_doc both[] = {DOC("bin.tsv", BIN_2, 2, TABLE),
                                        DOC("params", PARAMS_2, 2, PARAMS)};

/* The first is in force, and an application is known. */
static struct world *begin(void **state)
{
    struct world *world = *state;
    world_apply(world, 1, first, 2);
    world->lease.known = true;
    return world;
}

static Muster__PlanReply plan_of(const struct world *world, struct arena *arena)
{
    Muster__PlanReply plan;
    struct err err = {0};
    if (!registrar_plan(world->registrar, arena, &plan, &err))
        fail_msg("%s", err.text);
    return plan;
}

static const Muster__PlanItem *item_of(const Muster__PlanReply *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_items; i++)
        if (strcmp(plan->items[i]->name, name) == 0)
            return plan->items[i];
    fail_msg("the plan does not name %s", name);
    return NULL;
}

static void test_what_is_as_wanted_is_not_in_it(void **state)
{
    struct world *world = begin(state);
    struct arena arena = {0};
    const Muster__PlanReply plan = plan_of(world, &arena);
    assert_int_equal(plan.n_items, 0);
    assert_true(plan.state->converged);
    assert_null(plan.state->apply);
    arena_done(&arena);
}

/* A table alone would go in between two sales; with parameters it waits for the batch as they do.
 */
static void test_what_waits_waits_for_the_gate_of_all(void **state)
{
    struct world *world = begin(state);
    struct arena arena = {0};
    world->lease.batch = true;
    world_apply(world, 2, both, 2);
    const Muster__PlanReply plan = plan_of(world, &arena);
    assert_int_equal(plan.n_items, 2);
    const Muster__PlanItem *table = item_of(&plan, "bin.tsv"), *params = item_of(&plan, "params");
    assert_string_equal(table->gate, SETTLED);
    assert_string_equal(params->gate, SETTLED);
    assert_string_equal(table->waits, "here and checked; put in force with " SETTLED);
    assert_int_equal(table->kind, TABLE);
    assert_int_equal(table->held_version, 1);
    assert_int_equal(table->wanted_version, 2);
    assert_int_equal(table->held_bytes, sizeof BIN_1 - 1);
    assert_int_equal(table->wanted_bytes, sizeof BIN_2 - 1);
    assert_int_equal(table->fetch_bytes, 0);
    assert_false(table->irreversible);
    assert_string_equal(plan.state->apply->waits_for, "the batch to be settled");
    world->lease.transaction = true;
    assert_string_equal(plan_of(world, &arena).state->apply->waits_for, "the open transaction");
    arena_done(&arena);
}

/* What is in force proves itself, whatever waits beside it. */
static void test_what_is_on_probation_is_told_beside_what_waits(void **state)
{
    struct world *world = begin(state);
    struct arena arena = {0};
    static const struct world_doc third[] = {DOC("bin.tsv", BIN_1 "51\tthree\n", 3, TABLE),
                                             DOC("params", PARAMS_2, 2, PARAMS)};
    world->settings.probation.policy = (struct probation_policy){
        .results = 50, .time_ms = 86400000, .welcome_ms = 600000, .crashes = 3, .starts = 4};
    world_reopen(world);
    world_apply(world, 2, both, 2);
    assert_int_equal(plan_of(world, &arena).state->apply->step, MUSTER__APPLY_STEP__APPLY_SWITCHED);
    assert_null(plan_of(world, &arena).state->trial);
    world->lease.transaction = true;
    world_apply(world, 3, third, 2);
    const Muster__PlanReply plan = plan_of(world, &arena);
    assert_int_equal(plan.state->apply->step, MUSTER__APPLY_STEP__APPLY_ASKING);
    assert_non_null(plan.state->trial);
    assert_int_equal(plan.state->trial->step, MUSTER__APPLY_STEP__APPLY_SWITCHED);
    assert_int_equal(plan.state->trial->generation, 2);
    assert_true(plan.state->trial->probation_left_ms > 0);
    arena_done(&arena);
}

static void test_what_is_to_go_waits_too(void **state)
{
    struct world *world = begin(state);
    struct arena arena = {0};
    world->lease.batch = true;
    world_apply(world, 2, first, 1);
    world_assert_document(world, "params", PARAMS_1);
    assert_int_equal(world_item(world, "params"), MUSTER__ITEM_STATE__ITEM_WAITING);
    const Muster__PlanReply plan = plan_of(world, &arena);
    assert_int_equal(plan.n_items, 1);
    const Muster__PlanItem *params = item_of(&plan, "params");
    assert_string_equal(params->waits, "no longer wanted; it goes with " SETTLED);
    assert_string_equal(params->gate, SETTLED);
    assert_int_equal(params->kind, PARAMS);
    assert_int_equal(params->wanted_version, 0);
    assert_int_equal(params->wanted_bytes, 0);
    arena_done(&arena);
    world->lease.batch = false;
    registrar_look(world->registrar);
    world_check(world);
    world_assert_document(world, "params", NULL);
}

static void test_what_is_to_come_is_counted(void **state)
{
    struct world *world = begin(state);
    struct arena arena = {0};
    world->broker_up = false;
    assert_true(world_push(world, 2, both, 2, NULL));
    world_wait(world, world_was_asked);
    const Muster__PlanReply plan = plan_of(world, &arena);
    const Muster__PlanItem *table = item_of(&plan, "bin.tsv");
    assert_int_equal(plan.n_items, 2);
    assert_true(table->fetch_bytes > 0);
    assert_string_equal(table->gate, QUIET); /* its own: nothing is built yet */
    assert_string_equal(item_of(&plan, "params")->gate, SETTLED);
    assert_null(plan.state->apply);
    arena_done(&arena);
}

static void test_what_is_only_observed_is_named_and_not_fetched(void **state)
{
    struct world *world = begin(state);
    struct arena arena = {0};
    struct world_doc docs[2];
    memcpy(docs, both, sizeof docs);
    docs[1].mode = MUSTER__ASSIGN_MODE__MODE_OBSERVE;
    world->lease.transaction = true;
    world_apply(world, 2, docs, 2);
    const Muster__PlanReply plan = plan_of(world, &arena);
    const Muster__PlanItem *params = item_of(&plan, "params");
    assert_int_equal(params->mode, MUSTER__ASSIGN_MODE__MODE_OBSERVE);
    assert_string_equal(params->waits,
                        "observed only; not written here: another content, 19 bytes, 19 wanted");
    assert_string_equal(params->gate, SETTLED);
    assert_int_equal(params->fetch_bytes, 0);
    assert_string_equal(item_of(&plan, "bin.tsv")->gate, QUIET); /* for it alone changes */
    arena_done(&arena);
}

static void test_what_cannot_go_back_is_said(void **state)
{
    struct world *world = begin(state);
    struct arena arena = {0};
    struct world_doc docs[2];
    memcpy(docs, both, sizeof docs);
    docs[1].final = true;
    world->lease.transaction = true;
    world_apply(world, 2, docs, 2);
    const Muster__PlanReply plan = plan_of(world, &arena);
    assert_true(item_of(&plan, "params")->irreversible);
    assert_false(item_of(&plan, "bin.tsv")->irreversible);
    arena_done(&arena);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_as_wanted_is_not_in_it),
        TEST(test_what_waits_waits_for_the_gate_of_all),
        TEST(test_what_is_on_probation_is_told_beside_what_waits),
        TEST(test_what_is_to_go_waits_too),
        TEST(test_what_is_to_come_is_counted),
        TEST(test_what_is_only_observed_is_named_and_not_fetched),
        TEST(test_what_cannot_go_back_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
