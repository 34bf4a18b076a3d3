/* SPDX-License-Identifier: Apache-2.0 */
/* Restarts that the fleet orders, in a whole agent, by a real helper in the same loop. */
#include "agent/helper.h"
#include "base/file.h"
#include "tests/unit/agent_actions_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static void test_no_helper(void **state)
{
    struct world *world = *state;
    open_session(world);
    (void)snprintf(world->session.settings.helper_socket,
                   sizeof world->session.settings.helper_socket, "%s/nobody.sock", world->dir);
    world->session.settings.helper_limit_ms = 20000;
    world->order.kind = MUSTER__ACTION_KIND__ACTION_REBOOT;
    give_order(world, false);
    give_receipt(world);
    wait_over(world, "a-1");
    assert_int_equal(entry_of(world, "a-1")->step, MUSTER__ACTION_STEP__ACTION_STEP_FAILED);
    assert_non_null(strstr(entry_of(world, "a-1")->text, "nothing was done"));
    session_close(&world->session);
}

/* A real helper in the same loop, whose program is this script. */
static struct helper *open_helper(struct world *world, struct helper_settings *settings,
                                  const char *script, int64_t limit_ms)
{
    char path[128], text[200];
    struct helper *helper = NULL;
    struct err err = {0};
    path_in(world, "reboot", path);
    int length = snprintf(text, sizeof text, "#!/bin/sh\n%s\n", script);
    assert_true(file_write(path, bytes_of(text, (size_t)length), 0700, NULL));
    *settings = (struct helper_settings){.limit_ms = limit_ms};
    (void)snprintf(settings->reboot, sizeof settings->reboot, "%s", path);
    (void)snprintf(settings->socket, sizeof settings->socket, "%s/helper.sock", world->dir);
    if (!helper_open(&world->session.loop, settings, &helper, &err))
        fail_msg("%s", err.text);
    (void)snprintf(world->session.settings.helper_socket,
                   sizeof world->session.settings.helper_socket, "%s", settings->socket);
    world->session.settings.helper_limit_ms = 60000;
    world->order.kind = MUSTER__ACTION_KIND__ACTION_REBOOT;
    return helper;
}

/* What was killed at its limit may have been done before: nobody knows. */
static void test_a_program_that_hangs(void **state)
{
    struct world *world = *state;
    struct helper_settings settings;
    open_session(world);
    struct helper *helper = open_helper(world, &settings, "exec sleep 600", 200);
    give_order(world, false); /* it is known to be fresh */
    give_receipt(world);
    wait_over(world, "a-1");
    assert_int_equal(entry_of(world, "a-1")->step,
                     MUSTER__ACTION_STEP__ACTION_STEP_OUTCOME_UNKNOWN);
    assert_non_null(strstr(entry_of(world, "a-1")->text, "was killed"));
    helper_close(helper);
    session_close(&world->session);
    helper_free(helper);
}

/* Its program ends well, and the terminal goes on as if nothing had been. */
static void test_a_restart_that_does_not_come(void **state)
{
    struct world *world = *state;
    struct helper_settings settings;
    open_session(world);
    struct helper *helper = open_helper(world, &settings, "exit 0", 60000);
    give_order(world, false); /* it is known to be fresh */
    give_receipt(world);
    while (!is_over(world, "a-1")) {
        /* It may come yet: no sale is to begin. */
        assert_true(entry_of(world, "a-1") == NULL || agent_interrupts(world->session.agent));
        world->session.now_ms += 100;
        (void)uv_run(&world->session.loop, UV_RUN_ONCE);
        if (world->session.agent->actions.down_by_ms != 0)
            world->session.now_ms = world->session.agent->actions.down_by_ms;
    }
    wait_over(world, "a-1");
    assert_int_equal(entry_of(world, "a-1")->step, MUSTER__ACTION_STEP__ACTION_STEP_FAILED);
    assert_non_null(strstr(entry_of(world, "a-1")->text, "has not restarted"));
    assert_false(agent_interrupts(world->session.agent));
    helper_close(helper);
    session_close(&world->session);
    helper_free(helper);
}

static void work_for(struct world *world, int64_t ms)
{
    world->session.now_ms += ms;
    agent_look_at_actions(world->session.agent);
    recorder_flush(world->session.agent->recorder);
    session_turn(&world->session);
}

/* A terminal whose medium loses the mark would else restart for ever: nothing before the fleet has
 * heard of it, and sales go on meanwhile. */
static void test_a_restart_waits_for_the_fleet_to_know(void **state)
{
    struct world *world = *state;
    struct helper_settings settings;
    open_session(world);
    struct helper *helper = open_helper(world, &settings, "echo ran >> ${0%/*}/ran", 60000);
    const struct agent_actions *actions = &world->session.agent->actions;
    give_order(world, false); /* it is known to be fresh */
    work_for(world, 1000);
    work_for(world, 1000);
    assert_int_equal(entry_of(world, "a-1")->step, MUSTER__ACTION_STEP__ACTION_STEP_STARTED);
    assert_true(actions->word.awaited && actions->word.stored && actions->helper == NULL);
    assert_false(agent_interrupts(world->session.agent));
    assert_true(session_owed(&world->session) > 0);
    give_receipt(world);
    assert_false(actions->word.awaited);
    assert_true(agent_interrupts(world->session.agent));
    while (actions->down_by_ms == 0)
        (void)uv_run(&world->session.loop, UV_RUN_ONCE);
    assert_int_equal(times_ran(world), 1);
    helper_close(helper);
    session_close(&world->session);
    helper_free(helper);
}

/* It may be ordered just because records get stuck. */
static void test_a_restart_without_a_receipt(void **state)
{
    struct world *world = *state;
    struct helper_settings settings;
    open_session(world);
    struct helper *helper = open_helper(world, &settings, "echo ran >> ${0%/*}/ran", 60000);
    const struct agent_actions *actions = &world->session.agent->actions;
    give_order(world, false); /* it is known to be fresh */
    while (actions->word.awaited)
        work_for(world, 1000);
    while (actions->down_by_ms == 0)
        (void)uv_run(&world->session.loop, UV_RUN_ONCE);
    assert_int_equal(times_ran(world), 1);
    helper_close(helper);
    session_close(&world->session);
    helper_free(helper);
}

static void begin_sale(struct world *world)
{
    const struct lease_word sale = {.transaction = true, .hold_ms = LEASE_HOLD_MAX_MS};
    const struct lease_speaker clerk = {.holder = world, .pid = 1};
    struct err err = {0};
    if (!lease_say(&world->session.agent->lease, &sale, &clerk, world->session.now_ms, &err))
        fail_msg("%s", err.text);
}

/* A sale has begun since the word was given, and another one, and another one. */
static void test_a_restart_finds_a_sale(void **state)
{
    struct world *world = *state;
    struct helper_settings settings;
    open_session(world);
    struct helper *helper = open_helper(world, &settings, "echo ran >> ${0%/*}/ran", 60000);
    give_order(world, false); /* it is known to be fresh */
    work_for(world, 1000);
    assert_true(world->session.agent->actions.word.awaited);
    begin_sale(world);
    give_receipt(world);
    assert_true(world->session.agent->actions.word.awaited);
    for (int i = 0; i < 20 && !is_over(world, "a-1"); i++) {
        begin_sale(world);
        work_for(world, 60 * 1000);
    }
    assert_int_equal(entry_of(world, "a-1")->step, MUSTER__ACTION_STEP__ACTION_STEP_FAILED);
    assert_non_null(strstr(entry_of(world, "a-1")->text, "nothing was done"));
    assert_int_equal(times_ran(world), 0);
    helper_close(helper);
    session_close(&world->session);
    helper_free(helper);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, actions_set_up, actions_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_no_helper),
        TEST(test_a_program_that_hangs),
        TEST(test_a_restart_that_does_not_come),
        TEST(test_a_restart_waits_for_the_fleet_to_know),
        TEST(test_a_restart_without_a_receipt),
        TEST(test_a_restart_finds_a_sale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
