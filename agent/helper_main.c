/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/helper.h"
#include "base/daemon.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>

static const struct daemon program = {
    .name = "muster-helper",
    .config = "/etc/muster/helper.conf",
    .settings = helper_settings_table,
    .usage = "usage: muster-helper [--config FILE] [--check-config | --print-settings]\n"
             "\n"
             "Does for muster-agent what takes more rights than it has: restarts the terminal or\n"
             "the payment application, by the commands that its settings name, and nothing else.\n"
             "\n"
             "  --config FILE     settings (default /etc/muster/helper.conf)\n"
             "  --check-config    read the settings, say what is wrong, touch nothing\n"
             "  --print-settings  every setting with its default and meaning\n"
             "  --version, --help\n",
};

struct program_run {
    struct daemon_run daemon;
    struct helper *helper;
};

static void stop(void *ctx)
{
    struct program_run *run = ctx;
    helper_close(run->helper);
}

static bool check(const struct helper_settings *settings, const char *verb, struct err *err)
{
    char words[HELPER_COMMAND_BYTES], *argv[HELPER_WORDS_MAX + 1];
    const char *command = helper_command(settings, verb);
    if (command == NULL)
        return true;
    (void)snprintf(words, sizeof words, "%s", command);
    return (helper_words(words, argv, err) && helper_program_check(argv[0], err)) ||
           err_context(err, "verbs.%s", verb);
}

static int check_config(const char *path, const struct helper_settings *settings)
{
    struct err err = {0};
    if (check(settings, "reboot", &err) && check(settings, "restart-application", &err)) {
        puts("settings are good");
        return EXIT_OK;
    }
    log_error("%s: %s", path, err.text);
    return EXIT_USAGE;
}

static int run_helper(const struct helper_settings *settings)
{
    struct program_run run = {0};
    struct err err = {0};
    daemon_begin(&run.daemon, stop, &run);
    if (!helper_open(&run.daemon.loop, settings, &run.helper, &err)) {
        log_error("cannot start: %s", err.text);
        daemon_end(&run.daemon);
        return exit_code_of(&err);
    }
    log_info("version " MUSTER_VERSION ", ready");
    daemon_watch(&run.daemon, NULL);
    daemon_loop(&run.daemon);
    helper_free(run.helper);
    daemon_end(&run.daemon);
    return run.daemon.exit_code;
}

int main(int argc, char **argv)
{
    struct daemon_options options;
    struct helper_settings settings;
    struct err err = {0};
    int code = EXIT_OK;
    memory_frugal();
    if (!daemon_parse(&program, argc, argv, &options, &code))
        return code;
    log_init(program.name, LOG_INFO);
    if (!helper_settings_load(options.config, &settings, &err)) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    log_init(program.name, (enum log_level)settings.log_level);
    return options.check_config ? check_config(options.config, &settings) : run_helper(&settings);
}
