/* SPDX-License-Identifier: Apache-2.0 */
/* What carries the connection: when the line is made again, and what silence of the fleet says. */
#include "agent/registrar.h"

#include "agent/registrar_internal.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

#define APPLY MUSTER__EVENT_KIND__EVENT_APPLY
#define APN_1 "[link]\napn = one\n"
#define APN_2 "[link]\napn = two\n"

#define LINK(text, of_version)                                                                     \
    {                                                                                              \
        .name = "link", .content = text, .version = of_version,                                    \
        .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR,                                                  \
        .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_CONNECTION                                         \
    }

enum { RESULTS = 10, WELCOME_MS = 600, TIME_MS = 1000000 };

static const struct world_doc first[] = {LINK(APN_1, 1)};
static const struct world_doc other[] = {LINK(APN_2, 2)};

static void reopen(struct world *world, const char *after)
{
    world->settings.probation = (struct registrar_probation){
        .policy = {.results = RESULTS,
                   .time_ms = TIME_MS,
                   .welcome_ms = WELCOME_MS,
                   .crashes = 3,
                   .starts = 4},
        .after_hook = after,
    };
    world_reopen(world);
}

static struct world *begin(void **state)
{
    struct world *world = *state;
    reopen(world, NULL);
    world_apply(world, 1, first, 1);
    assert_int_equal(world->redials, 0); /* nothing to go back to: it is good */
    world->wall_ms += 10;
    return world;
}

static void good_results(const struct world *world)
{
    static uint64_t seq;
    for (unsigned i = 0; i < RESULTS; i++) {
        const struct registrar_result result = {.incarnation = 7,
                                                .seq = ++seq,
                                                .generation =
                                                    registrar_generation_digest(world->registrar)};
        registrar_result(world->registrar, &result);
    }
}

static void wait_for(struct world *world, int64_t ms)
{
    world->wall_ms += ms;
    world_check(world);
}

static void welcome(struct world *world)
{
    registrar_welcomed(world->registrar, world->wall_ms);
    world_check(world);
}

static bool is_back(const struct world *world)
{
    return world->registrar->trial.probation.generation == 0;
}

static void go_back(struct world *world)
{
    assert_false(is_back(world));
    wait_for(world, WELCOME_MS);
    assert_true(is_back(world));
    world_assert_document(world, "link", APN_1);
    assert_int_equal(world_last(world, APPLY)->refusal, MUSTER__REFUSAL__REFUSAL_PROBATION_WELCOME);
}

static void test_it_needs_a_welcome(void **state)
{
    struct world *world = begin(state);
    int64_t asked_ms = world->wall_ms - 1;
    world_apply(world, 2, other, 1);
    assert_int_equal(world->redials, 1);
    assert_true(registrar_awaits_welcome(world->registrar));
    registrar_welcomed(world->registrar, asked_ms); /* over the old one */
    good_results(world);                            /* do not show it either */
    wait_for(world, WELCOME_MS - 1);
    world_assert_document(world, "link", APN_2);
    reopen(world, NULL); /* the wait goes on, over a line made once more */
    assert_int_equal(world->redials, 2);
    wait_for(world, 1);
    world_assert_document(world, "link", APN_1);
    assert_int_equal(world->redials, 3);
    registrar_forget_returned(world->registrar);
    world_check(world);
    world_assert_document(world, "link", APN_2);
    welcome(world);
    good_results(world);
    wait_for(world, WELCOME_MS);
    world_assert_document(world, "link", APN_2);
    assert_non_null(strstr(world_last(world, APPLY)->text, "has proved itself"));
}

static void make_after(struct world *world, const char *script, char after[96])
{
    (void)snprintf(after, 96, "%s/after", world->dir);
    assert_true(file_write(after, bytes_of(script, strlen(script)), 0700, NULL));
    reopen(world, after);
}

/* It is the hook that sets up what the document says. */
static void test_the_line_is_not_made_again_before_the_hook_has_run(void **state)
{
    struct world *world = begin(state);
    char after[96];
    make_after(world, "#!/bin/sh\ngrep -q two link || exit 0\nexit 1\n", after);
    world_apply(world, 2, other, 1);
    world_check(world);
    world_assert_document(world, "link", APN_1);
    assert_int_equal(world->redials, 0);
    make_after(world, "#!/bin/sh\nexit 0\n", after);
    registrar_forget_returned(world->registrar);
    world_check(world);
    world_check(world);
    world_assert_document(world, "link", APN_2);
    assert_int_equal(world->redials, 1);
    welcome(world);
    assert_false(registrar_awaits_welcome(world->registrar));
}

/* The fleet is down, and comes back hours later. */
static void test_an_outage_condemns_nothing(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, other, 1);
    go_back(world);
    assert_int_equal(world_item(world, "link"), MUSTER__ITEM_STATE__ITEM_RETURNED);
    wait_for(world, WELCOME_MS - 1);
    world_assert_document(world, "link", APN_1);
    reopen(world, NULL);
    wait_for(world, 1); /* nor the old way */
    world_check(world);
    world_assert_document(world, "link", APN_2);
    go_back(world);
    wait_for(world, 2 * WELCOME_MS - 1); /* ever more seldom */
    reopen(world, NULL);
    world_assert_document(world, "link", APN_1);
    wait_for(world, 1);
    world_check(world);
    world_assert_document(world, "link", APN_2);
    go_back(world);
    wait_for(world, WELCOME_MS);
    welcome(world); /* too late to be because it went back */
    const struct registry_returns *returns = &world->registrar->trial.returns;
    assert_int_equal(returns->returned[returns->count - 1].faults, 0);
    world_check(world);
    world_assert_document(world, "link", APN_2);
    welcome(world);
    good_results(world);
    wait_for(world, 10 * WELCOME_MS);
    world_assert_document(world, "link", APN_2);
    assert_non_null(strstr(world_last(world, APPLY)->text, "has proved itself"));
}

static void test_what_is_to_blame_is_tried_twice(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, other, 1);
    go_back(world);
    registrar_welcomed(world->registrar, world->wall_ms - 1); /* asked before */
    world_check(world);
    world_assert_document(world, "link", APN_1);
    welcome(world); /* as soon as it was back: that may be chance, once */
    world_check(world);
    world_assert_document(world, "link", APN_2);
    go_back(world);
    welcome(world);
    world_check(world);
    world_assert_document(world, "link", APN_1);
    wait_for(world, 100 * WELCOME_MS);
    reopen(world, NULL);
    wait_for(world, 100 * WELCOME_MS);
    world_assert_document(world, "link", APN_1);
    assert_int_equal(world_item(world, "link"), MUSTER__ITEM_STATE__ITEM_RETURNED);
    world_apply(world, 3, other, 1);
    world_assert_document(world, "link", APN_1);
}

static void test_an_answer_while_the_return_waits(void **state)
{
    struct world *world = begin(state);
    world_apply(world, 2, other, 1);
    world->lease = (struct gate_lease){.known = true, .transaction = true};
    wait_for(world, WELCOME_MS);
    char said[160];
    assert_true(registrar_waits(world->registrar, said, sizeof said));
    welcome(world);
    assert_false(registrar_waits(world->registrar, said, sizeof said));
    world->lease.transaction = false;
    registrar_look(world->registrar);
    world_check(world);
    world_assert_document(world, "link", APN_2);
    good_results(world);
    world_check(world);
    assert_non_null(strstr(world_last(world, APPLY)->text, "has proved itself"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_needs_a_welcome),
        TEST(test_the_line_is_not_made_again_before_the_hook_has_run),
        TEST(test_an_outage_condemns_nothing),
        TEST(test_what_is_to_blame_is_tried_twice),
        TEST(test_an_answer_while_the_return_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
