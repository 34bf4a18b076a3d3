/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gate_hook.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAITERS = 3, EVERY_MS = 10000, HOLDS_MS = 1000 };

struct world;

struct waiter {
    struct world *world;
    struct gate_hook_asker asker;
    unsigned heard;
    struct waiter *takes; /* has that one leave when it hears something */
    bool asks_new;        /* asks for something else then */
};

struct world {
    uv_loop_t loop;
    struct clock clock;
    int64_t now_ms;
    char dir[64];
    char script[96], asked[96], answer[96];
    struct gate_hook_program *program;
    struct waiter waiters[WAITERS];
};

static int64_t world_now(void *ctx)
{
    return ((const struct world *)ctx)->now_ms;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(world->dir, sizeof world->dir, "%s/gate_hook_test.XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    *state = world;
    if (mkdtemp(world->dir) == NULL || uv_loop_init(&world->loop) != 0)
        return -1;
    (void)snprintf(world->script, sizeof world->script, "%s/hook", world->dir);
    (void)snprintf(world->asked, sizeof world->asked, "%s/asked", world->dir);
    (void)snprintf(world->answer, sizeof world->answer, "%s/answer", world->dir);
    world->now_ms = 5000;
    world->clock = (struct clock){.wall_ms = world_now, .boot_ms = world_now, .ctx = world};
    return mkfifo(world->answer, 0600);
}

static int tear_down(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < WAITERS; i++)
        gate_hook_leave(&world->waiters[i].asker);
    gate_hook_close(world->program);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    int failed = uv_loop_close(&world->loop);
    const char *files[] = {world->script, world->asked, world->answer};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        (void)unlink(files[i]);
    failed |= rmdir(world->dir);
    free(world);
    return failed;
}

static void on_heard(void *ctx)
{
    struct waiter *waiter = ctx;
    waiter->heard++;
    if (waiter->takes != NULL)
        gate_hook_leave(&waiter->takes->asker);
    if (waiter->asks_new) {
        gate_hook_begin(&waiter->asker);
        gate_hook_ask(&waiter->asker, GATE_QUIET, true);
    }
    uv_stop(&waiter->world->loop);
}

static void open_with(struct world *world, const char *script, int64_t limit_ms)
{
    struct err err = {0};
    const struct gate_hook_settings settings = {
        .path = world->script, .limit_ms = limit_ms, .every_ms = EVERY_MS};
    if (script != NULL)
        assert_true(file_write(world->script, bytes_of(script, strlen(script)), 0700, NULL));
    assert_true(gate_hook_open(&world->loop, &world->clock, &settings, &world->program, &err));
    for (size_t i = 0; i < WAITERS; i++) {
        world->waiters[i].world = world;
        gate_hook_join(&world->waiters[i].asker, world->program, on_heard, &world->waiters[i]);
    }
}

/* One that says what the test has it say. */
static struct world *begin(void **state)
{
    open_with(*state,
              "#!/bin/sh\necho \"$1\" >>\"${0%/*}/asked\"\n"
              "read -r status says <\"${0%/*}/answer\"\n"
              "echo end >>\"${0%/*}/asked\"\nprintf \"$says\"\nexit \"$status\"\n",
              60000);
    return *state;
}

/* The one that runs now ends with that, and is heard. */
static void says(struct world *world, const char *what)
{
    FILE *answer = fopen(world->answer, "w");
    assert_non_null(answer);
    assert_true(fprintf(answer, "%s\n", what) > 0 && fclose(answer) == 0);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
}

static void ask(struct world *world, size_t i, enum gate_kind kind)
{
    gate_hook_ask(&world->waiters[i].asker, kind, true);
}

static enum gate_hook now(const struct world *world, size_t i)
{
    return gate_hook_now(&world->waiters[i].asker);
}

static void assert_asked(const struct world *world, const char *kinds)
{
    struct buf asked = {.limit = 4096};
    assert_true(file_read(world->asked, 4096, &asked, NULL));
    assert_true(buf_append(&asked, "", 1, NULL));
    assert_string_equal((const char *)asked.data, kinds);
    buf_done(&asked);
}

static void one_process_at_a_time_answers_all_who_asked(void **state)
{
    struct world *world = begin(state);
    ask(world, 0, GATE_SETTLED);
    ask(world, 1, GATE_QUIET);
    ask(world, 2, GATE_SETTLED); /* after the first was begun: that one is not for it */
    says(world, "0");
    assert_int_equal(world->waiters[0].heard, 1);
    assert_int_equal(world->waiters[1].heard + world->waiters[2].heard, 0);
    assert_int_equal(now(world, 0), GATE_HOOK_OPEN);
    assert_int_equal(now(world, 1), GATE_HOOK_BUSY);
    assert_int_equal(now(world, 2), GATE_HOOK_BUSY);
    world->now_ms += EVERY_MS;
    ask(world, 0, GATE_SETTLED);
    says(world, "1 a sale");
    assert_string_equal(gate_hook_says(&world->waiters[1].asker), "the gate hook: a sale");
    assert_int_equal(world->waiters[0].heard + world->waiters[2].heard, 1);
    says(world, "0"); /* for two of a kind */
    assert_int_equal(world->waiters[0].heard, 2);
    assert_int_equal(world->waiters[2].heard, 1);
    assert_int_equal(now(world, 0), GATE_HOOK_OPEN);
    assert_int_equal(now(world, 2), GATE_HOOK_OPEN);
    assert_asked(world, "settled\nend\ntransaction\nend\nsettled\nend\n");
}

static void what_it_said_is_soon_no_news(void **state)
{
    struct world *world = begin(state);
    ask(world, 0, GATE_QUIET);
    assert_true(gate_hook_due_ms(&world->waiters[0].asker) == INT64_MAX);
    says(world, "0");
    assert_true(gate_hook_due_ms(&world->waiters[0].asker) == EVERY_MS);
    world->now_ms += HOLDS_MS;
    assert_int_equal(now(world, 0), GATE_HOOK_OPEN);
    world->now_ms += 1;
    assert_int_equal(now(world, 0), GATE_HOOK_BUSY);
    /* Not asked again before its time. */
    ask(world, 0, GATE_QUIET);
    world->now_ms += EVERY_MS - HOLDS_MS - 2;
    ask(world, 0, GATE_QUIET);
    assert_asked(world, "transaction\nend\n");
    world->now_ms += 1;
    ask(world, 0, GATE_QUIET);
    says(world, "0");
    assert_int_equal(now(world, 0), GATE_HOOK_OPEN);
}

static void it_is_asked_where_it_alone_keeps_the_gate_shut(void **state)
{
    struct world *world = begin(state);
    gate_hook_ask(&world->waiters[0].asker, GATE_QUIET, false);
    assert_int_equal(access(world->asked, F_OK), -1);
    ask(world, 0, GATE_QUIET);
    says(world, "1");
    assert_string_equal(gate_hook_says(&world->waiters[0].asker), "the gate hook: busy");
    ask(world, 0, GATE_QUIET); /* not yet again */
    gate_hook_ask(&world->waiters[0].asker, GATE_QUIET, false);
    ask(world, 0, GATE_QUIET); /* a sale came and ended in between */
    says(world, "0");
    assert_asked(world, "transaction\nend\ntransaction\nend\n");
}

static void an_answer_is_for_what_waited_when_it_was_asked(void **state)
{
    struct world *world = begin(state);
    ask(world, 2, GATE_SETTLED);
    ask(world, 0, GATE_QUIET);
    ask(world, 1, GATE_QUIET);
    says(world, "0");
    gate_hook_begin(&world->waiters[0].asker);
    says(world, "0");
    assert_int_equal(world->waiters[1].heard, 1);
    assert_int_equal(world->waiters[0].heard, 0);
    assert_int_equal(now(world, 0), GATE_HOOK_BUSY);
    /* The same one with more to lose. */
    ask(world, 0, GATE_SETTLED);
    says(world, "0");
    assert_int_equal(now(world, 0), GATE_HOOK_OPEN);
    ask(world, 0, GATE_QUIET);
    assert_int_equal(now(world, 0), GATE_HOOK_BUSY);
    says(world, "0");
    assert_int_equal(now(world, 0), GATE_HOOK_OPEN);
    assert_asked(world, "settled\nend\ntransaction\nend\nsettled\nend\ntransaction\nend\n");
}

static void who_is_told_may_leave_and_ask(void **state)
{
    struct world *world = begin(state);
    ask(world, 2, GATE_QUIET); /* runs */
    ask(world, 0, GATE_SETTLED);
    ask(world, 1, GATE_SETTLED);
    world->waiters[1].takes = &world->waiters[0];
    world->waiters[1].asks_new = true;
    says(world, "0");
    says(world, "0");
    assert_int_equal(world->waiters[1].heard, 1);
    assert_int_equal(world->waiters[0].heard, 0);
    assert_int_equal(now(world, 0), GATE_HOOK_NONE);
    assert_int_equal(now(world, 1), GATE_HOOK_BUSY);
    world->waiters[1].takes = NULL;
    world->waiters[1].asks_new = false;
    says(world, "0");
    assert_int_equal(now(world, 1), GATE_HOOK_OPEN);
    assert_asked(world, "transaction\nend\nsettled\nend\ntransaction\nend\n");
}

/* What is told is one line, whatever the program writes. */
static void only_its_first_line_is_told(void **state)
{
    static const struct {
        const char *says, *told;
    } cases[] = {
        {"1 a refund is typed in\\nsecond\\n", "the gate hook: a refund is typed in"},
        {"1 \\n\\t a batch \\r\\nsecond", "the gate hook: a batch"},
        {"1 \\n\\n", "the gate hook: busy"},
        {"1 a\\tb\\033[2Jc", "the gate hook: a b [2Jc"},
        {"1 caf\\351", "the gate hook: caf?"},
        {"0 never mind", "the gate hook, which is asked again"},
        {"3 odd", "the gate hook, which ended with exit 3"},
        {"1 0123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890123456789",
         "the gate hook: 0123456789012345678901234567890123456789012345678901234567890123456789"
         "012345678901234567890123456789"},
    };
    struct world *world = begin(state);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gate_hook_begin(&world->waiters[0].asker);
        ask(world, 0, GATE_QUIET);
        says(world, cases[i].says);
        assert_string_equal(gate_hook_says(&world->waiters[0].asker), cases[i].told);
        assert_int_equal(gate_hook_broken(&world->waiters[0].asker), cases[i].says[0] == '3');
    }
}

static void breaks_as(struct world *world, const char *told)
{
    gate_hook_begin(&world->waiters[0].asker);
    ask(world, 0, GATE_SETTLED);
    if (!gate_hook_broken(&world->waiters[0].asker))
        (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_true(gate_hook_broken(&world->waiters[0].asker));
    assert_int_equal(now(world, 0), GATE_HOOK_BUSY);
    if (strstr(gate_hook_says(&world->waiters[0].asker), told) == NULL)
        fail_msg("%s", gate_hook_says(&world->waiters[0].asker));
}

static void one_that_hangs_is_as_good_as_busy(void **state)
{
    open_with(*state, "#!/bin/sh\nsleep 1000 & wait\n", 200);
    breaks_as(*state, "did not end in time and was killed");
}

static void one_that_dies_is_as_good_as_busy(void **state)
{
    open_with(*state, "#!/bin/sh\nkill -SEGV $$\n", 60000);
    breaks_as(*state, "which was ended by signal 11");
}

static void one_that_is_not_there_is_as_good_as_busy(void **state)
{
    struct world *world = *state;
    open_with(world, NULL, 60000);
    breaks_as(world, "which cannot run ");
    assert_int_equal(world->waiters[0].heard, 0); /* it was told by the call */
    world->now_ms += EVERY_MS;
    breaks_as(world, "which cannot run ");
}

/* What floods its output neither blocks nor fills anything. */
static void one_that_floods_is_heard_all_the_same(void **state)
{
    struct world *world = *state;
    open_with(world, "#!/bin/sh\necho a sale\nhead -c 3000000 /dev/zero\nexit 1\n", 60000);
    ask(world, 0, GATE_QUIET);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_string_equal(gate_hook_says(&world->waiters[0].asker), "the gate hook: a sale");
}

/* It has left the group, holds the output open, and nobody waits for it. */
static void one_that_leaves_a_process_behind_is_heard(void **state)
{
    struct world *world = *state;
    struct buf left = {.limit = 32};
    open_with(world,
              "#!/bin/sh\nsetsid sleep 1000 &\necho $! >\"${0%/*}/asked\"\necho a sale\nexit 1\n",
              60000);
    ask(world, 0, GATE_QUIET);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_string_equal(gate_hook_says(&world->waiters[0].asker), "the gate hook: a sale");
    assert_true(file_read(world->asked, 32, &left, NULL) && buf_append(&left, "", 1, NULL));
    pid_t pid = (pid_t)atoi((const char *)left.data);
    buf_done(&left);
    assert_true(pid > 1);
    (void)kill(pid, SIGKILL);
}

static void where_there_is_none_nothing_waits_for_it(void **state)
{
    struct world *world = *state;
    struct gate_hook_asker *asker = &world->waiters[0].asker;
    gate_hook_join(asker, NULL, on_heard, &world->waiters[0]);
    gate_hook_ask(asker, GATE_QUIET, true);
    assert_int_equal(gate_hook_now(asker), GATE_HOOK_NONE);
    assert_true(gate_hook_due_ms(asker) == INT64_MAX);
    gate_hook_leave(asker);
    gate_hook_close(NULL);
}

/* The process of the last question may end after all have gone. */
static void closing_waits_for_the_one_that_runs(void **state)
{
    struct world *world = begin(state);
    ask(world, 0, GATE_QUIET);
    for (size_t i = 0; i < WAITERS; i++)
        gate_hook_leave(&world->waiters[i].asker);
    gate_hook_close(world->program);
    world->program = NULL;
    says(world, "0");
    assert_int_equal(world->waiters[0].heard, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_process_at_a_time_answers_all_who_asked, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_it_said_is_soon_no_news, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_asked_where_it_alone_keeps_the_gate_shut, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_answer_is_for_what_waited_when_it_was_asked, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_is_told_may_leave_and_ask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_its_first_line_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_hangs_is_as_good_as_busy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_dies_is_as_good_as_busy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_not_there_is_as_good_as_busy, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_that_floods_is_heard_all_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_leaves_a_process_behind_is_heard, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(where_there_is_none_nothing_waits_for_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(closing_waits_for_the_one_that_runs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
