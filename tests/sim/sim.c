/* SPDX-License-Identifier: Apache-2.0 */
#include "base/exit_codes.h"
#include "base/log.h"
#include "tests/sim/crowd.h"
#include "tests/sim/terminal.h"
#include "tests/world/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { DEVICES_MAX = 10000, SPARE_DESCRIPTORS = 200 };

static const char usage[] =
    "usage: muster-sim keys --dir DIR --devices N\n"
    "       muster-sim run --dir DIR --devices N --broker 127.0.0.1:PORT --root FILE [OPTION...]\n"
    "\n"
    "Terminals by the thousand in one process: all of muster-agent and muster-link of each, over\n"
    "MQTT without TLS to a broker on this machine. Their files are in DIR/sim-00001 and so on.\n"
    "\n"
    "  keys           makes their agent keys; DIR/<device>/agent.pub is what musterctl device add\n"
    "                 takes\n"
    "  run            connects them, waits until each holds what the fleet wants, lives, and ends\n"
    "                 when all that they have recorded is receipted\n"
    "\n"
    "  --rate R       results a second of all, on average [50]\n"
    "  --seconds N    how long they live [60]\n"
    "  --seed N       of all that is drawn [20260101]\n"
    "  --speed X      the day passes so many times as fast [1]\n"
    "  --hour H       of the day at which they begin; tills are open from 9 or 10 to 21 or 22 "
    "[12]\n"
    "  --policy P     of the uplink: wired or metered [wired]\n"
    "  --resend T     as uplink.resend [auto]\n"
    "  --connect N    that connect in a second [200]\n"
    "  --suspects R   beside these so many suspect declines a second, and each is told: its "
    "device,\n"
    "                 how many that one has made since, and CLOCK_MONOTONIC in ns [0]\n"
    "  --suspects-after N  seconds [0]\n"
    "  --patience N   seconds that connecting and ending may take each [300]\n"
    "  --ledger FILE  gets what each terminal has made\n";

static bool number(const char *name, const char *text, uint64_t low, uint64_t high,
                   uint64_t *ret_value, struct err *err)
{
    uint64_t value = 0;
    if (!options_number(name, text, &value, err))
        return false;
    if (value < low || value > high)
        return err_set(err, ERR_INVALID, "%s %s: expected %" PRIu64 " to %" PRIu64, name, text, low,
                       high);
    *ret_value = value;
    return true;
}

static bool real(const char *name, const char *text, double low, double high, double *ret_value,
                 struct err *err)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= low && value <= high))
        return err_set(err, ERR_INVALID, "%s %s: expected %g to %g", name, text, low, high);
    *ret_value = value;
    return true;
}

/* One for each connection, and some. */
static bool raise_descriptors(uint64_t devices, struct err *err)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)(devices + SPARE_DESCRIPTORS);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        return true;
    limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
    if (limit.rlim_max < needed || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_set(err, ERR_INVALID,
                       "%" PRIu64 " terminals need %" PRIu64
                       " descriptors, and the limit is %" PRIu64 ": raise it with ulimit -Hn",
                       devices, (uint64_t)needed, (uint64_t)limit.rlim_max);
    return true;
}

static int told(const struct err *err, int code)
{
    fprintf(stderr, "muster-sim: %s\n", err->text);
    return code;
}

static int make_keys(int argc, char **argv)
{
    const char *dir = NULL, *devices = NULL;
    const struct option_text table[] = {{"--dir", &dir}, {"--devices", &devices}, {0}};
    struct err err = {0};
    uint64_t count = 0;
    if (!options_read(argc, argv, table, &err) ||
        !number("--devices", devices, 1, DEVICES_MAX, &count, &err))
        return told(&err, EXIT_USAGE);
    for (size_t i = 0; i < count; i++)
        if (!terminal_make(dir, i, &err))
            return told(&err, EXIT_SYSTEM);
    return EXIT_OK;
}

static bool read_options(int argc, char **argv, struct crowd_settings *settings, struct err *err)
{
    const char *devices = NULL, *rate = "50", *seconds = "60", *seed = "20260101", *speed = "1",
               *hour = "12", *connect = "200", *suspects = "0", *after = "0", *patience = "300";
    settings->ledger = "";
    settings->policy = "wired";
    settings->resend = "auto";
    const struct option_text table[] = {{"--dir", &settings->dir},
                                        {"--devices", &devices},
                                        {"--broker", &settings->broker},
                                        {"--root", &settings->root},
                                        {"--policy", &settings->policy},
                                        {"--resend", &settings->resend},
                                        {"--ledger", &settings->ledger},
                                        {"--rate", &rate},
                                        {"--seconds", &seconds},
                                        {"--seed", &seed},
                                        {"--speed", &speed},
                                        {"--hour", &hour},
                                        {"--connect", &connect},
                                        {"--suspects", &suspects},
                                        {"--suspects-after", &after},
                                        {"--patience", &patience},
                                        {0}};
    return options_read(argc, argv, table, err) &&
           number("--devices", devices, 1, DEVICES_MAX, &settings->devices, err) &&
           number("--seconds", seconds, 1, 7 * 86400, &settings->seconds, err) &&
           number("--seed", seed, 0, UINT64_MAX, &settings->seed, err) &&
           number("--hour", hour, 0, 23, &settings->hour, err) &&
           number("--connect", connect, 1, 10000, &settings->connect_rate, err) &&
           number("--suspects-after", after, 0, 7 * 86400, &settings->suspects_after, err) &&
           number("--patience", patience, 1, 86400, &settings->patience, err) &&
           real("--rate", rate, 0.001, 10000, &settings->rate, err) &&
           real("--speed", speed, 0.001, 10000, &settings->speed, err) &&
           real("--suspects", suspects, 0, 100, &settings->suspects, err);
}

static int run(int argc, char **argv)
{
    struct crowd_settings settings = {.routing = MUSTER_ROUTING_TABLE,
                                      .ca_keys = MUSTER_CA_KEYS_TABLE};
    struct err err = {0};
    if (!read_options(argc, argv, &settings, &err) || !raise_descriptors(settings.devices, &err))
        return told(&err, EXIT_USAGE);
    if (settings.ledger[0] == '\0')
        settings.ledger = NULL;
    if (crowd_run(&settings, &err) == CROWD_FAILED)
        return told(&err, err.code == ERR_INVALID ? EXIT_USAGE : EXIT_SYSTEM);
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    log_init("muster-sim", LOG_ERROR);
    if (strcmp(what, "keys") == 0)
        return make_keys(argc - 1, argv + 1);
    if (strcmp(what, "run") == 0)
        return run(argc - 1, argv + 1);
    bool asked = strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0;
    fputs(usage, asked ? stdout : stderr);
    return asked ? EXIT_OK : EXIT_USAGE;
}
