/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"
#include "agent/agent_key.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/notify.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: muster-agent [--config FILE] [--check-config | --make-key | --print-settings]\n"
    "\n"
    "Keeps this terminal's results and health, delivers them, and keeps its registration as the\n"
    "fleet wants it. It has no network socket: muster-link carries what it says.\n"
    "\n"
    "  --config FILE     settings (default /etc/muster/agent.conf)\n"
    "  --check-config    read the settings, say what is wrong, touch nothing\n"
    "  --make-key        make the agent key if there is none; print its public half (PEM)\n"
    "  --print-settings  every setting with its default and meaning\n"
    "  --version, --help\n";

struct options {
    const char *config;
    bool check_config, make_key;
};

/* What runs, so that signal handlers and a failing spool can end it. */
struct run {
    uv_loop_t loop;
    struct agent *agent;
    uv_signal_t signals[2];
    int exit_code;
};

static void stop(struct run *run)
{
    agent_close(run->agent);
    for (size_t i = 0; i < 2; i++)
        if (!uv_is_closing((uv_handle_t *)&run->signals[i]))
            uv_close((uv_handle_t *)&run->signals[i], NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct run *run = signal->data;
    log_info("signal %d: stopping", number);
    notify_send("STOPPING=1");
    stop(run);
}

static void on_failed(void *ctx, const struct err *err)
{
    struct run *run = ctx;
    log_error("the spool failed, stopping so that it is opened afresh: %s", err->text);
    run->exit_code = EXIT_SYSTEM;
    stop(run);
}

static void watch_signals(struct run *run)
{
    const int numbers[2] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(&run->loop, &run->signals[i]);
        run->signals[i].data = run;
        uv_signal_start(&run->signals[i], on_signal, numbers[i]);
    }
}

static int run_agent(const struct agent_settings *settings)
{
    struct run run = {.exit_code = EXIT_OK};
    struct err err = {0};
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&run.loop);
    if (!agent_open(&run.loop, &clock_real, settings, on_failed, &run, &run.agent, &err)) {
        log_error("cannot start: %s", err.text);
        uv_loop_close(&run.loop);
        return exit_code_of(&err);
    }
    watch_signals(&run);
    log_info("device %s, version " MUSTER_VERSION ", ready", settings->device);
    notify_send("READY=1");
    uv_run(&run.loop, UV_RUN_DEFAULT);
    agent_free(run.agent);
    uv_loop_close(&run.loop);
    return run.exit_code;
}

/* False: the program ends with *ret_code. */
static bool parse(int argc, char **argv, struct options *options, int *ret_code)
{
    static const struct option known[] = {{"config", required_argument, NULL, 'c'},
                                          {"check-config", no_argument, NULL, 'k'},
                                          {"make-key", no_argument, NULL, 'm'},
                                          {"print-settings", no_argument, NULL, 'p'},
                                          {"version", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int option = 0;
    *ret_code = EXIT_OK;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->config = optarg;
            break;
        case 'k':
            options->check_config = true;
            break;
        case 'm':
            options->make_key = true;
            break;
        case 'p':
            settings_print(agent_settings_table);
            return false;
        case 'v':
            puts("muster-agent " MUSTER_VERSION);
            return false;
        case 'h':
            fputs(usage, stdout);
            return false;
        default:
            fputs(usage, stderr);
            *ret_code = EXIT_USAGE;
            return false;
        }
    }
    if (optind == argc)
        return true;
    fprintf(stderr, "muster-agent: unexpected argument %s\n%s", argv[optind], usage);
    *ret_code = EXIT_USAGE;
    return false;
}

int main(int argc, char **argv)
{
    struct options options = {.config = "/etc/muster/agent.conf"};
    struct agent_settings settings;
    struct err err = {0};
    int code = EXIT_OK;
    if (!parse(argc, argv, &options, &code))
        return code;
    log_init("muster-agent", LOG_INFO);
    if (!agent_settings_load(options.config, &settings, &err)) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    if (options.check_config) {
        puts("settings are good");
        return EXIT_OK;
    }
    if (options.make_key) {
        if (agent_key_make(settings.agent_key, stdout, &err))
            return EXIT_OK;
        log_error("%s", err.text);
        return exit_code_of(&err);
    }
    log_init("muster-agent", (enum log_level)settings.log_level);
    return run_agent(&settings);
}
