/* SPDX-License-Identifier: Apache-2.0 */
#include "base/daemon.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "fleet/check.h"
#include "fleet/service.h"
#include "storage/fleetdb_room.h"

#include <stdio.h>
#include <string.h>

enum { MIB = 1024 * 1024 };

#define BEGIN_ROOTS "begin-roots"
#define VACUUM "vacuum"

static const struct daemon program = {
    .name = "musterd",
    .config = "/etc/musterd/musterd.conf",
    .actions = {BEGIN_ROOTS, VACUUM},
    .settings = fleet_settings_table,
    .usage =
        "usage: musterd [--config FILE] [--check-config | --print-settings | --begin-roots |\n"
        "               --vacuum]\n"
        "\n"
        "Collects what terminals say, tells them what they should hold, and answers the ops team.\n"
        "\n"
        "  --config FILE     settings (default /etc/musterd/musterd.conf)\n"
        "  --check-config    read settings, keys and certificates, say all that is wrong, and "
        "which\n"
        "                    keys the newest root names; beside a running musterd too; touch "
        "nothing\n"
        "  --begin-roots     when root keys are gone, too few to sign with: forget the database's\n"
        "                    chain of roots and begin another with keys.root, which is to be\n"
        "                    installed on every terminal by hand\n"
        "  --vacuum          with no musterd running: write the database anew, without free room;\n"
        "                    once for one made before this version, so that it shrinks by itself\n"
        "  --print-settings  every setting with its default and meaning\n"
        "  --version, --help\n",
};

struct program_run {
    struct daemon_run daemon;
    struct service *service;
};

static void stop(void *ctx)
{
    struct program_run *run = ctx;
    service_close(run->service);
}

/* The service manager starts it again, with the database opened anew. */
static void on_failed(void *ctx, const struct err *why)
{
    struct program_run *run = ctx;
    log_error("stopping: %s", why->text);
    daemon_stop(&run->daemon, EXIT_SYSTEM);
}

static int run_service(const struct fleet_settings *settings)
{
    struct program_run run = {0};
    struct err err = {0};
    daemon_begin(&run.daemon, stop, &run);
    if (!service_open(&run.daemon.loop, &clock_real, settings, on_failed, &run, &run.service,
                      &err)) {
        log_error("cannot start: %s", err.text);
        daemon_end(&run.daemon);
        return exit_code_of(&err);
    }
    log_info("version " MUSTER_VERSION ", ready");
    daemon_loop(&run.daemon);
    service_free(run.service);
    daemon_end(&run.daemon);
    return run.daemon.exit_code;
}

static void on_wrong(void *ctx, const struct err *why)
{
    log_error("%s: %s", (const char *)ctx, why->text);
}

static void on_note(void *ctx, const char *text)
{
    (void)ctx;
    puts(text);
}

static int check_config(const struct fleet_settings *settings, const char *config)
{
    const struct check_sink sink = {
        .wrong = on_wrong, .note = on_note, .ctx = (void *)(uintptr_t)config};
    if (!check_all(settings, &sink))
        return EXIT_USAGE;
    puts("settings are good");
    return EXIT_OK;
}

static int begin_roots(const struct fleet_settings *settings, const char *config)
{
    struct err err = {0};
    if (service_begin_roots(settings, &clock_real, stdout, &err))
        return EXIT_OK;
    log_error("%s: %s", config, err.text);
    return exit_code_of(&err);
}

static int vacuum(const struct fleet_settings *settings)
{
    struct fleetdb *db = NULL;
    struct err err = {0};
    bool ok = fleetdb_open(settings->database, &db, &err);
    const int64_t before = ok ? fleetdb_size_bytes(db) : 0;
    ok = ok && fleetdb_vacuum(db, &err);
    if (ok)
        printf("%s: %lld MiB before, %lld MiB now\n", settings->database, (long long)(before / MIB),
               (long long)(fleetdb_size_bytes(db) / MIB));
    else
        log_error("%s", err.text);
    fleetdb_close(db);
    return ok ? EXIT_OK : exit_code_of(&err);
}

int main(int argc, char **argv)
{
    struct daemon_options options;
    struct fleet_settings settings;
    struct err err = {0};
    int code = EXIT_OK;
    if (!daemon_parse(&program, argc, argv, &options, &code))
        return code;
    log_init(program.name, LOG_INFO);
    if (!fleet_settings_load(options.config, &settings, &err)) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    log_init(program.name, (enum log_level)settings.log_level);
    if (options.check_config)
        return check_config(&settings, options.config);
    if (options.action != NULL)
        return strcmp(options.action, VACUUM) == 0 ? vacuum(&settings)
                                                   : begin_roots(&settings, options.config);
    const struct check_sink sink = {.wrong = on_wrong, .ctx = (void *)(uintptr_t)options.config};
    return check_start(&settings, &sink) ? run_service(&settings) : EXIT_USAGE;
}
