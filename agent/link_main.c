/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link.h"
#include "agent/link_restarts.h"
#include "base/daemon.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

static const struct daemon program = {
    .name = "muster-link",
    .config = "/etc/muster/link.conf",
    .settings = link_settings_table,
    .usage = "usage: muster-link [--config FILE] [--check-config | --print-settings]\n"
             "\n"
             "Carries messages between muster-agent and the broker over MQTT and mutual TLS.\n"
             "\n"
             "  --config FILE     settings (default /etc/muster/link.conf)\n"
             "  --check-config    read settings and certificates, say what is wrong, connect to "
             "nothing\n"
             "  --print-settings  every setting with its default and meaning\n"
             "  --version, --help\n",
};

struct program_run {
    struct daemon_run daemon;
    struct link *link;
};

static void stop(void *ctx)
{
    struct program_run *run = ctx;
    link_close(run->link);
}

static int run_link(struct link_settings *settings)
{
    struct program_run run = {0};
    struct err err = {0};
    settings->runtime_directory = getenv("RUNTIME_DIRECTORY");
    settings->restarts = link_restarts_count(settings->runtime_directory);
    if (settings->restarts > 0)
        log_warn("ended %u times before a session was stable: the first attempt waits for that",
                 settings->restarts);
    /* Only names are looked up there: one that hangs, and the next. libuv would start four. */
    (void)setenv("UV_THREADPOOL_SIZE", "2", 0);
    daemon_begin(&run.daemon, stop, &run);
    if (!link_open(&run.daemon.loop, settings, &run.link, &err)) {
        log_error("cannot start: %s", err.text);
        daemon_end(&run.daemon);
        return EXIT_USAGE;
    }
    log_info("device %s, version " MUSTER_VERSION ", ready", settings->device);
    daemon_loop(&run.daemon);
    link_free(run.link);
    daemon_end(&run.daemon);
    return run.daemon.exit_code;
}

int main(int argc, char **argv)
{
    struct daemon_options options;
    struct link_settings settings;
    struct err err = {0};
    int code = EXIT_OK;
    memory_frugal();
    if (!daemon_parse(&program, argc, argv, &options, &code))
        return code;
    log_init(program.name, LOG_INFO);
    if (!link_settings_load(options.config, &settings, &err)) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    log_init(program.name, (enum log_level)settings.log_level);
    if (!options.check_config)
        return run_link(&settings);
    if (!link_check(&settings, &err)) {
        log_error("%s: %s", options.config, err.text);
        return EXIT_USAGE;
    }
    puts("settings are good");
    return EXIT_OK;
}
