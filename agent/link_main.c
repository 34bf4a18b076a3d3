/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/notify.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>

static const char usage[] =
    "usage: muster-link [--config FILE] [--check-config | --print-settings]\n"
    "\n"
    "Carries messages between muster-agent and the broker over MQTT and mutual TLS.\n"
    "\n"
    "  --config FILE     settings (default /etc/muster/link.conf)\n"
    "  --check-config    read settings and certificates, say what is wrong, connect to nothing\n"
    "  --print-settings  every setting with its default and meaning\n"
    "  --version, --help\n";

struct options {
    const char *config;
    bool check_config;
};

struct run {
    uv_loop_t loop;
    struct link *link;
    uv_signal_t signals[2];
};

static void on_signal(uv_signal_t *signal, int number)
{
    struct run *run = signal->data;

    log_info("signal %d: stopping", number);
    notify_send("STOPPING=1");
    link_close(run->link);
    for (size_t i = 0; i < 2; i++) {
        if (!uv_is_closing((uv_handle_t *)&run->signals[i])) {
            uv_close((uv_handle_t *)&run->signals[i], NULL);
        }
    }
}

static void watch_signals(struct run *run)
{
    static const int numbers[2] = {SIGTERM, SIGINT};

    for (size_t i = 0; i < 2; i++) {
        (void)uv_signal_init(&run->loop, &run->signals[i]);
        run->signals[i].data = run;
        (void)uv_signal_start(&run->signals[i], on_signal, numbers[i]);
    }
}

static int run_link(const struct link_settings *settings)
{
    struct run run;
    struct err err;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)uv_loop_init(&run.loop);
    if (!link_open(&run.loop, settings, &run.link, &err)) {
        log_error("cannot start: %s", err.text);
        (void)uv_loop_close(&run.loop);
        return EXIT_USAGE;
    }
    watch_signals(&run);
    log_info("device %s, version " MUSTER_VERSION ", ready", settings->device);
    notify_send("READY=1");
    (void)uv_run(&run.loop, UV_RUN_DEFAULT);
    link_free(run.link);
    (void)uv_loop_close(&run.loop);
    return EXIT_OK;
}

/* False: the program ends with *ret_code. */
static bool parse(int argc, char **argv, struct options *options, int *ret_code)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},   {"check-config", no_argument, NULL, 'k'},
        {"print-settings", no_argument, NULL, 'p'}, {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},           {0}};
    int option;

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
            settings_print(link_settings_table);
            return false;
        case 'v':
            puts("muster-link " MUSTER_VERSION);
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
    if (optind == argc) {
        return true;
    }
    fprintf(stderr, "muster-link: unexpected argument %s\n%s", argv[optind], usage);
    *ret_code = EXIT_USAGE;
    return false;
}

int main(int argc, char **argv)
{
    struct options options = {.config = "/etc/muster/link.conf"};
    struct link_settings settings;
    struct err err;
    int code;

    if (!parse(argc, argv, &options, &code)) {
        return code;
    }
    log_init("muster-link", LOG_INFO);
    if (!link_settings_load(options.config, &settings, &err)) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    log_init("muster-link", (enum log_level)settings.log_level);
    if (!options.check_config) {
        return run_link(&settings);
    }
    if (!link_check(&settings, &err)) {
        log_error("%s: %s", options.config, err.text);
        return EXIT_USAGE;
    }
    puts("settings are good");
    return EXIT_OK;
}
