/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"
#include "agent/agent_key.h"
#include "base/daemon.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>

static const struct daemon program = {
    .name = "muster-agent",
    .config = "/etc/muster/agent.conf",
    .action = "make-key",
    .settings = agent_settings_table,
    .usage =
        "usage: muster-agent [--config FILE] [--check-config | --make-key | --print-settings]\n"
        "\n"
        "Keeps this terminal's results and health, delivers them, and keeps its registration as\n"
        "the fleet wants it. It has no network socket: muster-link carries what it says.\n"
        "\n"
        "  --config FILE     settings (default /etc/muster/agent.conf)\n"
        "  --check-config    read the settings, say what is wrong, touch nothing\n"
        "  --make-key        make the agent key if there is none; print its public half (PEM)\n"
        "  --print-settings  every setting with its default and meaning\n"
        "  --version, --help\n",
};

struct program_run {
    struct daemon_run daemon;
    struct agent *agent;
};

static void stop(void *ctx)
{
    struct program_run *run = ctx;
    agent_close(run->agent);
}

static void on_failed(void *ctx, const struct err *err)
{
    struct program_run *run = ctx;
    log_error("the spool failed, stopping so that it is opened afresh: %s", err->text);
    daemon_stop(&run->daemon, EXIT_SYSTEM);
}

static int run_agent(const struct agent_settings *settings)
{
    struct program_run run = {0};
    struct err err = {0};
    daemon_begin(&run.daemon, stop, &run);
    if (!agent_open(&run.daemon.loop, &clock_real, settings, on_failed, &run, &run.agent, &err)) {
        log_error("cannot start: %s", err.text);
        daemon_end(&run.daemon);
        return exit_code_of(&err);
    }
    log_info("device %s, version " MUSTER_VERSION ", ready", settings->device);
    memory_settle();
    daemon_loop(&run.daemon);
    agent_free(run.agent);
    daemon_end(&run.daemon);
    return run.daemon.exit_code;
}

static int make_key(const struct agent_settings *settings)
{
    struct err err = {0};
    if (agent_key_make(settings->agent_key, stdout, &err))
        return EXIT_OK;
    log_error("%s", err.text);
    return exit_code_of(&err);
}

int main(int argc, char **argv)
{
    struct daemon_options options;
    struct agent_settings settings;
    struct err err = {0};
    int code = EXIT_OK;
    memory_frugal();
    if (!daemon_parse(&program, argc, argv, &options, &code))
        return code;
    log_init(program.name, LOG_INFO);
    if (!agent_settings_load(options.config, &settings, &err)) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    if (options.check_config) {
        puts("settings are good");
        return EXIT_OK;
    }
    if (options.action)
        return make_key(&settings);
    log_init(program.name, (enum log_level)settings.log_level);
    return run_agent(&settings);
}
