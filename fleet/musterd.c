/* SPDX-License-Identifier: Apache-2.0 */
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/notify.h"
#include "fleet/service.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>

static const char usage[] =
    "usage: musterd [--config FILE] [--check-config | --print-settings]\n"
    "\n"
    "Collects what terminals say, tells them what they should hold, and answers the ops team.\n"
    "\n"
    "  --config FILE     settings (default /etc/musterd/musterd.conf)\n"
    "  --check-config    read settings, keys and certificates, say what is wrong, touch nothing\n"
    "  --print-settings  every setting with its default and meaning\n"
    "  --version, --help\n";

struct options {
    const char *config;
    bool check_config;
};

enum { SIGNALS = 2 };

struct run {
    uv_loop_t loop;
    struct service *service;
    uv_signal_t signals[SIGNALS];
    int exit_code;
};

static void stop(struct run *run)
{
    notify_send("STOPPING=1");
    service_close(run->service);
    for (size_t i = 0; i < SIGNALS; i++) {
        if (!uv_is_closing((uv_handle_t *)&run->signals[i]))
            uv_close((uv_handle_t *)&run->signals[i], NULL);
    }
}

static void on_signal(uv_signal_t *signal, int number)
{
    log_info("signal %d: stopping", number);
    stop(signal->data);
}

/* The service manager starts it again, with the database opened anew. */
static void on_failed(void *ctx, const struct err *why)
{
    struct run *run = ctx;
    log_error("stopping: %s", why->text);
    run->exit_code = EXIT_SYSTEM;
    stop(run);
}

static void watch_signals(struct run *run)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < SIGNALS; i++) {
        (void)uv_signal_init(&run->loop, &run->signals[i]);
        run->signals[i].data = run;
        (void)uv_signal_start(&run->signals[i], on_signal, numbers[i]);
    }
}

static int run_service(const struct fleet_settings *settings)
{
    struct run run = {.exit_code = EXIT_OK};
    struct err err = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    (void)uv_loop_init(&run.loop);
    if (!service_open(&run.loop, &clock_real, settings, on_failed, &run, &run.service, &err)) {
        log_error("cannot start: %s", err.text);
        (void)uv_loop_close(&run.loop);
        return exit_code_of(&err);
    }
    watch_signals(&run);
    log_info("version " MUSTER_VERSION ", ready");
    notify_send("READY=1");
    (void)uv_run(&run.loop, UV_RUN_DEFAULT);
    service_free(run.service);
    (void)uv_loop_close(&run.loop);
    return run.exit_code;
}

/* False: the program ends with *ret_code. */
static bool parse(int argc, char **argv, struct options *options, int *ret_code)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},   {"check-config", no_argument, NULL, 'k'},
        {"print-settings", no_argument, NULL, 'p'}, {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},           {0}};
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
        case 'p':
            settings_print(fleet_settings_table);
            return false;
        case 'v':
            puts("musterd " MUSTER_VERSION);
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
    (void)fprintf(stderr, "musterd: unexpected argument %s\n%s", argv[optind], usage);
    *ret_code = EXIT_USAGE;
    return false;
}

int main(int argc, char **argv)
{
    struct options options = {.config = "/etc/musterd/musterd.conf"};
    struct fleet_settings settings;
    struct err err = {0};
    int code = EXIT_OK;
    if (!parse(argc, argv, &options, &code))
        return code;
    log_init("musterd", LOG_INFO);
    if (!fleet_settings_load(options.config, &settings, &err)) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    log_init("musterd", (enum log_level)settings.log_level);
    if (!service_check(&settings, &err)) {
        log_error("%s: %s", options.config, err.text);
        return EXIT_USAGE;
    }
    if (!options.check_config)
        return run_service(&settings);
    puts("settings are good");
    return EXIT_OK;
}
