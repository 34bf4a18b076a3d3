/* SPDX-License-Identifier: Apache-2.0 */
#include "base/child.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct outcome {
    int calls;
    struct child_result result;
    char output[8192];
};

static void on_done(void *ctx, const struct child_result *result)
{
    struct outcome *outcome = ctx;
    outcome->calls++;
    outcome->result = *result;
    strncpy(outcome->output, result->output, sizeof outcome->output - 1);
}

/* Runs `script` in a shell to its end. */
static struct outcome run(const char *script, int64_t limit_ms)
{
    uv_loop_t loop;
    struct outcome outcome = {0};
    struct err err = {0};
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)script, NULL};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_true(child_run(&loop, argv, NULL, "/", limit_ms, on_done, &outcome, &err));
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(outcome.calls, 1);
    return outcome;
}

static bool process_lives(pid_t pid)
{
    return kill(pid, 0) == 0 || errno != ESRCH;
}

/* An orphan is reaped by somebody else, in its own time. */
static void assert_ends_soon(pid_t pid)
{
    assert_true(pid > 1);
    int64_t until = clock_boot_ms(&clock_real) + 10000;
    char path[64], text[256];
    while (process_lives(pid) && clock_boot_ms(&clock_real) < until) {
        /* A zombie is dead enough: in a container nobody may reap it. */
        (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "r");
        bool zombie =
            file == NULL || fgets(text, sizeof text, file) == NULL || strstr(text, ") Z ") != NULL;
        if (file != NULL)
            (void)fclose(file);
        if (zombie)
            return;
    }
    assert_true(clock_boot_ms(&clock_real) < until);
}

static void exit_status_and_output_are_told(void **state)
{
    (void)state;
    struct outcome outcome = run("echo one; echo two >&2; exit 7", 60000);
    assert_int_equal(outcome.result.exit_status, 7);
    assert_int_equal(outcome.result.signal, 0);
    assert_false(outcome.result.timed_out);
    assert_string_equal(outcome.output, "one\ntwo\n");
}

static void a_signal_is_told(void **state)
{
    (void)state;
    struct outcome outcome = run("kill -TERM $$", 60000);
    assert_int_equal(outcome.result.exit_status, -1);
    assert_int_equal(outcome.result.signal, SIGTERM);
    assert_false(outcome.result.timed_out);
}

static void environment_and_folder_are_plain(void **state)
{
    (void)state;
    assert_int_equal(setenv("MUSTER_SECRET", "x", 1), 0);
    struct outcome outcome = run("echo \"$MUSTER_SECRET,$LANG\"; pwd; read x; echo end", 60000);
    assert_string_equal(outcome.output, ",C\n/\nend\n");
}

static void a_hook_that_hangs_is_killed_with_its_children(void **state)
{
    (void)state;
    /* The shell ignores what can be ignored, and so does its child. */
    struct outcome outcome = run("trap '' TERM HUP INT; sleep 1000 & echo $!; wait", 300);
    assert_true(outcome.result.timed_out);
    assert_int_equal(outcome.result.signal, SIGKILL);
    assert_int_equal(outcome.result.exit_status, -1);
    assert_ends_soon((pid_t)atoi(outcome.output));
}

static void a_grandchild_left_behind_does_not_outlive_the_hook(void **state)
{
    (void)state;
    int64_t before = clock_boot_ms(&clock_real);
    struct outcome outcome = run("sleep 1000 & echo $!", 60000);
    assert_int_equal(outcome.result.exit_status, 0);
    assert_false(outcome.result.timed_out);
    assert_true(clock_boot_ms(&clock_real) - before < 30000);
    assert_ends_soon((pid_t)atoi(outcome.output));
}

static void one_that_leaves_the_group_does_not_hold_up_the_answer(void **state)
{
    (void)state;
    int64_t before = clock_boot_ms(&clock_real);
    struct outcome outcome = run("setsid sleep 1000 & echo $!", 60000);
    assert_int_equal(outcome.result.exit_status, 0);
    assert_true(clock_boot_ms(&clock_real) - before < 30000);
    pid_t pid = (pid_t)atoi(outcome.output);
    assert_true(pid > 1);
    (void)kill(pid, SIGKILL);
}

static void a_flood_is_cut_at_4_kib_and_never_blocks(void **state)
{
    (void)state;
    struct outcome outcome = run("head -c 3000000 /dev/zero | tr '\\0' x; exit 3", 60000);
    assert_int_equal(outcome.result.exit_status, 3);
    assert_int_equal(strlen(outcome.output), 4096);
}

static void an_endless_flood_ends_at_the_limit(void **state)
{
    (void)state;
    struct outcome outcome = run("exec yes", 300);
    assert_true(outcome.result.timed_out);
    assert_int_equal(strlen(outcome.output), 4096);
}

static void what_cannot_run_is_an_error(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct outcome outcome = {0};
    struct err err = {0};
    char *argv[] = {(char *)"/nonexistent/hook", NULL};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_false(child_run(&loop, argv, NULL, NULL, 1000, on_done, &outcome, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/hook"));
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(outcome.calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_status_and_output_are_told),
        cmocka_unit_test(a_signal_is_told),
        cmocka_unit_test(environment_and_folder_are_plain),
        cmocka_unit_test(a_hook_that_hangs_is_killed_with_its_children),
        cmocka_unit_test(a_grandchild_left_behind_does_not_outlive_the_hook),
        cmocka_unit_test(one_that_leaves_the_group_does_not_hold_up_the_answer),
        cmocka_unit_test(a_flood_is_cut_at_4_kib_and_never_blocks),
        cmocka_unit_test(an_endless_flood_ends_at_the_limit),
        cmocka_unit_test(what_cannot_run_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
