/* SPDX-License-Identifier: Apache-2.0 */
#include "base/daemon.h"

#include "base/exit_codes.h"
#include "base/log.h"
#include "base/notify.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>

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

bool daemon_parse(const struct daemon *daemon, int argc, char **argv,
                  struct daemon_options *ret_options, int *ret_code)
{
    const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, 'k'},
        {"print-settings", no_argument, NULL, 'p'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {daemon->action, no_argument, NULL, 'a'}, /* without a name it ends the list */
        {0},
    };
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
        else if (option == 'a')
            options.action = true;
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
    (void)uv_loop_init(&run->loop);
}

static void on_signal(uv_signal_t *signal, int number)
{
    log_info("signal %d: stopping", number);
    daemon_stop(signal->data, EXIT_OK);
}

void daemon_loop(struct daemon_run *run)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        (void)uv_signal_init(&run->loop, &run->signals[i]);
        run->signals[i].data = run;
        (void)uv_signal_start(&run->signals[i], on_signal, numbers[i]);
    }
    notify_send("READY=1");
    (void)uv_run(&run->loop, UV_RUN_DEFAULT);
}

void daemon_stop(struct daemon_run *run, int exit_code)
{
    if (run->stopping)
        return;
    run->stopping = true;
    run->exit_code = exit_code;
    notify_send("STOPPING=1");
    run->stop(run->ctx);
    for (size_t i = 0; i < sizeof run->signals / sizeof *run->signals; i++)
        uv_close((uv_handle_t *)&run->signals[i], NULL);
}

void daemon_end(struct daemon_run *run)
{
    (void)uv_loop_close(&run->loop);
}
