/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"

#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"record", command_record,
     "hand transaction results to the agent, one by flags or many as JSON"},
    {"status", command_status, "what the agent holds and how it stands with the fleet"},
    {"selfcheck", command_selfcheck, "check every applied file and repair what can be repaired"},
    {"plan", command_plan, "what would change here, what it waits for, and until when"},
    {"apply", command_apply,
     "put in force what waits for the payment application: a person decides"},
    {"lease", command_lease, "what the payment application is in the middle of, as it has said"},
    {"why", command_why, "what went wrong here lately, in plain words"},
    {"import", command_import,
     "apply state from a file that musterctl bundle wrote: for a terminal without a line"},
    {"decode", command_decode, "print any message of this system from a file"},
};

static void print_help(FILE *to)
{
    (void)fprintf(to, "Usage: muster COMMAND [OPTION]...\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        (void)fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
    (void)fprintf(to, "\n'muster COMMAND --help' tells more. Exit codes:\n");
#define EXIT_CODE(name, number, meaning) (void)fprintf(to, "  %d  %s\n", number, meaning);
#include "base/exit_codes.def"
#undef EXIT_CODE
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    int exit_code = -1;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0)
            exit_code = commands[i].run(argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        exit_code = EXIT_OK;
    }
    if (strcmp(name, "--version") == 0) {
        (void)printf("muster %s\n", MUSTER_VERSION);
        exit_code = EXIT_OK;
    }
    if (exit_code < 0) {
        if (name[0] != '\0')
            (void)fprintf(stderr, "muster: no command %s\n", name);
        print_help(stderr);
        return EXIT_USAGE;
    }
    return fflush(stdout) == 0 ? exit_code : EXIT_SYSTEM;
}
