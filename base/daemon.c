/* SPDX-License-Identifier: Apache-2.0 */
#include "base/daemon.h"

#include "base/exit_codes.h"
#include "base/log.h"
#include "base/notify.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool usage_error(const struct daemon *daemon, int *ret_code)
{
    fputs(daemon->usage, stderr);
    *ret_code = EXIT_USAGE;
    return false;
}

/* Options that are answered here and end the program. */
static bool answered(const struct daemon *daemon, int option)
{
    switch (option) {
    case 'p':
        settings_print(daemon->settings);
        return true;
    case 'v':
        printf("%s %s\n", daemon->name, MUSTER_VERSION);
        return true;
    case 'h':
        fputs(daemon->usage, stdout);
        return true;
    default:
        return false;
    }
}

enum { FIRST_ACTION = 256 }; /* beyond what getopt gives for itself */

bool daemon_parse(const struct daemon *daemon, int argc, char **argv,
                  struct daemon_options *ret_options, int *ret_code)
{
    struct option known[5 + DAEMON_ACTIONS + 1] = {
        {"config", required_argument, NULL, 'c'},   {"check-config", no_argument, NULL, 'k'},
        {"print-settings", no_argument, NULL, 'p'}, {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
    };
    for (size_t i = 0, at = 5; i < DAEMON_ACTIONS && daemon->actions[i] != NULL; i++)
        known[at++] = (struct option){daemon->actions[i], no_argument, NULL, FIRST_ACTION + (int)i};
    struct daemon_options options = {.config = daemon->config};
    int option = 0;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (answered(daemon, option)) {
            *ret_code = EXIT_OK;
            return false;
        }
        if (option == 'c')
            options.config = optarg;
        else if (option == 'k')
            options.check_config = true;
        else if (option >= FIRST_ACTION && option < FIRST_ACTION + DAEMON_ACTIONS)
            options.action = daemon->actions[option - FIRST_ACTION];
        else
            return usage_error(daemon, ret_code);
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument %s\n", daemon->name, argv[optind]);
        return usage_error(daemon, ret_code);
    }
    *ret_options = options;
    return true;
}

void daemon_begin(struct daemon_run *run, void (*stop)(void *ctx), void *ctx)
{
    *run = (struct daemon_run){.stop = stop, .ctx = ctx, .exit_code = EXIT_OK};
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is a full disk, not a reason to die */
    (void)uv_loop_init(&run->loop);
}

static void on_signal(uv_signal_t *signal, int number)
{
    log_info("signal %d: stopping", number);
    daemon_stop(signal->data, EXIT_OK);
}

/* ---- the service manager's watchdog ---- */

static void on_watchdog(uv_timer_t *timer)
{
    struct daemon_run *run = timer->data;
    if (run->lives == NULL || run->lives(run->ctx))
        notify_send("WATCHDOG=1");
}

/* As sd_watchdog_enabled(3) has it; 0: nobody watches this process. */
static uint64_t watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    if (usec == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    return strtoull(usec, NULL, 10) / 1000;
}

void daemon_watch(struct daemon_run *run, bool (*lives)(void *ctx))
{
    run->lives = lives;
}

static void start_watchdog(struct daemon_run *run)
{
    uint64_t every_ms = watchdog_ms() / 2;
    (void)uv_timer_init(&run->loop, &run->watchdog);
    run->watchdog.data = run;
    if (every_ms > 0)
        (void)uv_timer_start(&run->watchdog, on_watchdog, every_ms, every_ms);
}

void daemon_loop(struct daemon_run *run)
{
    start_watchdog(run);
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        (void)uv_signal_init(&run->loop, &run->signals[i]);
        run->signals[i].data = run;
        (void)uv_signal_start(&run->signals[i], on_signal, numbers[i]);
    }
    notify_send("READY=1");
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
}

static void stop(struct daemon_run *run)
{
    run->stopping = true;
    run->stop(run->ctx);
    for (size_t i = 0; i < sizeof run->signals / sizeof *run->signals; i++)
        uv_close((uv_handle_t *)&run->signals[i], NULL);
    uv_close((uv_handle_t *)&run->watchdog, NULL);
}

void daemon_stop(struct daemon_run *run, int exit_code)
{
    if (run->stopping)
        return;
    run->exit_code = exit_code;
    notify_send("STOPPING=1");
    stop(run);
}

void daemon_again(struct daemon_run *run)
{
    if (run->stopping)
        return;
    run->again = true;
    stop(run);
}

void daemon_end(struct daemon_run *run)
{
    (void)uv_loop_close(&run->loop);
}
