/* SPDX-License-Identifier: Apache-2.0 */
#include "base/daemon.h"

#include "base/exit_codes.h"
#include "tests/unit/testing.h"

#include <getopt.h>
#include <signal.h>
#include <unistd.h>

static const struct setting no_settings[] = {{0}};

static const struct daemon program = {
    .name = "some-daemon",
    .config = "/etc/default.conf",
    .actions = {"make-key", "make-other"},
    .settings = no_settings,
    .usage = "usage: some-daemon\n",
};

static bool parse(const struct daemon *daemon, char **argv, struct daemon_options *options,
                  int *code)
{
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    optind = 0; /* glibc: begin anew */
    opterr = 0;
    return daemon_parse(daemon, argc, argv, options, code);
}

#define ARGV(...)                                                                                  \
    (char *[])                                                                                     \
    {                                                                                              \
        (char *)(uintptr_t) "some-daemon", __VA_ARGS__                                             \
    }

static void test_options_are_taken(void **state)
{
    (void)state;
    struct daemon_options options;
    int code = -1;
    assert_true(parse(&program, ARGV(NULL), &options, &code));
    assert_string_equal(options.config, "/etc/default.conf");
    assert_false(options.check_config);
    assert_null(options.action);
    assert_true(
        parse(&program,
              ARGV((char *)(uintptr_t) "--config", (char *)(uintptr_t) "x.conf",
                   (char *)(uintptr_t) "--check-config", (char *)(uintptr_t) "--make-key", NULL),
              &options, &code));
    assert_string_equal(options.config, "x.conf");
    assert_true(options.check_config);
    assert_string_equal(options.action, "make-key");
    assert_true(parse(&program, ARGV((char *)(uintptr_t) "--make-other", NULL), &options, &code));
    assert_string_equal(options.action, "make-other");
}

static void test_a_wrong_command_line_ends_with_usage(void **state)
{
    (void)state;
    struct daemon plain = program;
    struct daemon_options options;
    int code = -1;
    plain.actions[0] = NULL;
    assert_false(parse(&program, ARGV((char *)(uintptr_t) "--nonsense", NULL), &options, &code));
    assert_int_equal(code, EXIT_USAGE);
    code = -1;
    assert_false(parse(&program, ARGV((char *)(uintptr_t) "extra", NULL), &options, &code));
    assert_int_equal(code, EXIT_USAGE);
    code = -1;
    assert_false(parse(&plain, ARGV((char *)(uintptr_t) "--make-key", NULL), &options, &code));
    assert_int_equal(code, EXIT_USAGE);
    assert_false(parse(&program, ARGV((char *)(uintptr_t) "--version", NULL), &options, &code));
    assert_int_equal(code, EXIT_OK);
}

struct work {
    struct daemon_run run;
    uv_idle_t idle;
    unsigned stops;
};

static void on_stop(void *ctx)
{
    struct work *work = ctx;
    work->stops++;
    uv_close((uv_handle_t *)&work->idle, NULL);
}

static void raise_terminate(uv_idle_t *idle)
{
    uv_idle_stop(idle);
    kill(getpid(), SIGTERM);
}

static void stop_twice(uv_idle_t *idle)
{
    struct work *work = idle->data;
    daemon_stop(&work->run, EXIT_SYSTEM);
    daemon_stop(&work->run, EXIT_OK);
}

static struct work run_with(uv_idle_cb what)
{
    struct work work = {0};
    daemon_begin(&work.run, on_stop, &work);
    uv_idle_init(&work.run.loop, &work.idle);
    work.idle.data = &work;
    uv_idle_start(&work.idle, what);
    daemon_loop(&work.run);
    daemon_end(&work.run);
    return work;
}

static void test_a_signal_ends_the_loop_cleanly(void **state)
{
    (void)state;
    struct work work = run_with(raise_terminate);
    assert_int_equal(work.stops, 1);
    assert_int_equal(work.run.exit_code, EXIT_OK);
}

static void test_the_first_reason_to_stop_counts(void **state)
{
    (void)state;
    struct work work = run_with(stop_twice);
    assert_int_equal(work.stops, 1);
    assert_int_equal(work.run.exit_code, EXIT_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_are_taken),
        cmocka_unit_test(test_a_wrong_command_line_ends_with_usage),
        cmocka_unit_test(test_a_signal_ends_the_loop_cleanly),
        cmocka_unit_test(test_the_first_reason_to_stop_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
