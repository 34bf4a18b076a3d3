/* SPDX-License-Identifier: Apache-2.0 */
/* Actions in a whole agent, on real files, with a real sign-on hook; and killed at each change that
 * its journal makes on the disk, while the hook runs, and after it. */
#include "agent/actions_journal.h"
#include "base/file.h"
#include "proto/action.h"
#include "tests/attack/terminal.h"
#include "tests/unit/agent_actions_world.h"
#include "tests/unit/deadly_effects.h"
#include "tests/unit/testing.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t hour_ms = INT64_C(3600) * 1000;

/* ---- in one life ---- */

static void test_once_with_proof_alone(void **state)
{
    struct world *world = *state;
    open_session(world);
    session_restart(&world->session); /* nothing is proved any more */
    session_join(&world->session);
    give_order(world, false);
    session_later(&world->session, 1000);
    assert_null(entry_of(world, "a-1"));
    assert_non_null(strstr(waits_for(world), "no welcome"));
    assert_null(session_answered(&world->session));
    wait_over(world, "a-1");
    assert_int_equal(entry_of(world, "a-1")->step, MUSTER__ACTION_STEP__ACTION_STEP_DONE);
    assert_true(entry_of(world, "a-1")->told);
    assert_int_equal(times_ran(world), 1);
    /* The fleet still names it in a newer manifest: it is told again, and that is all. */
    uint64_t owed = session_owed(&world->session);
    session_plan(&world->session);
    session_send_manifest(&world->session);
    assert_null(session_answered(&world->session));
    session_later(&world->session, 1000);
    recorder_flush(world->session.agent->recorder);
    assert_true(session_owed(&world->session) > owed);
    session_restart(&world->session);
    session_join(&world->session);
    assert_null(session_answered(&world->session));
    session_later(&world->session, 1000);
    assert_int_equal(times_ran(world), 1);
    session_close(&world->session);
}

static void test_an_older_manifest_does_nothing(void **state)
{
    struct world *world = *state;
    struct session *session = &world->session;
    struct err err = {0};
    struct buf old = {0};
    open_session(world);
    session_leave(session); /* nobody could have begun it */
    session->orders = world->orders;
    session->order_count = 1;
    world->order.since_version = session->strike.version + 1;
    session_plan(session);
    assert_true(buf_append(&old, session->manifest.data, session->manifest.length, NULL));
    session->order_count = 0;
    session_plan(session); /* which the fleet has retired since */
    session_join(session);
    session_send_manifest(session);
    session_fetch(session);
    assert_null(session_answered(session));
    assert_false(session_take(session, TOPIC_DOWN_MANIFEST, DEVICE, buf_bytes(&old), &err));
    session_later(session, 1000);
    assert_null(entry_of(world, "a-1"));
    assert_int_equal(times_ran(world), 0);
    buf_done(&old);
    session_close(session);
}

static void expires_in(struct world *world, int64_t ms)
{
    world->order.expires_ms = world->session.now_ms + ms;
}

static int64_t wrong_now(void *ctx)
{
    const struct world *world = ctx;
    return world->session.now_ms + world->wrong_ms;
}

static int64_t right_now(void *ctx)
{
    const struct world *world = ctx;
    return world->session.now_ms;
}

/* Its own clock says that the order is long over, or far from being so: neither counts. */
static void with_wrong_clock(struct world *world, int64_t wrong_ms, int64_t expires_ms,
                             Muster__ActionStep step)
{
    open_session(world);
    world->wrong_ms = wrong_ms;
    world->session.clock = (struct clock){.wall_ms = wrong_now, .boot_ms = right_now, .ctx = world};
    session_restart(&world->session);
    session_join(&world->session);
    assert_null(session_answered(&world->session));
    expires_in(world, expires_ms);
    give_order(world, true);
    wait_over(world, "a-1");
    assert_int_equal(entry_of(world, "a-1")->step, step);
    session_close(&world->session);
}

static void test_a_clock_that_is_ahead(void **state)
{
    with_wrong_clock(*state, 48 * hour_ms, 2 * hour_ms, MUSTER__ACTION_STEP__ACTION_STEP_DONE);
    assert_int_equal(times_ran(*state), 1);
}

static void test_a_clock_that_is_behind(void **state)
{
    with_wrong_clock(*state, -48 * hour_ms, -1, MUSTER__ACTION_STEP__ACTION_STEP_EXPIRED);
    assert_int_equal(times_ran(*state), 0);
}

static void test_a_journal_that_is_gone(void **state)
{
    struct world *world = *state;
    char path[256];
    open_session(world);
    give_order(world, true);
    wait_over(world, "a-1");
    session_path(path, sizeof path, world->session.settings.state_dir, "actions");
    assert_true(file_remove(path, NULL));
    session_restart(&world->session);
    session_join(&world->session);
    assert_null(session_answered(&world->session));
    session_later(&world->session, 1000);
    wait_over(world, "a-1");
    assert_int_equal(entry_of(world, "a-1")->step, MUSTER__ACTION_STEP__ACTION_STEP_REFUSED);
    assert_int_equal(times_ran(world), 1);
    session_close(&world->session);
}

static void order_of_kind(struct world *world, Muster__ActionKind kind, const char *text)
{
    open_session(world);
    world->order.kind = kind;
    give_order(world, true);
    wait_over(world, "a-1");
    assert_int_equal(entry_of(world, "a-1")->step, MUSTER__ACTION_STEP__ACTION_STEP_REFUSED);
    assert_non_null(strstr(entry_of(world, "a-1")->text, text));
    assert_true(entry_of(world, "a-1")->told);
    session_close(&world->session);
}

static void test_what_is_not_set_up_here(void **state)
{
    order_of_kind(*state, MUSTER__ACTION_KIND__ACTION_REBOOT, "helper.socket is empty");
}

static void test_what_is_not_known_here(void **state)
{
    order_of_kind(*state, (Muster__ActionKind)99, "does not know");
}

/* What cannot be marked is not begun. */
static void test_the_journal_cannot_be_written(void **state)
{
    struct world *world = *state;
    char path[256];
    open_session(world);
    session_path(path, sizeof path, world->session.settings.state_dir, "actions");
    assert_true(file_remove(path, NULL));
    assert_true(mkdir(path, 0700) == 0);
    char in_the_way[300];
    (void)snprintf(in_the_way, sizeof in_the_way, "%s/x", path);
    assert_true(mkdir(in_the_way, 0700) == 0);
    give_order(world, true);
    session_later(&world->session, 1000);
    assert_null(entry_of(world, "a-1"));
    assert_int_equal(times_ran(world), 0);
    assert_non_null(strstr(waits_for(world), "room to mark"));
    assert_true(file_remove_tree(path, NULL));
    session_later(&world->session, 1000);
    wait_over(world, "a-1");
    assert_int_equal(times_ran(world), 1);
    session_close(&world->session);
}

/* The terminal's own program has to say yes, to what such an action harms. */
static void test_the_gate_hook_is_asked(void **state)
{
    struct world *world = *state;
    struct agent_settings *settings = &world->session.settings;
    char path[128], script[300];
    open_session(world);
    path_in(world, "gate", path);
    int length = snprintf(script, sizeof script,
                          "#!/bin/sh\n[ \"$1\" = settled ] && [ -e %s/open ] && exit 0\n"
                          "echo a batch is open\nexit 1\n",
                          world->dir);
    assert_true(file_write(path, bytes_of(script, (size_t)length), 0700, NULL));
    (void)snprintf(settings->gate_hook, sizeof settings->gate_hook, "%s", path);
    settings->gate_hook_limit_ms = 20000;
    session_restart(&world->session);
    session_join(&world->session);
    give_order(world, true);
    while (strstr(waits_for(world), "a batch is open") == NULL) {
        world->session.now_ms += 100;
        (void)uv_run(&world->session.loop, UV_RUN_ONCE);
    }
    assert_null(entry_of(world, "a-1"));
    path_in(world, "open", path);
    assert_true(file_write(path, bytes_of("", 0), 0600, NULL));
    while (!is_over(world, "a-1")) {
        world->session.now_ms += 100;
        (void)uv_run(&world->session.loop, UV_RUN_ONCE);
    }
    assert_int_equal(times_ran(world), 1);
    session_close(&world->session);
}

/* ---- killed ---- */

/* One life of the agent, in a process of its own; `left`: effects of the journal that it is given.
 * True: it got to the end. */
static bool live(struct world *world, int left, bool given)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char path[128];
        path_in(world, "term", path);
        session_resume(&world->session, &world->fleet, path, DEVICE, VERSION_HELD + 2);
        set_hook(world);
        world->session.now_ms += given ? 2 * hour_ms : hour_ms;
        deadly_left = left;
        session_start(&world->session);
        session_join(&world->session);
        give_order(world, true);
        wait_over(world, "a-1");
        deadly_left = -1;
        _exit(entry_of(world, "a-1")->told ? 0 : 1);
    }
    int status = 0;
    assert_true(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return false;
}

static Muster__ActionStep step_kept(const struct world *world)
{
    char path[128];
    struct actions actions = {0};
    struct err err = {0};
    path_in(world, "term/state/actions", path);
    if (!actions_journal_read(path, &actions, &err))
        fail_msg("%s", err.text);
    const struct actions_entry *entry = actions_find(&actions, "a-1");
    Muster__ActionStep step = entry != NULL ? entry->step : MUSTER__ACTION_STEP__ACTION_STEP_NONE;
    actions_done(&actions);
    return step;
}

/* A terminal that has its second manifest, left as it is when its agent ends. */
static void prepare(struct world *world)
{
    char from[128], kept[128];
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        open_session(world);
        agent_close(world->session.agent);
        (void)uv_run(&world->session.loop, UV_RUN_DEFAULT);
        agent_free(world->session.agent);
        _exit(0);
    }
    int status = 0;
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status) &&
                WEXITSTATUS(status) == 0);
    path_in(world, "term", from);
    path_in(world, "kept", kept);
    folder_copy(from, kept);
}

static void begin_again(struct world *world)
{
    char from[128], term[128], ran[128];
    path_in(world, "kept", from);
    path_in(world, "term", term);
    path_in(world, "ran", ran);
    assert_true(file_remove_tree(term, NULL) && file_remove(ran, NULL));
    folder_copy(from, term);
}

static void test_killed_at_each_change_of_its_journal(void **state)
{
    struct world *world = *state;
    unsigned points = 0, unknown = 0;
    prepare(world);
    for (bool whole = false; !whole; points++) {
        begin_again(world);
        whole = live(world, (int)points, false);
        unsigned before = times_ran(world);
        assert_true(before <= 1);
        assert_true(live(world, -1, true)); /* the next start */
        Muster__ActionStep step = step_kept(world);
        assert_true(times_ran(world) <= 1);
        assert_true(action_is_over((int)step));
        assert_true(times_ran(world) == 1 ||
                    step == MUSTER__ACTION_STEP__ACTION_STEP_OUTCOME_UNKNOWN);
        unknown += step == MUSTER__ACTION_STEP__ACTION_STEP_OUTCOME_UNKNOWN ? 1 : 0;
    }
    assert_true(points > 8 && unknown > 0);
}

static void test_killed_while_it_is_being_done(void **state)
{
    struct world *world = *state;
    prepare(world);
    begin_again(world);
    write_hook(world, "kill -9 $PPID");
    assert_false(live(world, -1, false));
    assert_int_equal(times_ran(world), 1);
    assert_int_equal(step_kept(world), MUSTER__ACTION_STEP__ACTION_STEP_STARTED);
    write_hook(world, "");
    assert_true(live(world, -1, true));
    assert_int_equal(times_ran(world), 1);
    assert_int_equal(step_kept(world), MUSTER__ACTION_STEP__ACTION_STEP_OUTCOME_UNKNOWN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, actions_set_up, actions_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_killed_at_each_change_of_its_journal),
        TEST(test_killed_while_it_is_being_done),
        TEST(test_once_with_proof_alone),
        TEST(test_an_older_manifest_does_nothing),
        TEST(test_a_clock_that_is_ahead),
        TEST(test_a_clock_that_is_behind),
        TEST(test_a_journal_that_is_gone),
        TEST(test_what_is_not_set_up_here),
        TEST(test_what_is_not_known_here),
        TEST(test_the_journal_cannot_be_written),
        TEST(test_the_gate_hook_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
