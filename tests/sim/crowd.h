/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_CROWD_H
#define TESTS_SIM_CROWD_H

#include "base/err.h"

#include <stdint.h>

/*
 * A fleet's terminals in one process: they connect one after the other, wait until each is welcomed
 * and holds what the fleet wants, live for a while, and end when all that they have recorded is
 * receipted. Prints `name value unit`.
 */
struct crowd_settings {
    const char *dir, *broker, *root;
    const char *policy, *resend; /* as in agent.conf */
    const char *ledger;          /* path of the account of each terminal; NULL: none */
    const char *routing, *ca_keys;
    uint64_t devices, seed;
    uint64_t connect_rate; /* a second */
    double rate;           /* results a second of all, on average from the begin to the end */
    uint64_t seconds;
    double speed;            /* of the day, 1: as it is */
    uint64_t hour;           /* of the day at which they begin */
    double suspects;         /* beside these, so many a second are declines that are suspect ... */
    uint64_t suspects_after; /* ... from this second on */
    uint64_t patience;       /* seconds that connecting and ending may take each */
};

enum crowd_end { CROWD_DONE, CROWD_STOPPED, CROWD_FAILED };

/* Until it is over, or SIGTERM or SIGINT comes. CROWD_FAILED: `err` says why. */
enum crowd_end crowd_run(const struct crowd_settings *settings, struct err *err);

#endif
