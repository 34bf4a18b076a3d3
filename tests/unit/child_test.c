/* SPDX-License-Identifier: Apache-2.0 */
#include "base/child.h"

#include "base/clock.h"
#include "base/marked.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct outcome {
    int calls;
    struct child_result result;
    char output[16 * 1024];
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

/* The same with something on its stdin. */
static struct outcome feed(const char *script, struct bytes input)
{
    uv_loop_t loop;
    struct outcome outcome = {0};
    struct err err = {0};
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)script, NULL};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_true(child_run_fed(&loop, argv, NULL, input, 10000, on_done, &outcome, &err));
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(outcome.calls, 1);
    return outcome;
}

static void what_is_fed_is_read_to_its_end(void **state)
{
    (void)state;
    static uint8_t much[CHILD_INPUT_BYTES + 1];
    memset(much, 'x', sizeof much);
    struct outcome outcome = feed("cat; echo .", bytes_of("B0080\n", 6));
    assert_int_equal(outcome.result.exit_status, 0);
    assert_string_equal(outcome.output, "B0080\n.\n");
    outcome = feed("wc -c", bytes_of(much, CHILD_INPUT_BYTES));
    assert_int_equal(atoi(outcome.output), CHILD_INPUT_BYTES);
    /* what is said beside the answer is not in it */
    outcome = feed("yes chatter | head -c 20000 >&2; cat", bytes_of("kcv", 3));
    assert_string_equal(outcome.output, "kcv");
    assert_false(outcome.result.truncated);
    /* one that reads nothing ends as well, and nothing is left behind */
    outcome = feed("exit 3", bytes_of(much, CHILD_INPUT_BYTES));
    assert_int_equal(outcome.result.exit_status, 3);
    char *argv[] = {(char *)"/bin/true", NULL};
    uv_loop_t loop;
    struct err err = {0};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_false(child_run_fed(&loop, argv, NULL, bytes_of(much, sizeof much), 10000, on_done,
                               &outcome, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(uv_loop_close(&loop), 0);
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

/* ---- one that is only asked something ---- */

static struct outcome ask(const char *script, int64_t limit_ms, int64_t file_bytes)
{
    uv_loop_t loop;
    struct outcome outcome = {0};
    struct err err = {0};
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)script, NULL};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_true(child_run_alone(&loop, argv, "/", limit_ms, file_bytes, on_done, &outcome, &err));
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(outcome.calls, 1);
    return outcome;
}

/* What it has said is the entry of its environment, on the first line. */
static void assert_nothing_is_left(const struct outcome *outcome)
{
    char command[160];
    assert_memory_equal(outcome->output, "MUSTER_RUN=", 11);
    (void)snprintf(command, sizeof command, "! grep -qsxzF %.*s /proc/[0-9]*/environ",
                   (int)strcspn(outcome->output, "\n"), outcome->output);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
}

#define LEAVE                                                                                      \
    "env | grep ^MUSTER_RUN=; (setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & setsid sleep 1000 " \
    "<&- >&- 2>&- &); "

static void nothing_that_it_started_outlives_it(void **state)
{
    (void)state;
    struct outcome outcome = ask(LEAVE "exit 1", 60000, 0);
    assert_int_equal(outcome.result.exit_status, 1);
    assert_false(outcome.result.timed_out);
    assert_nothing_is_left(&outcome);
    outcome = ask(LEAVE "exec sleep 1000", 500, 0);
    assert_true(outcome.result.timed_out);
    assert_nothing_is_left(&outcome);
}

/* In itself it would go on for a minute. */
static void what_it_starts_without_end_ends_with_it(void **state)
{
    (void)state;
    struct outcome outcome =
        ask("env | grep ^MUSTER_RUN=; n=0; while [ $n -lt 20 ]; do n=$((n + 1)); "
            "setsid sh -c 'i=0; while [ $i -lt 1000 ]; do i=$((i + 1)); (sleep 0.01); done' & "
            "done; sleep 1000",
            1000, 0);
    assert_true(outcome.result.timed_out);
    assert_nothing_is_left(&outcome);
}

static void another_that_is_asked_meanwhile_is_left_alone(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct outcome one = {0}, other = {0};
    struct err err = {0};
    char *wait[] = {(char *)"/bin/sh", (char *)"-c", (char *)"setsid sleep 1 & wait; echo end",
                    NULL};
    char *leave[] = {(char *)"/bin/sh", (char *)"-c", (char *)LEAVE, NULL};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_true(child_run_alone(&loop, wait, "/", 60000, 0, on_done, &one, &err));
    assert_true(child_run_alone(&loop, leave, "/", 60000, 0, on_done, &other, &err));
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(one.result.exit_status, 0);
    assert_string_equal(one.output, "end\n");
    assert_nothing_is_left(&other);
}

static void it_writes_no_file_that_is_too_long(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-child-XXXXXX", script[256];
    struct stat written;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(script, sizeof script,
                   "while [ \"$(ulimit -f)\" = unlimited ]; do :; done; "
                   "exec head -c 30000000 /dev/zero > %s",
                   path);
    struct outcome outcome = ask(script, 60000, 1 << 20);
    char words[CHILD_SIGNAL_WORDS];
    assert_int_equal(outcome.result.signal, SIGXFSZ);
    child_signal_words(&outcome.result, words, sizeof words);
    assert_string_equal(words, "wrote a file of more than 1048576 bytes and was ended");
    assert_int_equal(stat(path, &written), 0);
    assert_int_equal(written.st_size, 1 << 20);
    assert_int_equal(unlink(path), 0);
}

/* What it started before it was held to anything is held too, wherever it is by then. */
static void nor_does_what_it_has_started(void **state)
{
    (void)state;
    char mark[48];
    (void)snprintf(mark, sizeof mark, "MUSTER_TEST=%d", (int)getpid());
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *argv[] = {
            (char *)"/bin/sh", (char *)"-c",
            (char *)"setsid sh -c 'echo; until [ \"$(ulimit -f)\" != unlimited ]; do :; "
                    "done; ulimit -f' & exit 0",
            NULL};
        char *env[] = {mark, (char *)"PATH=/usr/bin:/bin", NULL};
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)execve(argv[0], argv, env);
        _exit(1);
    }
    (void)close(fds[1]);
    char said[32] = "";
    assert_int_equal(read(fds[0], said, 1), 1); /* it runs */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    marked_limit(mark, 1 << 20);
    ssize_t length = read(fds[0], said, sizeof said - 1);
    assert_true(length > 0);
    said[length] = '\0';
    assert_string_equal(said, "2048\n"); /* of 512 bytes */
    (void)close(fds[0]);
}

static void a_flood_is_cut_at_4_kib_and_never_blocks(void **state)
{
    (void)state;
    struct outcome outcome = run("head -c 3000000 /dev/zero | tr '\\0' x; exit 3", 60000);
    assert_int_equal(outcome.result.exit_status, 3);
    assert_int_equal(strlen(outcome.output), 8192);
    assert_true(outcome.result.truncated);
}

static void an_endless_flood_ends_at_the_limit(void **state)
{
    (void)state;
    struct outcome outcome = run("exec yes", 300);
    assert_true(outcome.result.timed_out);
    assert_int_equal(strlen(outcome.output), 8192);
    assert_true(outcome.result.truncated);
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
        cmocka_unit_test(what_is_fed_is_read_to_its_end),
        cmocka_unit_test(exit_status_and_output_are_told),
        cmocka_unit_test(a_signal_is_told),
        cmocka_unit_test(environment_and_folder_are_plain),
        cmocka_unit_test(a_hook_that_hangs_is_killed_with_its_children),
        cmocka_unit_test(a_grandchild_left_behind_does_not_outlive_the_hook),
        cmocka_unit_test(one_that_leaves_the_group_does_not_hold_up_the_answer),
        cmocka_unit_test(nothing_that_it_started_outlives_it),
        cmocka_unit_test(what_it_starts_without_end_ends_with_it),
        cmocka_unit_test(another_that_is_asked_meanwhile_is_left_alone),
        cmocka_unit_test(it_writes_no_file_that_is_too_long),
        cmocka_unit_test(nor_does_what_it_has_started),
        cmocka_unit_test(a_flood_is_cut_at_4_kib_and_never_blocks),
        cmocka_unit_test(an_endless_flood_ends_at_the_limit),
        cmocka_unit_test(what_cannot_run_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
