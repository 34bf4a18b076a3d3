/* SPDX-License-Identifier: Apache-2.0 */
/* muster-oracle: what a submission log, spools and a fleet database say together. */
#include "tests/oracle/oracle.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPOOLS_MAX = 64, EXIT_FOUND = 1, EXIT_UNREADABLE = 2 };

static const char usage[] =
    "Usage: muster-oracle --log FILE [--fleet FILE] [--spool DEVICE=FILE[:QUOTA]]...\n"
    "Prints what became of every result in the log. Exit: 0 all is accounted for, 1 something is\n"
    "not (named on stderr), 2 a file could not be read.\n";

struct arguments {
    struct oracle_spool spools[SPOOLS_MAX];
    struct oracle_places places;
};

/* DEVICE=FILE[:QUOTA], taken apart where it stands. */
static bool take_spool(struct arguments *arguments, char *text)
{
    char *path = strchr(text, '=');
    if (path == NULL || arguments->places.spool_count == SPOOLS_MAX)
        return false;
    *path++ = '\0';
    struct oracle_spool spool = {.device = text, .path = path};
    char *quota = strrchr(path, ':');
    if (quota != NULL) {
        *quota++ = '\0';
        spool.quota_bytes = strtoll(quota, NULL, 10);
        if (spool.quota_bytes <= 0)
            return false;
    }
    arguments->spools[arguments->places.spool_count++] = spool;
    return true;
}

static bool parse(int argc, char **argv, struct oracle *oracle, struct arguments *arguments,
                  struct err *err)
{
    static const struct option options[] = {{"log", required_argument, NULL, 'l'},
                                            {"fleet", required_argument, NULL, 'f'},
                                            {"spool", required_argument, NULL, 's'},
                                            {0}};
    bool any = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'l') {
            if (!oracle_load(oracle, optarg, err))
                return false;
            any = true;
        } else if (option == 'f') {
            arguments->places.fleet_path = optarg;
        } else if (option != 's' || !take_spool(arguments, optarg)) {
            return err_set(err, ERR_INVALID, "wrong option\n%s", usage);
        }
    }
    return (any && optind == argc) || err_set(err, ERR_INVALID, "%s", usage);
}

static void print(const struct oracle_report *report)
{
    for (enum oracle_figure figure = 0; figure < ORACLE_FIGURES; figure++)
        (void)printf("oracle.%s %" PRIu64 " %s\n", oracle_figure_name(figure),
                     report->figures[figure], oracle_figure_unit(figure));
    (void)fputs(report->findings, stderr);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    arguments.places.spools = arguments.spools;
    struct oracle *oracle = NULL;
    struct oracle_report report = {0};
    struct err err = {0};
    bool ok = oracle_open(&oracle, &err) && parse(argc, argv, oracle, &arguments, &err) &&
              oracle_check(oracle, &arguments.places, &report, &err);
    oracle_close(oracle);
    if (!ok) {
        (void)fprintf(stderr, "muster-oracle: %s\n", err.text);
        return EXIT_UNREADABLE;
    }
    print(&report);
    return report.violations == 0 ? EXIT_SUCCESS : EXIT_FOUND;
}
