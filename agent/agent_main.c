/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"
#include "agent/agent_key.h"
#include "agent/standby.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/daemon.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/private.h"

#include <stdio.h>
#include <string.h>

#define MAKE_KEY "make-key"
#define MAKE_SEALING_KEY "make-sealing-key"

static const struct daemon program = {
    .name = "muster-agent",
    .config = "/etc/muster/agent.conf",
    .actions = {MAKE_KEY, MAKE_SEALING_KEY},
    .settings = agent_settings_table,
    .usage =
        "usage: muster-agent [--config FILE] [--check-config | --print-settings | --make-key |\n"
        "                    --make-sealing-key]\n"
        "\n"
        "Keeps this terminal's results and health, delivers them, and keeps its registration as\n"
        "the fleet wants it. It has no network socket: muster-link carries what it says.\n"
        "\n"
        "  --config FILE     settings (default /etc/muster/agent.conf)\n"
        "  --check-config    read the settings, say what is wrong, touch nothing\n"
        "  --make-key        make the agent key if there is none; print its public half (PEM)\n"
        "  --make-sealing-key  make the key that opens what is sealed to this device, if there is\n"
        "                    none; print a certification request (PKCS #10, PEM) for your CA\n"
        "  --print-settings  every setting with its default and meaning\n"
        "  --version, --help\n",
};

/* How long to wait before the spool is opened again: a disk that stays full is to be asked now and
 * then, not a thousand times an hour. */
enum { AGAIN_FIRST_MS = 2000, AGAIN_MAX_MS = 60000, STABLE_MS = 60000 };

struct program_run {
    struct daemon_run daemon;
    struct agent *agent; /* one of these two at a time */
    struct standby *standby;
    struct err why; /* of the next standby; code ERR_NONE: none is needed */
};

static void stop(void *ctx)
{
    struct program_run *run = ctx;
    if (run->agent != NULL)
        agent_close(run->agent);
    if (run->standby != NULL)
        standby_close(run->standby);
}

static void on_failed(void *ctx, enum agent_end end, const struct err *err)
{
    struct program_run *run = ctx;
    run->why = *err;
    if (end == AGENT_STALLED) {
        log_error("stopping, to be started again: %s", err->text);
        daemon_stop(&run->daemon, EXIT_STALLED);
        return;
    }
    log_error("the spool is closed and opened afresh: %s", err->text);
    daemon_again(&run->daemon);
}

static void on_again(void *ctx)
{
    struct program_run *run = ctx;
    run->why.code = ERR_NONE;
    daemon_again(&run->daemon);
}

/* What may pass while the program waits; a wrong setting or a missing key does not. */
static bool may_pass(const struct err *err)
{
    return err->code == ERR_FULL || err->code == ERR_IO || err->code == ERR_NO_MEMORY;
}

static bool open_standby(struct program_run *run, const struct agent_settings *settings,
                         struct backoff *backoff)
{
    struct err err = {0};
    int64_t wait_ms = backoff_spread_ms(2 * backoff_ceiling_ms(backoff), random_u64());
    (void)backoff_next_ms(backoff, 0);
    log_error("nothing can be stored: %s; trying again in %lld s", run->why.text,
              (long long)(wait_ms + 999) / 1000);
    if (standby_open(&run->daemon.loop, settings, &run->why, wait_ms, on_again, run, &run->standby,
                     &err))
        return true;
    log_error("cannot start: %s", err.text);
    return false;
}

/* The agent, or its standby where it would not open; false: neither. */
static bool open_one(struct program_run *run, const struct agent_settings *settings,
                     struct backoff *backoff)
{
    struct err err = {0};
    if (run->why.code != ERR_NONE)
        return open_standby(run, settings, backoff);
    if (agent_open(&run->daemon.loop, &clock_real, settings, on_failed, run, &run->agent, &err)) {
        log_info("device %s, version " MUSTER_VERSION ", ready", settings->device);
        memory_settle();
        return true;
    }
    run->why = err;
    if (may_pass(&err))
        return open_standby(run, settings, backoff);
    log_error("cannot start: %s", err.text);
    return false;
}

/* Once around: until it is stopped, or is to begin anew with what `why` says. */
static bool run_once(const struct agent_settings *settings, struct backoff *backoff,
                     struct err *why, int *ret_code)
{
    struct program_run run = {.why = *why};
    int64_t began_ms = clock_boot_ms(&clock_real);
    daemon_begin(&run.daemon, stop, &run);
    if (!open_one(&run, settings, backoff)) {
        daemon_end(&run.daemon);
        *ret_code = exit_code_of(&run.why);
        return false;
    }
    run.why.code = ERR_NONE;
    bool stood_by = run.standby != NULL;
    daemon_watch(&run.daemon, NULL);
    daemon_loop(&run.daemon);
    agent_free(run.agent);
    standby_free(run.standby);
    daemon_end(&run.daemon);
    *ret_code = run.daemon.exit_code;
    *why = run.why;
    if (stood_by)
        return run.daemon.again;
    /* At once, unless that was of no use just now. */
    if (clock_boot_ms(&clock_real) - began_ms > STABLE_MS)
        backoff_reset(backoff);
    if (backoff->failures == 0)
        why->code = ERR_NONE;
    (void)backoff_next_ms(backoff, 0);
    return run.daemon.again;
}

static int run_agent(const struct agent_settings *settings)
{
    struct backoff backoff = {.first_ms = AGAIN_FIRST_MS, .max_ms = AGAIN_MAX_MS};
    struct err why = {0};
    int code = EXIT_OK;
    bool again = true;
    while (again)
        again = run_once(settings, &backoff, &why, &code);
    return code;
}

static int make_key(const char *action, const struct agent_settings *settings)
{
    struct err err = {0};
    bool sealing = strcmp(action, MAKE_SEALING_KEY) == 0;
    if (sealing ? agent_sealing_key_make(settings->sealing_key, settings->device, stdout, &err)
                : agent_key_make(settings->agent_key, stdout, &err))
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
    if (!private_process(&err)) {
        log_error("%s", err.text);
        return EXIT_SYSTEM;
    }
    if (!agent_settings_load(options.config, &settings, &err)) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    if (options.check_config) {
        puts("settings are good");
        return EXIT_OK;
    }
    if (options.action != NULL)
        return make_key(options.action, &settings);
    log_init(program.name, (enum log_level)settings.log_level);
    return run_agent(&settings);
}
